package move

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxLine bounds a line, as servers bound a request.
const maxLine = 32 << 20

// jsonl reads a file with one point on each line: id, vector, payload, expires_at.
type jsonl struct{ file string }

func (s *jsonl) name() string { return s.file }
func (s *jsonl) total() int64 { return -1 }

func (s *jsonl) rows(ctx context.Context, after position) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		for number, line := range lines(s.file) {
			if err := cmp.Or(line.err, ctx.Err()); err != nil { // there may be much that is left out
				yield(row{}, err)
				return
			}
			if number <= after.Rows {
				continue
			}
			id, err := checkPoint(line.text)
			if err != nil {
				yield(row{}, wrongRow(s.file, number, "", err))
				return
			}
			if !yield(row{number: number, id: id, point: bytes.Clone(line.text)}, nil) {
				return
			}
		}
	}
}

// checkPoint returns the id of what must be one point. A server would leave out members that
// it does not know, such as a payload under another name.
func checkPoint(line []byte) (json.RawMessage, error) {
	var point struct {
		ID      jsontext.Value `json:"id"`
		Vector  jsontext.Value `json:"vector"`
		Payload jsontext.Value `json:"payload"`
		Expires jsontext.Value `json:"expires_at"`

		// What servers answer beside the point.
		Version jsontext.Value `json:"version"`
		Score   jsontext.Value `json:"score"`
		Shard   jsontext.Value `json:"shard_key"`
		Order   jsontext.Value `json:"order_value"`
	}
	if err := strict.Unmarshal(line, &point, strict.RejectUnknownMembers(true)); err != nil {
		var semantic *strict.SemanticError
		if errors.As(err, &semantic) && errors.Is(err, strict.ErrUnknownName) {
			return nil, fmt.Errorf("member %q: want id, vector, payload and expires_at", semantic.JSONPointer.LastToken())
		}
		var syntax *jsontext.SyntacticError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("byte %d: %w", syntax.ByteOffset+1, syntax.Err)
		}
		return nil, errors.New("not a JSON object")
	}
	switch {
	case point.ID == nil:
		return nil, errors.New(`no member "id"`)
	case point.Vector == nil:
		return nil, errors.New(`no member "vector"`)
	}
	return json.RawMessage(point.ID), nil
}

type line struct {
	text []byte // until the next one
	err  error
}

// lines numbers the lines of a file from 1; empty ones have a number only. The
// sequence ends after an error.
func lines(file string) iter.Seq2[int64, line] {
	return func(yield func(int64, line) bool) {
		f, err := os.Open(file)
		if err != nil {
			yield(0, line{err: &InputError{err}})
			return
		}
		defer func() { _ = f.Close() }()
		scanner := bufio.NewScanner(f)
		scanner.Buffer(make([]byte, 1<<20), maxLine)
		number := int64(0)
		for scanner.Scan() {
			text := scanner.Bytes()
			if number++; number == 1 {
				text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors mark UTF-8 so
			}
			if text = bytes.TrimSpace(text); len(text) > 0 && !yield(number, line{text: text}) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("a line has more than %d bytes", maxLine)
			}
			yield(number+1, line{err: wrongRow(file, number+1, "", err)})
		}
	}
}

// jsonlSink writes one point a line.
type jsonlSink struct{ w *bufio.Writer }

func newJSONLSink(w io.Writer) *jsonlSink { return &jsonlSink{bufio.NewWriterSize(w, 1<<20)} }

func (s *jsonlSink) write(r row) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, r.point); err != nil {
		return err
	}
	compact.WriteByte('\n')
	_, err := s.w.Write(compact.Bytes())
	return err
}

func (s *jsonlSink) close() error { return s.w.Flush() }
