package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages, as the graph does.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// forget takes a file out of the page cache.
func forget(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
