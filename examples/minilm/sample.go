// Package minilm holds a small set of real text embeddings for the demo, tests
// and benchmarks.
package minilm

import (
	"bytes"
	_ "embed" // the data
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/x448/float16"
)

// Dim is the dimension of the vectors.
const Dim = 384

//go:embed base.f16
var baseVectors []byte

//go:embed base.jsonl.zst
var baseTexts []byte

//go:embed queries.f16
var queryVectors []byte

//go:embed queries.jsonl.zst
var queryTexts []byte

// Row is one embedded text. Vectors have about length 1: they were rounded to
// 16 bits.
type Row struct {
	ID      string    `json:"id"`
	Text    string    `json:"text"`
	Section string    `json:"section"`
	Vector  []float32 `json:"-"`
}

// Base returns the 4,000 rows to search.
func Base() ([]Row, error) { return read(baseVectors, baseTexts) }

// Queries returns 40 rows that are not among them.
func Queries() ([]Row, error) { return read(queryVectors, queryTexts) }

func read(vectors, texts []byte) ([]Row, error) {
	z, err := zstd.NewReader(bytes.NewReader(texts))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var rows []Row
	for lines := json.NewDecoder(z); ; {
		var row Row
		if err := lines.Decode(&row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if len(vectors) != 2*Dim*len(rows) {
		return nil, fmt.Errorf("%d bytes of vectors for %d texts", len(vectors), len(rows))
	}
	for i := range rows {
		v := make([]float32, Dim)
		for j := range v {
			v[j] = float16.Frombits(binary.LittleEndian.Uint16(vectors[2*(i*Dim+j):])).Float32()
		}
		rows[i].Vector = v
	}
	return rows, nil
}
