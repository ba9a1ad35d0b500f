//go:build linux && !race

package hnsw

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// allocate maps n zeroed bytes outside the Go heap, so that the garbage
// collector neither walks nor counts them. With huge the kernel is asked for
// huge pages: a search of a large graph misses the page tables at every step.
func allocate(n int, huge bool) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	if huge {
		// Advice only: a kernel without huge pages refuses it.
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
	return b, nil
}

func release(b []byte) error { return unix.Munmap(b) }
