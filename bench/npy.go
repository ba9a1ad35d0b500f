package main

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
	"strconv"
	"strings"
	"unsafe"

	"github.com/x448/float16"
	"golang.org/x/sys/unix"

	"freshet/hnsw"
)

// matrix is what an .npy file of two dimensions holds.
type matrix struct {
	rows, dim int
	data      []float32
}

func (m *matrix) row(i int) []float32 { return m.data[i*m.dim : (i+1)*m.dim : (i+1)*m.dim] }

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

// maxRows bounds what a header may claim.
const maxRows = 1 << 31

// decodeHeader returns the type and the shape.
func decodeHeader(r io.Reader) (descr string, rows, dim int, err error) {
	var head [10]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, 0, err
	}
	if string(head[:6]) != "\x93NUMPY" || head[6] != 1 {
		return "", 0, 0, errors.New("not an .npy file of version 1")
	}
	header := make([]byte, binary.LittleEndian.Uint16(head[8:]))
	if _, err := io.ReadFull(r, header); err != nil {
		return "", 0, 0, err
	}
	kind, shape := npyDescr.FindSubmatch(header), npyShape.FindSubmatch(header)
	if kind == nil || shape == nil || bytes.Contains(header, []byte("'fortran_order': True")) {
		return "", 0, 0, fmt.Errorf("header %q: want two dimensions in C order", header)
	}
	rows, errRows := strconv.Atoi(string(shape[1]))
	dim, errDim := strconv.Atoi(string(shape[2]))
	if errRows != nil || errDim != nil || rows > maxRows || dim < 1 || dim > hnsw.MaxDim {
		return "", 0, 0, fmt.Errorf("shape %s × %s: want at most %d rows of 1 to %d", shape[1], shape[2], maxRows, hnsw.MaxDim)
	}
	return string(kind[1]), rows, dim, nil
}

func decodeNPY(r io.Reader) (*matrix, error) {
	descr, rows, dim, err := decodeHeader(r)
	if err != nil {
		return nil, err
	}
	width, decode := 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
	switch descr {
	case "<f4":
	case "<f2":
		width, decode = 2, func(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }
	case "<i4":
		decode = func(b []byte) float32 { return float32(int32(binary.LittleEndian.Uint32(b))) }
	default:
		return nil, fmt.Errorf("type %s: want float16, float32 or int32", descr)
	}
	m := &matrix{rows: rows, dim: dim}
	raw := make([]byte, dim*width)
	for range rows {
		if _, err := io.ReadFull(r, raw); err != nil {
			return nil, err
		}
		for i := 0; i < len(raw); i += width {
			m.data = append(m.data, decode(raw[i:]))
		}
	}
	return m, nil
}

// mapNPY maps a file of float32 into memory, where all processes that map it
// share it. It is never unmapped.
func mapNPY(path string) (*matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	descr, rows, dim, err := decodeHeader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	begin, errSeek := f.Seek(0, io.SeekCurrent)
	info, errStat := f.Stat()
	if err := errors.Join(errSeek, errStat); err != nil {
		return nil, err
	}
	n := rows * dim
	if descr != "<f4" || begin%4 != 0 || info.Size() != begin+int64(4*n) || n == 0 {
		return nil, fmt.Errorf("%s: want %d × %d float32 and no more", path, rows, dim)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &matrix{rows: rows, dim: dim, data: unsafe.Slice((*float32)(unsafe.Pointer(&mapped[begin])), n)}, nil
}

// normalize scales every row to length 1.
func (m *matrix) normalize() {
	for i := range m.rows {
		hnsw.Normalize(m.row(i))
	}
}

// writeNPY writes the rows as float32. The file is there when it is whole.
func (m *matrix) writeNPY(path string) error {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.rows, m.dim)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(head[8:], uint16(len(header)))
	_, err = w.Write(append(head, header...))
	var word [4]byte
	for _, x := range m.data {
		if err != nil {
			break
		}
		binary.LittleEndian.PutUint32(word[:], math.Float32bits(x))
		_, err = w.Write(word[:])
	}
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
