package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"freshet/server/archive"
	"freshet/server/memory"
	"freshet/server/point"
	"freshet/storage"
	"freshet/storage/crashfs"
)

func openWithSnapshots(t testing.TB, fs vfs.FS, dir string) *DB {
	t.Helper()
	db, err := Open(context.Background(), "data", Options{FS: fs, SnapshotsDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func collection(t testing.TB, db *DB, name string) *Collection {
	t.Helper()
	c, err := db.Collection(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func takeSnapshot(t testing.TB, db *DB, name string) (SnapshotInfo, []byte) {
	t.Helper()
	info, err := db.CreateSnapshot(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, described, err := db.OpenSnapshot(context.Background(), name, info.Name)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	if info.Checksum != hex.EncodeToString(sum[:]) || info.Size != int64(len(raw)) || !described.Created.Equal(info.Created) {
		t.Fatalf("the snapshot %v has %d bytes, %x", info, len(raw), sum)
	}
	if info.Created = described.Created; info != described {
		t.Fatalf("%v became %v", info, described)
	}
	return info, raw
}

// storedRecords is everything that the store has of a collection. The records of
// neighbours are left out: which of them there are is no part of the state.
func storedRecords(t testing.TB, c *Collection) map[string]string {
	t.Helper()
	all := map[string]string{}
	s := c.store.Snapshot()
	for _, ks := range storage.PerSpace() {
		if ks == storage.Neighbours {
			continue
		}
		err := s.Scan(storage.AppendKey(nil, ks, c.space, nil), nil, func(key, value []byte) (bool, error) {
			all[fmt.Sprintf("%x %x", byte(ks), storage.Suffix(key))] = string(value)
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// fillWithEverything writes every kind of data that a collection can have.
func fillWithEverything(t testing.TB, db *DB, name string) *Collection {
	t.Helper()
	cfg := vectorConfig(2, Euclid)
	cfg.Metadata = map[string]json.RawMessage{"owner": json.RawMessage(`"me"`)}
	c := newCollection(t, db, name, cfg)
	text, err := point.Parse("a text")
	if err != nil {
		t.Fatal(err)
	}
	s := Stream{Source: "s", Topic: "t", Partition: 3}
	idle := Stream{Source: "s", Topic: "t", Partition: 4}
	var ops []Op
	for i := range uint64(300) {
		ops = append(ops, upsert(point.Number(i), Version{}, float32(i), -float32(i), fmt.Sprintf(`{"n":%d,"city":"c%d"}`, i, i%7)))
	}
	apply(t, c, Batch{Ops: ops})
	apply(t, c, Batch{
		Ops: []Op{
			upsert(text, Version{Stream: s, Offset: 7, Time: time.Now().UnixMilli() + 5000}, 1, 1, ""),
			upsert(point.UUID([16]byte{1, 2}), Version{Stream: s, Offset: 8, Time: time.Now().UnixMilli()}, 1, 2, `{}`),
			remove(Version{Stream: s, Offset: 9, Time: time.Now().UnixMilli() + 5000}, point.Number(5), point.Number(99999)),
		},
		Positions:   []Position{{Stream: s, Next: 10}, {Stream: idle, Next: 0}},
		DeadLetters: []DeadLetter{{Stream: s, Offset: 6, Reason: "undecodable", Value: []byte{0xff}}},
	})
	if err := db.CreateIndex(context.Background(), name, "n", json.RawMessage(`"integer"`)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSnapshotRoundTrip(t *testing.T) {
	source := openWithSnapshots(t, vfs.NewMem(), t.TempDir())
	defer closeDB(t, source)
	c := fillWithEverything(t, source, "c")
	other := newCollection(t, source, "other", vectorConfig(2, Dot))
	apply(t, other, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}})
	if err := source.UpdateAliases(context.Background(), []AliasAction{{Create: &Alias{"alias", "c"}}}); err != nil {
		t.Fatal(err)
	}
	_, single := takeSnapshot(t, source, "alias")
	_, whole := takeSnapshot(t, source, "")
	want, points := storedRecords(t, c), contents(t, c)

	fs := vfs.NewMem()
	target := openWithSnapshots(t, fs, t.TempDir())
	defer func() { closeDB(t, target) }()
	before := newCollection(t, target, "replaced", vectorConfig(7, Cosine))
	check := func(name string) {
		t.Helper()
		got := collection(t, target, name)
		if d := cmp.Diff(want, storedRecords(t, got)); d != "" {
			t.Fatalf("%s: %s", name, d)
		}
		if d := cmp.Diff(points, contents(t, got)); d != "" {
			t.Fatalf("%s: %s", name, d)
		}
		if d := cmp.Diff(c.Config(), got.Config()); d != "" {
			t.Fatalf("%s: %s", name, d)
		}
		if got.searched != 0 {
			t.Errorf("%s: the neighbours of %d points were searched anew", name, got.searched)
		}
		info, err := got.Info()
		if err != nil || info.Indexes["n"].Points != 299 {
			t.Errorf("%s: the index has %v (%v)", name, info.Indexes, err)
		}
		positions, err := got.Positions()
		if err != nil || len(positions) != 2 || positions[0].Next != 10 {
			t.Errorf("%s: positions %v (%v)", name, positions, err)
		}
	}
	for name, snapshot := range map[string][]byte{"new": single, "replaced": single, "c": whole} {
		if err := target.Recover(context.Background(), name, bytes.NewReader(snapshot), ""); err != nil {
			t.Fatal(err)
		}
		check(name)
	}
	if _, err := before.Info(); KindOf(err) != Unavailable {
		t.Errorf("the collection that was replaced still answers: %v", err)
	}
	// A write to what was recovered follows the snapshot's operations and versions.
	a := apply(t, collection(t, target, "new"), Batch{Ops: []Op{upsert(point.Number(5), Version{}, 0, 0, "")}})
	if a.Operation != c.operation+1 || a.Stale != 1 {
		t.Errorf("a write older than a delete in the snapshot: %+v", a)
	}
	closeDB(t, target)
	target = openWithSnapshots(t, fs, t.TempDir())
	check("replaced")
	check("c")
	noOrphans(t, target)
}

// noOrphans checks that the store has nothing of collections that are not in the
// catalog.
func noOrphans(t testing.TB, db *DB) {
	t.Helper()
	known := map[uint32]bool{}
	for _, name := range db.Collections() {
		known[collection(t, db, name).space.Collection] = true
	}
	s := db.store.Snapshot()
	look := func(key, _ []byte) (bool, error) {
		if id := binary.BigEndian.Uint32(key[1:]); !known[id] || key[0] == byte(storage.Orphan) {
			t.Fatalf("the key %x is of no collection", key)
		}
		return true, nil
	}
	for _, ks := range append(storage.PerSpace(), storage.Orphan) {
		if err := s.Scan([]byte{byte(ks)}, nil, look); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Snapshots that are taken beside writes have the state after some number of
// batches, and no batch in part.
func TestSnapshotsBesideWrites(t *testing.T) {
	db := openWithSnapshots(t, vfs.NewMem(), t.TempDir())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	s := Stream{Source: "s", Topic: "t"}
	const ids, size = 40, 10
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			// Batch n writes the points n·size … of the ring and moves the position to n.
			b := Batch{Positions: []Position{{Stream: s, Next: n}}}
			for i := range int64(size) {
				id := uint64(n*size+i) % ids
				b.Ops = append(b.Ops, upsert(point.Number(id), Version{Stream: s, Offset: n, Time: n}, float32(n), float32(id), fmt.Sprintf(`{"n":%d}`, n)))
			}
			if _, err := c.Apply(context.Background(), b); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 12 {
		before, _, err := c.Position(s)
		if err != nil {
			t.Fatal(err)
		}
		_, raw := takeSnapshot(t, db, "c")
		if err := db.Recover(context.Background(), "copy", bytes.NewReader(raw), ""); err != nil {
			t.Fatal(err)
		}
		copied := collection(t, db, "copy")
		position, _, err := copied.Position(s)
		if err != nil || position.Next < before.Next {
			t.Fatalf("position %v, %v before (%v)", position, before, err)
		}
		n := position.Next
		var want []string
		for id := range int64(ids) {
			batch := n - ((n*size+size-1-id+ids)%ids)/size
			if batch > 0 {
				want = append(want, fmt.Sprintf(`%d: [%d %d] {"n":%d}`, id, batch, id, batch))
			}
		}
		expect(t, copied, want...)
	}
	close(stop)
	wg.Wait()
}

// After a crash at any moment of a recovery the collection is what it was, or what
// was recovered, and nothing else is left.
func TestCrashWhileRecovering(t *testing.T) {
	source := openWithSnapshots(t, vfs.NewMem(), t.TempDir())
	_, raw := takeSnapshot(t, source, fillWithEverything(t, source, "c").Name())
	recovered := contents(t, collection(t, source, "c"))
	closeDB(t, source)

	fs := crashfs.New()
	rng := rand.New(rand.NewPCG(1, 2))
	db := openWithSnapshots(t, fs, t.TempDir())
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	apply(t, c, Batch{Sync: true, Ops: []Op{upsert(point.Number(1), Version{}, 1, 2, "")}})
	old := contents(t, c)
	var crashes []*crashfs.FS
	crash := func() {
		crashes = append(crashes, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
	}
	reader := readFunc(func(p []byte) (int, error) {
		crash()
		if len(raw) == 0 {
			return 0, io.EOF
		}
		n := copy(p[:min(len(p), 2000)], raw)
		raw = raw[n:]
		return n, nil
	})
	if err := db.Recover(context.Background(), "c", reader, ""); err != nil {
		t.Fatal(err)
	}
	crash()
	expect(t, collection(t, db, "c"), recovered...)
	closeDB(t, db)
	for i, fs := range crashes {
		if i%5 != 0 && i < len(crashes)-3 {
			continue
		}
		db := openWithSnapshots(t, fs, t.TempDir())
		got := contents(t, collection(t, db, "c"))
		last := i == len(crashes)-1
		if !slices.Equal(got, old) && !slices.Equal(got, recovered) || last && !slices.Equal(got, recovered) {
			t.Fatalf("after crash %d of %d there are %d points", i, len(crashes), len(got))
		}
		noOrphans(t, db)
		if err := db.Recover(context.Background(), "again", strings.NewReader(""), ""); KindOf(err) != BadRequest {
			t.Fatal(err)
		}
		closeDB(t, db)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// archiveOf makes a snapshot of entries.
func archiveOf(t testing.TB, entries ...archive.Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := archive.NewWriter(&out)
	for _, e := range entries {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// entriesOf reads a snapshot.
func entriesOf(t testing.TB, raw []byte) (list []archive.Entry) {
	t.Helper()
	r, err := archive.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
		list = append(list, e)
	}
}

// A snapshot that cannot be recovered is an error that says why, and changes nothing.
func TestBadSnapshots(t *testing.T) {
	db := openWithSnapshots(t, vfs.NewMem(), t.TempDir())
	defer closeDB(t, db)
	fillWithEverything(t, db, "c")
	_, good := takeSnapshot(t, db, "c")
	_, whole := takeSnapshot(t, db, "")
	entries := entriesOf(t, good)
	// change makes a snapshot with another value, or key, of the first record of a
	// key space.
	change := func(ks storage.Keyspace, f func(e *archive.Entry)) []byte {
		list := slices.Clone(entries)
		i := slices.IndexFunc(list, func(e archive.Entry) bool { return e.Kind == archive.Record && e.Space == byte(ks) })
		f(&list[i])
		return archiveOf(t, list...)
	}
	value := func(ks storage.Keyspace, v []byte) []byte {
		return change(ks, func(e *archive.Entry) { e.Value = v })
	}
	withTime := func() []byte {
		list := slices.Clone(entries)
		i := slices.IndexFunc(list, func(e archive.Entry) bool {
			return e.Kind == archive.Record && e.Space == byte(storage.Meta) && string(e.Key) == metaTime
		})
		list[i].Value = []byte{1}
		return archiveOf(t, list...)
	}
	withMeta := func(field string, n uint64) []byte {
		list := slices.Clone(entries)
		i := slices.IndexFunc(list, func(e archive.Entry) bool {
			return e.Kind == archive.Record && e.Space == byte(storage.Meta) && string(e.Key) == field
		})
		list[i].Value = binary.BigEndian.AppendUint64(nil, n)
		return archiveOf(t, list...)
	}
	withMoves := func(n uint64) []byte {
		list := slices.Clone(entries)
		i := slices.IndexFunc(list, func(e archive.Entry) bool {
			return e.Kind == archive.Record && e.Space == byte(storage.Meta) && string(e.Key) > metaMoves
		})
		list[len(list)-1].Count++
		return archiveOf(t, slices.Insert(list, i, archive.Entry{
			Kind: archive.Record, Space: byte(storage.Meta), Key: []byte(metaMoves), Value: binary.BigEndian.AppendUint64(nil, n),
		})...)
	}
	described := func(about string) []byte {
		return archiveOf(t, append([]archive.Entry{{Kind: archive.Collection, Value: []byte(about)}}, entries[1:]...)...)
	}
	stored := storedRecords(t, collection(t, db, "c"))
	nanVector := appendVectors(nil, Vectors{"": Dense{float32(nan()), 1}})
	far := &nodeRecord{id: point.Number(0).AppendKey(nil), born: 1, stored: 1}
	for name, c := range map[string]struct {
		file     []byte
		checksum string
		want     string // "" for a snapshot that is recovered nevertheless
	}{
		"empty":                {nil, "", "does not begin"},
		"text":                 {[]byte("<html>secret</html>"), "", "does not begin"},
		"cut":                  {good[:len(good)-1], "", "cut off"},
		"cut in half":          {good[:len(good)/2], "", "cut off"},
		"more":                 {append(slices.Clone(good), 1), "", "bytes behind"},
		"checksum":             {good, strings.Repeat("0", 64), "checksum mismatch"},
		"not a checksum":       {good, "abc", "not a SHA-256"},
		"nothing":              {archiveOf(t), "", "no collection `c`"},
		"another collection":   {archiveOf(t, withName(entriesOf(t, whole), "d")...), "", "no collection `c`"},
		"two":                  {archiveOf(t, append(slices.Clone(entries), entries...)...), "", "more than one collection"},
		"no end":               {archiveOf(t, entries[:len(entries)-1]...), "", "ends within a collection"},
		"no beginning":         {archiveOf(t, entries[1:]...), "", "out of place"},
		"missing record":       {archiveOf(t, slices.Delete(slices.Clone(entries), 1, 2)...), "", "records instead of"},
		"twice":                {archiveOf(t, slices.Insert(slices.Clone(entries), 1, entries[1])...), "", "not in order"},
		"not JSON":             {described(`{`), "", "not described as JSON"},
		"newer records":        {described(`{"name":"c","format":99,"config":{}}`), "", "format 99"},
		"no format":            {described(`{"name":"c","config":{}}`), "", "format 0"},
		"dimension":            {described(`{"name":"c","format":3,"config":{"vectors":{"size":3,"distance":"Dot"}}}`), "", "cannot be loaded"},
		"size":                 {described(`{"name":"c","format":3,"config":{"vectors":{"size":99999999,"distance":"Dot"}}}`), "", "vectors.size"},
		"index":                {described(`{"name":"c","format":3,"config":{"vectors":{"size":2,"distance":"Dot"},"payload_schema":{"a":"nonsense"}}}`), "", "cannot be had"},
		"key space":            {archiveOf(t, slices.Insert(slices.Clone(entries), len(entries)-1, archive.Entry{Kind: archive.Record, Space: 0x7f})...), "", "key space 0x7f"},
		"catalog":              {archiveOf(t, slices.Insert(slices.Clone(entries), 1, archive.Entry{Kind: archive.Record, Space: byte(storage.Catalog), Key: []byte("c")})...), "", "key space 0x1 "},
		"time":                 {withTime(), "", "time of the last write"},
		"moves":                {withMoves(1 << 40), "", "of which 1099511627776 were moves"},
		"point":                {value(storage.Point, []byte{9}), "", "a point cannot be read"},
		"point id":             {change(storage.Point, func(e *archive.Entry) { e.Key = []byte{0} }), "", "id of a point"},
		"payload":              {value(storage.Point, (&stored0).append(nil)), "", "not a JSON object"},
		"operation":            {value(storage.Point, (&storedLate).append(nil)), "", "the last one is"},
		"stream":               {value(storage.Point, (&storedStream).append(nil)), "", "has no position"},
		"vector":               {value(storage.Vector, []byte{1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}), "", "vectors of a point"},
		"not a number":         {value(storage.Vector, nanVector), "", "not finite"},
		"vector without":       {change(storage.Vector, func(e *archive.Entry) { e.Key = e.Key[:8] }), "", "do not belong together"},
		"tombstone":            {value(storage.Tombstone, []byte{1}), "", "tombstone"},
		"position":             {value(storage.Position, []byte{0, 0}), "", "a position cannot"},
		"huge stream":          {value(storage.Position, binary.AppendVarint(binary.AppendUvarint(nil, 1<<24), 1)), "", "has no position"},
		"same stream":          {value(storage.Position, binary.AppendVarint(binary.AppendUvarint(nil, 2), 1)), "", "two positions"},
		"dead letter":          {value(storage.DeadLetter, []byte("{")), "", "dead letter"},
		"no dead letter":       {value(storage.DeadLetter, []byte("[]")), "", "dead letter"},
		"last operation":       {withMeta(metaOperation, math.MaxUint64), "", "number of the last operation is"},
		"later write":          {value(storage.Point, (&storedLater).append(nil)), "", "a write is of the operation"},
		"later delete":         {value(storage.Tombstone, appendTombstone(nil, tombstone{version: storedLater.version})), "", "a write is of the operation"},
		"neighbours":           {value(storage.Neighbours, []byte{1, 2, 3}), "", "record of neighbours"},
		"many neighbours":      {value(storage.Neighbours, append([]byte{1, 1, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x0f)), "", "record of neighbours"},
		"a slot far away":      {archiveOf(t, slices.Insert(slices.Clone(entries[:len(entries)-1]), len(entries)-1, archive.Entry{Kind: archive.Record, Space: byte(storage.Neighbours), Key: []byte{0x7f, 0xff, 0xff, 0xff}, Value: far.append(nil)}, archive.Entry{Kind: archive.CollectionEnd, Count: entries[len(entries)-1].Count + 1})...), "", ""},
		"wild neighbours":      {value(storage.Neighbours, (&nodeRecord{id: point.Number(0).AppendKey(nil), born: 1, stored: 300, neighbours: map[string][][]uint32{"": {{0, 1, math.MaxUint32}}}}).append(nil)), "", ""},
		"neighbours of a twin": {value(storage.Neighbours, (&nodeRecord{id: point.Number(7).AppendKey(nil), born: 1, stored: 300, neighbours: map[string][][]uint32{"": {{1, 2}}}}).append(nil)), "", ""},
	} {
		err := db.Recover(context.Background(), "c", bytes.NewReader(c.file), c.checksum)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if d := cmp.Diff(stored, storedRecords(t, collection(t, db, "c"))); d != "" {
				t.Errorf("%s: %s", name, d)
			} else {
				contents(t, collection(t, db, "c"))
			}
			continue
		}
		if KindOf(err) != BadRequest || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: the error tells what is in the file: %v", name, err)
		}
		if got := storedRecords(t, collection(t, db, "c")); len(got) != len(stored) {
			t.Errorf("%s: the collection has changed", name)
		}
	}
	broken := errors.New("the line is dead")
	err := db.Recover(context.Background(), "c", io.MultiReader(bytes.NewReader(good[:200]), iotest.ErrReader(broken)), "")
	if !errors.Is(err, broken) {
		t.Errorf("a broken line: %v", err)
	}
	noOrphans(t, db)
	db.maxSnapshotBytes = int64(len(good)) - 1
	if err := db.Recover(context.Background(), "c", bytes.NewReader(good), ""); KindOf(err) != BadRequest || !strings.Contains(err.Error(), "max_snapshot_bytes") {
		t.Errorf("too large: %v", err)
	}
	noOrphans(t, db)
}

// Records that are well-formed and wrong.
var (
	stored0      = stored{operation: 1, payload: json.RawMessage(`[]`)}
	storedLate   = stored{operation: 1 << 40, payload: json.RawMessage(`{}`)}
	storedLater  = stored{operation: 1, version: storedVersion{offset: 1 << 40}, payload: json.RawMessage(`{}`)}
	storedStream = stored{operation: 1, version: storedVersion{stream: 77}, payload: json.RawMessage(`{}`)}
)

func withName(entries []archive.Entry, name string) []archive.Entry {
	list := slices.Clone(entries)
	for i := range list {
		if list[i].Kind == archive.Collection {
			list[i].Value = bytes.Replace(list[i].Value, []byte(`"name":"c"`), []byte(`"name":"`+name+`"`), 1)
		}
	}
	return list
}

func TestSnapshotNames(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "secret.snapshot")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "snapshots")
	db := openWithSnapshots(t, vfs.NewMem(), inside)
	defer closeDB(t, db)
	for _, name := range []string{"c", "...", "%2E", "a\nb", strings.Repeat("ä", 127), strings.Repeat("%", MaxNameBytes), strings.Repeat(".", MaxNameBytes)} {
		newCollection(t, db, name, vectorConfig(2, Dot))
		if list, err := db.Snapshots(context.Background(), name); err != nil || len(list) != 0 {
			t.Errorf("%q: %v %v", name, list, err)
		}
		info, _ := takeSnapshot(t, db, name)
		list, err := db.Snapshots(context.Background(), name)
		if err != nil || len(list) != 1 || list[0].Checksum != info.Checksum {
			t.Errorf("%q: %v %v", name, list, err)
		}
	}
	full, _ := takeSnapshot(t, db, "")
	list, err := db.Snapshots(context.Background(), "")
	if err != nil || len(list) != 1 || list[0].Name != full.Name {
		t.Errorf("of the whole storage: %v %v", list, err)
	}
	for link, target := range map[string]string{"link.snapshot": outside, "c/link.snapshot": outside, "c/in.snapshot": full.Name} {
		if err := os.Symlink(target, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pipe := range []string{"pipe.snapshot", "c/pipe.snapshot"} { // opening one waits for who writes to it
		if err := unix.Mkfifo(filepath.Join(inside, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := db.Snapshots(context.Background(), "c"); err != nil || len(list) != 1 {
		t.Errorf("beside links and pipes: %v %v", list, err)
	}
	for _, name := range []string{
		"pipe.snapshot", "", ".", "..", "../secret.snapshot", "../" + full.Name, outside, "c/../" + full.Name, "a\x00.snapshot", "link.snapshot", "in.snapshot",
		strings.Repeat("a", 300) + ".snapshot", "none.snapshot", full.Name + ".checksum", `..\secret.snapshot`,
	} {
		if _, _, err := db.OpenSnapshot(context.Background(), "c", name); KindOf(err) != NotFound {
			t.Errorf("open %q: %v", name, err)
		}
		if err := db.DeleteSnapshot(context.Background(), "c", name); KindOf(err) != NotFound {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	for _, file := range []string{
		"", "/etc/shadow", outside, "snapshots/" + full.Name, filepath.Join(inside, "..", "secret.snapshot"), inside + "/../secret.snapshot",
		filepath.Join(inside, "link.snapshot"), filepath.Join(inside, "pipe.snapshot"), inside, filepath.Join(inside, "none.snapshot"), inside + "x/a.snapshot", inside + "/a\x00b",
	} {
		f, err := db.OpenSnapshotFile(file)
		if KindOf(err) != BadRequest || f != nil {
			t.Errorf("open the file %q: %v", file, err)
		}
	}
	if f, err := db.OpenSnapshotFile(filepath.Join(inside, full.Name)); err != nil || f.Close() != nil {
		t.Errorf("a snapshot by its path: %v", err)
	}
	if err := db.DeleteSnapshot(context.Background(), "", full.Name); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(inside, full.Name+".checksum")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checksum is left: %v", err)
	}
	if raw, err := os.ReadFile(outside); err != nil || string(raw) != "secret" {
		t.Errorf("the file outside: %q %v", raw, err)
	}
}

// What a crash leaves of a snapshot goes at the next start, and nothing else.
func TestUnfinishedSnapshotsGo(t *testing.T) {
	dir := t.TempDir()
	fs := vfs.NewMem()
	db := openWithSnapshots(t, fs, dir)
	newCollection(t, db, "c", vectorConfig(2, Dot))
	info, _ := takeSnapshot(t, db, "c")
	for _, name := range []string{"c/x.snapshot.part", "c/x.snapshot.checksum", "y.snapshot.part", "mine.part"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, db)
	db = openWithSnapshots(t, fs, dir)
	defer closeDB(t, db)
	var left []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			left = append(left, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if d := cmp.Diff([]string{"c/" + info.Name, "c/" + info.Name + ".checksum", "mine.part"}, left); err != nil || d != "" {
		t.Error(err, d)
	}
}

// A recovery that its context or Close ends leaves the collection as it was.
func TestRecoveryEnds(t *testing.T) {
	fs := vfs.NewMem()
	db := openWithSnapshots(t, fs, t.TempDir())
	want := contents(t, fillWithEverything(t, db, "c"))
	_, raw := takeSnapshot(t, db, "c")
	ctx, cancel := context.WithCancel(context.Background())
	half := io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), readFunc(func([]byte) (int, error) {
		cancel()
		return 0, nil
	}))
	if err := db.Recover(ctx, "c", half, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	begun, result := make(chan struct{}), make(chan error)
	var once sync.Once
	endless := io.MultiReader(bytes.NewReader(raw[:100]), readFunc(func([]byte) (int, error) {
		once.Do(func() { close(begun) })
		time.Sleep(time.Millisecond)
		return 0, nil
	}))
	go func() { result <- db.Recover(context.Background(), "c", endless, "") }()
	<-begun
	closeDB(t, db)
	if err := <-result; err == nil {
		t.Error("it was not ended")
	}
	if _, err := db.CreateSnapshot(context.Background(), "c"); KindOf(err) != Unavailable {
		t.Errorf("a snapshot of a database that is closed: %v", err)
	}
	db = openWithSnapshots(t, fs, t.TempDir())
	defer closeDB(t, db)
	expect(t, collection(t, db, "c"), want...)
	noOrphans(t, db)
}

// A recovery amid which the disk becomes full, or memory, is refused then, and not when it has
// taken what is left. The collection stays as it was.
func TestRecoveryEndsWithoutRoom(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	fs := vfs.NewMem()
	fillDisk(fs, 10)
	guard := memory.NewGuard(1<<30, slog.New(slog.DiscardHandler))
	var loading atomic.Bool
	db, err := Open(t.Context(), "data", Options{
		FS: fs, SnapshotsDir: t.TempDir(), Memory: guard, Disk: DiskOptions{HighPercent: 95, Interval: time.Millisecond},
		now: func() time.Time { // a load asks for it
			if loading.Load() {
				guard.Look(memory.Use{Live: 1 << 30}, nil)
			}
			return time.Now()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	text := strings.Repeat("a", importBatch/16)
	for id := range uint64(64) {
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(id), Version{}, float32(id), 1, fmt.Sprintf(`{"text":%q}`, text))}})
	}
	_, raw := takeSnapshot(t, db, "c")
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1000), Version{}, 1, 1, "")}})
	want := contents(t, c)
	// from reads the snapshot, and calls at before the part that begins at an offset.
	from := func(offset int, at func()) (snapshot io.Reader, read *int) {
		done := 0
		return readFunc(func(p []byte) (int, error) {
			if done >= offset && at != nil {
				at()
				at = nil
			}
			n := copy(p, raw[done:])
			if done += n; n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}), &done
	}
	stays := func(kind Kind, err error) {
		t.Helper()
		if KindOf(err) != kind {
			t.Errorf("got %v", err)
		}
		if got := collection(t, db, "c"); got != c || !slices.Equal(contents(t, got), want) {
			t.Error("the collection has changed")
		}
		noOrphans(t, db)
	}

	const begun = 1 << 20
	snapshot, read := from(begun, func() {
		fillDisk(fs, 96)
		becomes(t, db, false)
	})
	err = db.Recover(t.Context(), "c", snapshot, "")
	if fillDisk(fs, 10); *read > begun+2*importBatch {
		t.Errorf("%d of %d bytes were read after the disk had become full", *read-begun, len(raw))
	}
	stays(Full, err)
	becomes(t, db, true)

	snapshot, read = from(begun, func() { guard.Look(memory.Use{Live: 1 << 30}, nil) })
	err = db.Recover(t.Context(), "c", snapshot, "")
	if *read > begun+2*importBatch {
		t.Errorf("%d of %d bytes were read after memory had become full", *read-begun, len(raw))
	}
	stays(MemoryFull, err)
	guard.Look(memory.Use{}, nil)

	snapshot, _ = from(len(raw), func() { loading.Store(true) })
	err = db.Recover(t.Context(), "c", snapshot, "")
	loading.Store(false)
	stays(MemoryFull, err)
	guard.Look(memory.Use{}, nil)

	snapshot, _ = from(0, nil)
	if err := db.Recover(t.Context(), "c", snapshot, ""); err != nil {
		t.Errorf("with room: %v", err)
	}
}
