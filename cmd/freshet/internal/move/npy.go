package move

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strconv"

	"freshet/api/table"
)

// npy reads the rows of an .npy file of two dimensions; their ids are the
// numbers of the rows, from 0. Payloads are the lines of a JSONL file.
type npy struct {
	file, payload string
	array         table.Array
}

func openNPY(file, payload string) (*npy, error) {
	f, array, err := table.OpenMatrix(file)
	if err != nil {
		return nil, &InputError{err}
	}
	return &npy{file: file, payload: payload, array: array}, f.Close()
}

func (s *npy) name() string { return s.file }
func (s *npy) total() int64 { return s.array.Rows }

func (s *npy) rows(_ context.Context, after position) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		if err := s.read(after.Rows, func(r row) bool { return yield(r, nil) }); err != nil {
			yield(row{}, err)
		}
	}
}

func (s *npy) read(from int64, yield func(row) bool) error {
	f, err := os.Open(s.file)
	if err != nil {
		return &InputError{err}
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(s.array.Begin+from*int64(s.array.Dim*s.array.Width), io.SeekStart); err != nil {
		return err
	}
	next, stop := iter.Pull2(lines(s.payload)) // begins with the first call
	defer stop()
	if s.payload != "" {
		for range from {
			next()
		}
	}
	r := bufio.NewReaderSize(f, 1<<20)
	raw := make([]byte, s.array.Dim*s.array.Width)
	for i := from; i < s.array.Rows; i++ {
		if _, err := io.ReadFull(r, raw); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		point := strconv.AppendInt([]byte(`{"id":`), i, 10)
		id := json.RawMessage(point[len(`{"id":`):len(point):len(point)])
		point = append(point, `,"vector":`...)
		for j := range s.array.Dim {
			point = append(point, "[,"[min(j, 1)])
			x := s.array.Value(raw[j*s.array.Width:])
			if point, err = appendNumber(point, x); err != nil {
				return wrongRow(s.file, i+1, strconv.Itoa(j+1), err)
			}
		}
		point = append(point, ']')
		if s.payload != "" {
			number, l, ok := next()
			switch {
			case l.err != nil:
				return l.err
			case !ok || number != i+1:
				return wrong("%s: line %d has no payload for that row of %s", s.payload, i+1, s.file)
			}
			if err := checkObject(l.text); err != nil {
				return wrongRow(s.payload, i+1, "", err)
			}
			point = append(append(point, `,"payload":`...), l.text...)
		}
		if !yield(row{number: i + 1, id: id, point: append(point, '}')}) {
			return nil
		}
	}
	return nil
}

// appendNumber writes the shortest JSON that is the same number in 32 bits.
func appendNumber(dst []byte, x float64) ([]byte, error) {
	y := float64(float32(x))
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return dst, fmt.Errorf("%v is not a finite number of 32 bits", x)
	}
	return strconv.AppendFloat(dst, y, 'g', -1, 32), nil
}

func checkObject(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' || !json.Valid(raw) {
		return errors.New("not a JSON object")
	}
	return nil
}
