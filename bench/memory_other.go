//go:build !linux

package main

import (
	"errors"
	"os"
)

// adviseHuge does nothing where huge pages cannot be asked for.
func adviseHuge([]byte) {}

// forget takes a file out of the page cache.
func forget(*os.File) error { return errors.ErrUnsupported }
