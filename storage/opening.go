package storage

import (
	"errors"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openingName is the name of an empty file that is there while the store is opened to be
// written. That turns the logs there are into a table and removes them before it makes a log
// of its own: cut short in between, it leaves a folder like one whose log was lost.
const openingName = "OPENING"

// openToWrite opens the store, and what it does meanwhile can be told from damage.
func openToWrite(dir string, o *Options, fs vfs.FS) (*pebble.DB, error) {
	name := fs.PathJoin(dir, openingName)
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(file.Close(), syncFolder(fs, dir))
	}
	if err != nil {
		return nil, err
	}
	db, err := pebble.Open(dir, pebbleOptions(o, fs, false))
	if err != nil {
		return nil, err
	}
	if err := fs.Remove(name); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// isOpening says whether an opening was begun, and not ended.
func isOpening(fs vfs.FS, dir string) (bool, error) {
	_, err := fs.Stat(fs.PathJoin(dir, openingName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
