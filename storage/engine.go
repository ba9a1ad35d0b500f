package storage

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engine is Pebble on the data folder.
//
// On a full disk it is opened read-only, since opening to write takes space. Once there is
// room a second one is opened beside it and takes its place, while snapshots of the first
// are read on: the folder keeps every file until the last of those is closed. Both have the
// same content, because nothing can be written in between.
type engine struct {
	db       *pebble.DB
	readOnly bool
	users    atomic.Int64 // snapshots that are not closed
}

// openEngine opens the folder. To write, it brings the layout up to date.
func openEngine(dir string, o *Options, fs vfs.FS, readOnly bool) (*engine, error) {
	var db *pebble.DB
	var err error
	if readOnly {
		db, err = pebble.Open(dir, pebbleOptions(o, fs, true))
	} else {
		db, err = openToWrite(dir, o, fs)
	}
	if err != nil {
		return nil, fmt.Errorf("open data folder %s: %w", dir, err)
	}
	e := &engine{db: db, readOnly: readOnly}
	if err := e.checkFormat(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), db.Close())
	}
	return e, nil
}

// beginWriting opens the store to write if it is read-only and there is room. The watcher
// calls it.
func (s *Store) beginWriting() error {
	if old := s.engine.Load(); !old.readOnly || s.disk.writable() != nil {
		return nil
	}
	if err := s.folder.keep(s.dir); err != nil {
		return err
	}
	e, err := openEngine(s.dir, &s.o, s.fs, false)
	if err != nil {
		return err // reads of the read-only one go on
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, changes := range s.deferred {
		b := e.db.NewBatch()
		err = errors.Join(err, b.SetRepr(changes))
		if err == nil {
			err = e.db.Apply(b, pebble.NoSync)
		}
		err = errors.Join(err, b.Close())
	}
	if err != nil {
		return errors.Join(err, e.db.Close())
	}
	s.deferred = nil
	s.former = s.engine.Swap(e)
	close(s.reopened)
	return nil
}

// closeFormer closes the read-only engine once nothing is read from it any more.
func (s *Store) closeFormer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.former == nil || s.former.users.Load() > 0 {
		return nil
	}
	err := errors.Join(s.former.db.Close(), s.folder.removeKept())
	s.former = nil
	return err
}
