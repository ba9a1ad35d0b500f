// Package outfile writes files that take their place once they are whole: until then what was
// there stays.
package outfile

import (
	"errors"
	"fmt"
	"os"
)

// Suffix ends the name of a file that is not whole.
const Suffix = ".part"

// File is a file that is not in its place yet.
type File struct {
	*os.File
	path string
}

// Replaceable returns an error if what is at a path is no file, so that none can take its place.
func Replaceable(path string) error {
	if there, err := os.Stat(path); err == nil && !there.Mode().IsRegular() {
		return fmt.Errorf("%s is there and is no file", path)
	}
	return nil
}

// Create begins a file beside its place.
func Create(path string) (*File, error) {
	if err := Replaceable(path); err != nil {
		return nil, err
	}
	f, err := os.Create(path + Suffix)
	if err != nil {
		return nil, err
	}
	return &File{f, path}, nil
}

// End puts what was written without an error in place, and else leaves what was there.
func (f *File) End(err error) error {
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// Discard leaves what was there.
func (f *File) Discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
