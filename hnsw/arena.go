package hnsw

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"freshet/hnsw/kernels"
)

// arena is a growing array of rows of a fixed size, zeroed at first, aligned
// for the kernels and outside the Go heap where the system allows. Rows never
// move. One writer grows it while readers use it.
type arena struct {
	rows   atomic.Pointer[kernels.Rows]
	used   atomic.Int64 // rows, up to the last one asked for
	chunks [][]byte     // as allocated, to give them back
	shift  uint
	stride int
	blocks int
}

// chunkShift returns how many rows a chunk has, as a power of two: enough for
// chunkBytes, and if possible so many that a chunk is whole huge pages, but not
// beyond four times that. Memory that is not used yet is reserved, not taken.
func chunkShift(stride int) uint {
	shift := uint(4)
	for stride<<shift < chunkBytes {
		shift++
	}
	for s := shift; stride<<s <= 4*chunkBytes; s++ {
		if stride<<s%hugePage == 0 {
			return s
		}
	}
	return shift
}

const hugePage = 2 << 20

// newArena returns an arena of rows of the given number of bytes, padded to a
// multiple of align.
func newArena(rowBytes, align int) *arena {
	stride := (rowBytes + align - 1) / align * align
	a := &arena{
		stride: stride,
		shift:  chunkShift(stride),
		blocks: stride / (4 * kernels.Block),
	}
	a.rows.Store(&kernels.Rows{Shift: a.shift, Stride: stride, Blocks: a.blocks})
	return a
}

// grow makes room for the slot's row. Only the writer calls it.
func (a *arena) grow(slot uint32) error {
	if n := int64(slot) + 1; n > a.used.Load() {
		a.used.Store(n)
	}
	table := a.rows.Load().Table
	need := int(slot>>a.shift) + 1
	if need <= len(table) {
		return nil
	}
	next := append(make([]unsafe.Pointer, 0, need), table...)
	for len(next) < need {
		chunk, err := allocate(a.stride << a.shift)
		if err != nil {
			return err
		}
		// The first chunk stays on small pages until there is a second: most
		// collections are small.
		if len(next) == 1 {
			hugePages(a.chunks[0], true)
		}
		if len(next) > 0 {
			hugePages(chunk, false)
		}
		a.chunks = append(a.chunks, chunk)
		next = append(next, unsafe.Pointer(unsafe.SliceData(chunk)))
	}
	a.rows.Store(&kernels.Rows{Table: next, Shift: a.shift, Stride: a.stride, Blocks: a.blocks})
	return nil
}

// row returns the address of a slot's row; the arena must have grown to it.
func (a *arena) row(slot uint32) unsafe.Pointer {
	return a.rows.Load().At(slot)
}

// has says whether the arena has grown to the slot.
func (a *arena) has(slot uint32) bool {
	r := a.rows.Load()
	return int(slot>>r.Shift) < len(r.Table)
}

// words returns a slot's row as n words that are used atomically.
func (a *arena) words(slot uint32, n int) []uint32 {
	return unsafe.Slice((*uint32)(a.row(slot)), n)
}

// capacity is the first slot that there is no row for yet.
func (a *arena) capacity() int {
	r := a.rows.Load()
	return len(r.Table) << r.Shift
}

// bytes is the memory of the rows in use. What chunks have beyond it is
// reserved, not taken.
func (a *arena) bytes() int64 { return a.used.Load() * int64(a.stride) }

// trim gives the memory of the rows from n on back. They stay where they are: a
// reader that is late finds zeros, and grow finds the place.
func (a *arena) trim(n int) error {
	if int64(n) >= a.used.Load() {
		return nil
	}
	a.used.Store(int64(n))
	rows := 1 << a.shift
	var errs []error
	for i := n >> a.shift; i < len(a.chunks); i++ {
		keep := max(0, n-i*rows)
		errs = append(errs, giveBack(a.chunks[i][keep*a.stride:]))
	}
	return errors.Join(errs...)
}

func (a *arena) free() error {
	var errs []error
	for _, c := range a.chunks {
		errs = append(errs, release(c))
	}
	a.chunks = nil
	return errors.Join(errs...)
}

// alignedBytes returns n bytes of Go memory that begin at a multiple of 64.
func alignedBytes(n int) []byte {
	b := make([]byte, n+64)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & 63
	return b[skip : skip+n : skip+n]
}
