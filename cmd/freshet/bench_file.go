package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// reportFile is a file that a report goes to. It is opened before anything is measured, so
// that a path that cannot be written costs no run, beside its place, so that an older report
// stays until there is a new one.
type reportFile struct {
	path string
	part *os.File
}

// replaceable returns an error if what is at a path is no file, so that none can take its place.
func replaceable(path string) error {
	if there, err := os.Stat(path); err == nil && !there.Mode().IsRegular() {
		return usageError{fmt.Errorf("%s is there and is no file", path)}
	}
	return nil
}

// openReport opens path for a report; "" is none.
func openReport(path string) (*reportFile, error) {
	if path == "" {
		return nil, nil
	}
	if err := replaceable(path); err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	part, err := os.Create(path + ".part")
	if err != nil {
		return nil, usageError{fmt.Errorf("--report: %w", err)}
	}
	return &reportFile{path, part}, nil
}

// write puts what is written in place.
func (f *reportFile) write(report func(io.Writer) error) error {
	err := errors.Join(report(f.part), f.part.Close())
	if err == nil {
		err = os.Rename(f.part.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--report: %w", err), os.Remove(f.part.Name()))
	}
	return nil
}

// discard leaves what was there before.
func (f *reportFile) discard() error {
	return errors.Join(f.part.Close(), os.Remove(f.part.Name()))
}
