package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"freshet/cmd/freshet/internal/rest"
)

// state is what the state file holds. Batches are written in parallel; the
// position is the end of those before which none is missing.
type state struct {
	Source string `json:"source"`
	fileState
	Payload    string    `json:"payload,omitempty"` // file; empty: none
	Payloads   fileState `json:"payloads,omitzero"`
	Target     string    `json:"target"`
	Collection string    `json:"collection"`
	position
}

// fileState tells a file from what it was before; the zero value is that of a server.
type fileState struct {
	Size     int64  `json:"size,omitempty"` // bytes
	Modified string `json:"modified,omitempty"`
}

// tracker keeps the state file.
type tracker struct {
	path string

	mu    sync.Mutex
	state state
	next  int // the first batch that is not written
	done  map[int]position
	saved time.Time
}

// saveEvery is how often the state file is written. What a kill loses is written
// again, over itself.
const saveEvery = time.Second

// stateFile is the default place: one for each source and target.
func stateFile(s state) string {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, s.Source, "\x00", s.Target, "\x00", s.Collection) // a hash takes everything
	return fmt.Sprintf(".freshet-import-%016x.json", h.Sum64())
}

// openTracker reads the state that an import before has left, if there is one. It
// writes none.
func openTracker(path string, s state) (t *tracker, resumed bool, err error) {
	t = &tracker{path: path, state: s, done: map[int]position{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var old state
	if err := json.Unmarshal(raw, &old); err != nil {
		return nil, false, wrong("%s is no state of an import (%w); delete it to begin again", path, err)
	}
	if old.Source != s.Source || old.fileState != s.fileState || old.Payload != s.Payload || old.Payloads != s.Payloads || old.Target != s.Target || old.Collection != s.Collection {
		return nil, false, wrong("%s is the state of another import, or %s has changed since; delete it to begin again", path, strings.TrimSuffix(s.Source+" or "+s.Payload, " or "))
	}
	t.state.position = old.position
	return t, true, nil
}

// finished notes that a batch is written.
func (t *tracker) finished(batch int, end position) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[batch] = end
	for {
		p, ok := t.done[t.next]
		if !ok {
			break
		}
		delete(t.done, t.next)
		t.state.position = p
		t.next++
	}
	if time.Since(t.saved) < saveEvery {
		return nil
	}
	return t.save()
}

// save replaces the state file in one step.
func (t *tracker) save() error {
	raw, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	t.saved = time.Now()
	temporary := t.path + ".part"
	if err := os.WriteFile(temporary, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, t.path)
}

// end keeps the state of an import that failed, and says how to go on. It removes that of
// one that is done, and of a file that is wrong before anything of it is written: it is going
// to be mended, which would make it another one.
func (t *tracker) end(ctx context.Context, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || t.state.Rows == 0 && t.state.fileState != (fileState{}) && rest.Final(err) {
		return errors.Join(err, os.Remove(t.path))
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // requests that it broke off tell less
	}
	if !rest.Final(err) {
		err = fmt.Errorf("%w; %d rows are written, and the same command goes on behind them", err, t.state.Rows)
	}
	return errors.Join(err, t.save())
}

// describe returns the path of a file and what tells it from what it was before.
func describe(file string) (path string, s fileState, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", s, &InputError{err}
	}
	path, err = filepath.Abs(file)
	return path, fileState{info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)}, err
}
