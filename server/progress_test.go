package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"freshet/server/point"
)

// TestProgress checks what those who look on see of a load.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCollection(t, db, "c", vectorConfig(2, Dot))
	for i := range uint64(3) {
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(i), Version{}, 1, 0, "")}})
	}
	newCollection(t, db, "d", vectorConfig(2, Dot))
	closeDB(t, db)
	var p Progress
	if got := p.String(); got != "opening the store" {
		t.Error(got)
	}
	if db, err = Open(context.Background(), dir, Options{Progress: &p}); err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	if got := p.String(); got != "loading: 2 of 2 collections, 0 of 0 points of the next one" {
		t.Error(got)
	}

	var shared Progress
	var logs bytes.Buffer
	shared.begin(2)
	l := newLoadProgress(slog.New(slog.NewTextHandler(&logs, nil)), &shared, 10_000)
	for range progressEvery {
		l.point()
	}
	if got := shared.String(); got != "loading: 0 of 2 collections, 4096 of 10000 points of the next one" || logs.Len() > 0 {
		t.Error(got, logs.String())
	}
	l.logged = time.Now().Add(-progressPause)
	for range progressEvery {
		l.point()
	}
	if !strings.Contains(logs.String(), "points=8192 of=10000") {
		t.Errorf("the log has %q", logs.String())
	}
}
