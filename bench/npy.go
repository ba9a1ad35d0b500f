package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/x448/float16"

	"freshet/hnsw"
)

// matrix is what an .npy file of two dimensions holds.
type matrix struct {
	rows, dim int
	data      []float32
}

func (m *matrix) row(i int) []float32 { return m.data[i*m.dim : (i+1)*m.dim] }

var (
	npyDescr = regexp.MustCompile(`'descr': '([^']+)'`)
	npyShape = regexp.MustCompile(`'shape': \((\d+), (\d+)\)`)
)

// readNPY reads little-endian float16, float32 or int32 rows in C order.
func readNPY(path string) (*matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	m, err := decodeNPY(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func decodeNPY(r io.Reader) (*matrix, error) {
	var head [10]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if string(head[:6]) != "\x93NUMPY" || head[6] != 1 {
		return nil, fmt.Errorf("not an .npy file of version 1")
	}
	header := make([]byte, binary.LittleEndian.Uint16(head[8:]))
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	descr, shape := npyDescr.FindSubmatch(header), npyShape.FindSubmatch(header)
	if descr == nil || shape == nil {
		return nil, fmt.Errorf("header %q: want two dimensions", header)
	}
	m := &matrix{}
	var err error
	if m.rows, err = strconv.Atoi(string(shape[1])); err != nil {
		return nil, err
	}
	if m.dim, err = strconv.Atoi(string(shape[2])); err != nil {
		return nil, err
	}
	width, decode := 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	switch string(descr[1]) {
	case "<f4":
	case "<f2":
		width, decode = 2, func(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }
	case "<i4":
		decode = func(b []byte) float32 { return float32(int32(binary.LittleEndian.Uint32(b))) }
	default:
		return nil, fmt.Errorf("type %s: want float16, float32 or int32", descr[1])
	}
	raw := make([]byte, m.dim*width)
	m.data = make([]float32, 0, m.rows*m.dim)
	for range m.rows {
		if _, err := io.ReadFull(r, raw); err != nil {
			return nil, err
		}
		for i := 0; i < len(raw); i += width {
			m.data = append(m.data, decode(raw[i:]))
		}
	}
	return m, nil
}

// normalize scales every row to length 1.
func (m *matrix) normalize() {
	for i := range m.rows {
		hnsw.Normalize(m.row(i))
	}
}

// writeNPY writes the rows as float32.
func (m *matrix) writeNPY(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.rows, m.dim)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(head[8:], uint16(len(header)))
	_, err = w.Write(append(head, header...))
	for _, x := range m.data {
		if err != nil {
			break
		}
		_, err = w.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
	}
	return errors.Join(err, w.Flush(), f.Close())
}
