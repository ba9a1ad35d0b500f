package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	arrays "freshet/api/table"
	"freshet/hnsw"
)

// matrix is what an .npy file of two dimensions holds.
type matrix struct {
	rows, dim int
	data      []float32
}

func (m *matrix) row(i int) []float32 { return m.data[i*m.dim : (i+1)*m.dim : (i+1)*m.dim] }

// readNPY reads all of a file.
func readNPY(path string) (*matrix, error) {
	array, data, err := arrays.ReadMatrix(path, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	return &matrix{rows: int(array.Rows), dim: array.Dim, data: data}, nil
}

// mapNPY maps a file of float32 into memory, where all processes that map it
// share it. It is never unmapped.
func mapNPY(path string) (*matrix, error) {
	f, array, err := arrays.OpenMatrix(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	n := int(array.Rows) * array.Dim
	if array.Type != "<f4" || array.Begin%4 != 0 || n == 0 {
		return nil, fmt.Errorf("%s: want rows of float32 that begin at a multiple of 4 bytes", path)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(array.Begin)+4*n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &matrix{rows: int(array.Rows), dim: array.Dim, data: unsafe.Slice((*float32)(unsafe.Pointer(&mapped[array.Begin])), n)}, nil
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
