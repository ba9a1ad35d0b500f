package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"freshet/storage"
)

// ExamineOptions say who is told of an examination.
type ExamineOptions = storage.ExamineOptions

// Finding is something that an examination has found.
type Finding = storage.Finding

// Report takes what an examination finds, one after the other.
type Report = storage.Report

// The levels of findings.
const (
	Fine    = storage.Fine
	Warning = storage.Warning
	Problem = storage.Problem
)

// Examine looks at a data folder that no process uses, and changes nothing in it: at the
// files as storage.Examine does, and at whether what they hold goes together, the catalog,
// the points, their vectors, the neighbours and the positions.
func Examine(ctx context.Context, dir string, o ExamineOptions) error {
	return storage.Examine(ctx, dir, o, func(s *storage.Snapshot) error {
		x := &examination{snapshot: s, report: o.Report, known: map[uint32]string{}}
		return x.all(ctx)
	})
}

// restore is what remains to be done about a damaged collection.
const restore = "restore the collection from a snapshot, or drop it and let its sources read their topics again"

// examination looks at the content of a store.
type examination struct {
	snapshot *storage.Snapshot
	report   Report
	entries  []catalogEntry
	known    map[uint32]string // by the number of a space, whose it is
}

func (x *examination) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{x.catalog, x.aliases, x.orphans, x.spaces} {
		if err := x.whole(ctx, "catalog", step(ctx)); err != nil {
			return err
		}
	}
	for _, e := range x.entries {
		c := newCollectionExamination(x, e)
		if err := x.whole(ctx, e.Name, c.all(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// whole reports what kept records from being read; an error is one of the context.
func (x *examination) whole(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		x.report.Wrong(what, restore, "not all records can be read: %v", err)
	}
	return nil
}

func (x *examination) scan(ctx context.Context, prefix []byte, visit func(key, value []byte) error) error {
	return x.snapshot.Scan(prefix, nil, func(key, value []byte) (bool, error) {
		return true, errors.Join(visit(key, value), ctx.Err())
	})
}

func (x *examination) catalog(ctx context.Context) error {
	const advice = "restore a snapshot of the whole storage"
	return x.scan(ctx, storage.GlobalKey(storage.Catalog, ""), func(key, value []byte) error {
		name := string(key[1:])
		var e catalogEntry
		err := json.Unmarshal(value, &e)
		if err == nil && e.Name != name {
			err = fmt.Errorf("it is that of %q", e.Name)
		}
		if err == nil {
			err = e.Config.Validate()
		}
		if other := x.known[e.ID]; err == nil && other != "" {
			err = fmt.Errorf("its number %d is that of %s, too", e.ID, other)
		}
		if err != nil {
			x.report.Wrong(name, advice, "the description of the collection is damaged: %v", err)
			return nil
		}
		x.known[e.ID] = fmt.Sprintf("the collection %q", name)
		x.entries = append(x.entries, e)
		return nil
	})
}

func (x *examination) aliases(ctx context.Context) error {
	return x.scan(ctx, storage.GlobalKey(storage.Alias, ""), func(key, value []byte) error {
		if !slices.ContainsFunc(x.entries, func(e catalogEntry) bool { return e.Name == string(value) }) {
			x.report.Wrong(string(key[1:]), "remove the alias, or make the collection", "the alias stands for the collection %q, which there is not", value)
		}
		return nil
	})
}

func (x *examination) orphans(ctx context.Context) error {
	return x.scan(ctx, []byte{byte(storage.Orphan)}, func(key, _ []byte) error {
		id, ok := orphanID(key)
		if !ok {
			x.report.Wrong("catalog", restore, "the key %x is damaged", key)
			return nil
		}
		if other := x.known[id]; other != "" {
			x.report.Wrong("catalog", restore, "%s is one whose data are to be removed", other)
			return nil
		}
		x.known[id] = "an interrupted drop or recovery"
		x.report.Fine("catalog", "an interrupted drop or recovery has left data, which the next start removes")
		return nil
	})
}

// spaces looks for records of collections that there are not.
func (x *examination) spaces(ctx context.Context) error {
	strangers := map[uint32]bool{}
	for _, ks := range storage.PerSpace() {
		for from, more := uint64(0), true; more && from <= 1<<32-1; {
			more = false
			start := storage.AppendKey(nil, ks, storage.Space{Collection: uint32(from)}, nil)
			err := x.snapshot.Scan([]byte{byte(ks)}, start, func(key, _ []byte) (bool, error) {
				if len(key) < len(start) {
					return false, fmt.Errorf("the key %x is damaged", key)
				}
				id := binary.BigEndian.Uint32(key[1:])
				strangers[id] = x.known[id] == ""
				from, more = uint64(id)+1, true
				return false, ctx.Err()
			})
			if err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(strangers)) {
		if strangers[id] {
			x.report.Wrong("catalog", "restore a snapshot of the whole storage: the description of a collection is missing", "there are records of a collection with the number %d, which is not in the catalog", id)
		}
	}
	return nil
}
