//go:build linux && !race

package hnsw

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// chunkBytes is the least size of a chunk.
const chunkBytes = 4 << 20

// allocate maps n zeroed bytes outside the Go heap, so that the garbage
// collector neither walks nor counts them. They begin where a huge page can.
func allocate(n int) ([]byte, error) {
	length := (n+hugePage-1)/hugePage*hugePage + hugePage
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	// What is before the first and behind the last boundary goes back.
	before := -int(uintptr(p)) & (hugePage - 1)
	start, kept := unsafe.Add(p, before), length-hugePage
	if before > 0 {
		err = unix.MunmapPtr(p, uintptr(before))
	}
	if after := hugePage - before; err == nil && after > 0 {
		err = unix.MunmapPtr(unsafe.Add(start, kept), uintptr(after))
	}
	if err != nil {
		return nil, fmt.Errorf("align %d bytes: %w", n, err)
	}
	return unsafe.Slice((*byte)(start), kept), nil
}

// hugePages asks the kernel for huge pages: a search of a large graph misses
// the page tables at every step. With filled, what is there already is copied to
// such pages. It is advice: a kernel that has none refuses it.
func hugePages(b []byte, filled bool) {
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	if filled {
		_ = unix.Madvise(b, unix.MADV_COLLAPSE)
	}
}

// giveBack returns the memory of whole pages, which read as zeros from now on.
func giveBack(b []byte) error {
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	if skip >= len(b) {
		return nil
	}
	if err := unix.Madvise(b[skip:], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("give back %d bytes: %w", len(b)-skip, err)
	}
	return nil
}

func release(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}
