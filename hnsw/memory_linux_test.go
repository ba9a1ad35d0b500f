//go:build linux && !race

package hnsw

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const countedVectors = 3000

// resident is the memory that the system has given an arena.
func resident(t *testing.T, a *arena) int {
	t.Helper()
	page := os.Getpagesize()
	n := 0
	for _, chunk := range a.chunks {
		pages := make([]byte, len(chunk)/page)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(chunk))), uintptr(len(chunk)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
		if errno != 0 {
			t.Fatal(errno)
		}
		for _, p := range pages {
			n += int(p & 1)
		}
	}
	return n * page
}

// fixedBytes is what an arena may take beyond its rows: the rest of the last page,
// which is a huge one from the second chunk on.
func fixedBytes(a *arena) float64 {
	if len(a.chunks) > 1 {
		return 2 * hugePage
	}
	return float64(os.Getpagesize())
}
