package table

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"

	"github.com/x448/float16"

	"freshet/server"
)

// Array says how the rows of an .npy array are written.
type Array struct {
	Rows  int64
	Dims  int                  // 1 or 2; one dimension is one row
	Dim   int                  // numbers in a row
	Type  string               // of a number, as numpy has it: <f4
	Width int                  // bytes of a number
	Begin int64                // of the rows, in bytes
	Value func([]byte) float64 // reads a number
}

var (
	npyDescr = regexp.MustCompile(`'descr': *'([^']+)'`)
	npyShape = regexp.MustCompile(`'shape': *\((?:(\d+), *)?(\d+),?\)`)
	npyC     = regexp.MustCompile(`'fortran_order': *False`)
)

// maxDim is the most numbers that servers take for a vector.
const maxDim = 65536

// readArray reads the header of an .npy array.
func readArray(r io.Reader) (Array, error) {
	var a Array
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:6]) != "\x93NUMPY" {
		return a, errors.New("not an .npy array")
	}
	var length int
	switch head[6] {
	case 1:
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return a, err
		}
		length, a.Begin = int(binary.LittleEndian.Uint16(n[:])), 10
	case 2, 3:
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return a, err
		}
		length, a.Begin = int(min(binary.LittleEndian.Uint32(n[:]), 1<<20)), 12
	default:
		return a, fmt.Errorf("version %d of .npy is not known", head[6])
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return a, err
	}
	a.Begin += int64(length)
	return a, a.describe(header)
}

func (a *Array) describe(header []byte) error {
	descr, shape := npyDescr.FindSubmatch(header), npyShape.FindSubmatch(header)
	if descr == nil || shape == nil || !npyC.Match(header) {
		return fmt.Errorf("header %.200s: want one or two dimensions in C order", bytes.TrimSpace(header))
	}
	rows, dim := shape[1], shape[2]
	a.Dims = 2
	if len(rows) == 0 {
		a.Dims, rows = 1, []byte("1")
	}
	var errRows, errDim error
	a.Rows, errRows = strconv.ParseInt(string(rows), 10, 40)
	a.Dim, errDim = strconv.Atoi(string(dim))
	if errRows != nil || errDim != nil || a.Dim < 1 || a.Dim > maxDim {
		return fmt.Errorf("shape (%s, %s): want rows of 1 to %d numbers", rows, dim, maxDim)
	}
	a.Type = string(descr[1])
	switch a.Type {
	case "<f2":
		a.Width, a.Value = 2, func(b []byte) float64 { return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()) }
	case "<f4":
		a.Width, a.Value = 4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }
	case "<i4":
		a.Width, a.Value = 4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) }
	case "<f8":
		a.Width, a.Value = 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	default:
		return fmt.Errorf("type %s: want int32, float16, float32 or float64, little-endian", a.Type)
	}
	return nil
}

// OpenMatrix opens an .npy file of two dimensions that is whole, to be read from its first
// row on.
func OpenMatrix(path string) (_ *os.File, _ Array, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Array{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, Array{}, err
	}
	a, err := readArray(f)
	if err == nil {
		err = a.checkSize(info.Size())
	}
	if err == nil && a.Dims != 2 {
		err = errors.New("has one dimension, want two")
	}
	return f, a, err
}

// ReadMatrix reads the first rows of an .npy file of two dimensions, at most limit of them,
// one behind the other.
func ReadMatrix(path string, limit int64) (a Array, values []float32, err error) {
	f, a, err := OpenMatrix(path)
	if err != nil {
		return a, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	values = make([]float32, int(min(a.Rows, limit))*a.Dim)
	r := bufio.NewReaderSize(f, 1<<20)
	raw := make([]byte, a.Dim*a.Width)
	for row := range slices.Chunk(values, a.Dim) {
		if _, err := io.ReadFull(r, raw); err != nil {
			return a, nil, fmt.Errorf("%s: %w", path, err)
		}
		a.read(row, raw)
	}
	return a, values, nil
}

// read reads as many numbers as there is room for.
func (a *Array) read(values []float32, raw []byte) {
	for i := range values {
		values[i] = float32(a.Value(raw[i*a.Width:]))
	}
}

// checkSize tells whether an array of so many bytes, with its header, is whole.
func (a *Array) checkSize(n int64) error {
	if want := a.Begin + a.Rows*int64(a.Dim*a.Width); n != want {
		return fmt.Errorf("%d bytes, the header says %d", n, want)
	}
	return nil
}

// Vectors reads an .npy array that is in memory: one vector in each row, at most limit.
func Vectors(raw []byte, limit int, room Room) ([]server.Vector, error) {
	a, err := readArray(bytes.NewReader(raw))
	if err == nil {
		err = a.checkSize(int64(len(raw)))
	}
	switch {
	case err != nil:
		return nil, wrong("%w", err)
	case a.Rows > int64(limit):
		return nil, tooMany(limit)
	}
	rows := int(a.Rows)
	if err := room(rows * (4*a.Dim + rowBytes)); err != nil {
		return nil, err
	}
	values := make([]float32, rows*a.Dim)
	a.read(values, raw[a.Begin:])
	vectors := make([]server.Vector, rows)
	for i := range vectors {
		vectors[i] = server.Dense(values[i*a.Dim : (i+1)*a.Dim : (i+1)*a.Dim])
	}
	return vectors, nil
}
