package move

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"regexp"
	"strconv"

	"github.com/x448/float16"
)

// npy reads the rows of an .npy file of two dimensions; their ids are the
// numbers of the rows, from 0. Payloads are the lines of a JSONL file.
type npy struct {
	file, payload string
	count         int64
	dim, width    int
	begin         int64 // of the rows, bytes
	decode        func([]byte) float64
}

var (
	npyDescr = regexp.MustCompile(`'descr': *'([^']+)'`)
	npyShape = regexp.MustCompile(`'shape': *\((\d+), *(\d+)\)`)
	npyC     = regexp.MustCompile(`'fortran_order': *False`)
)

// maxDim is the most numbers that servers take for a vector.
const maxDim = 65536

func openNPY(file, payload string) (*npy, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &InputError{err}
	}
	defer func() { _ = f.Close() }()
	s := &npy{file: file, payload: payload}
	if err := s.header(f); err != nil {
		return nil, wrong("%s: %w", file, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if want := s.begin + s.count*int64(s.dim*s.width); info.Size() != want {
		return nil, wrong("%s has %d bytes, its header says %d", file, info.Size(), want)
	}
	return s, nil
}

func (s *npy) header(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:6]) != "\x93NUMPY" {
		return errors.New("not an .npy file")
	}
	var length int
	switch head[6] {
	case 1:
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return err
		}
		length, s.begin = int(binary.LittleEndian.Uint16(n[:])), 10
	case 2, 3:
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return err
		}
		length, s.begin = int(min(binary.LittleEndian.Uint32(n[:]), 1<<20)), 12
	default:
		return fmt.Errorf("version %d of .npy is not known", head[6])
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return err
	}
	s.begin += int64(length)
	descr, dims := npyDescr.FindSubmatch(header), npyShape.FindSubmatch(header)
	if descr == nil || dims == nil || !npyC.Match(header) {
		return fmt.Errorf("header %.200q: want two dimensions in C order", header)
	}
	rows, errRows := strconv.ParseInt(string(dims[1]), 10, 40)
	dim, errDim := strconv.Atoi(string(dims[2]))
	if errRows != nil || errDim != nil || dim < 1 || dim > maxDim {
		return fmt.Errorf("shape (%s, %s): want rows of 1 to %d numbers", dims[1], dims[2], maxDim)
	}
	s.count, s.dim = rows, dim
	switch string(descr[1]) {
	case "<f2":
		s.width, s.decode = 2, func(b []byte) float64 { return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()) }
	case "<f4":
		s.width, s.decode = 4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }
	case "<f8":
		s.width, s.decode = 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	default:
		return fmt.Errorf("type %s: want float16, float32 or float64, little-endian", descr[1])
	}
	return nil
}

func (s *npy) name() string { return s.file }
func (s *npy) total() int64 { return s.count }

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
	if _, err := f.Seek(s.begin+from*int64(s.dim*s.width), io.SeekStart); err != nil {
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
	raw := make([]byte, s.dim*s.width)
	for i := from; i < s.count; i++ {
		if _, err := io.ReadFull(r, raw); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		point := strconv.AppendInt([]byte(`{"id":`), i, 10)
		id := json.RawMessage(point[len(`{"id":`):len(point):len(point)])
		point = append(point, `,"vector":`...)
		for j := range s.dim {
			point = append(point, "[,"[min(j, 1)])
			x := s.decode(raw[j*s.width:])
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
