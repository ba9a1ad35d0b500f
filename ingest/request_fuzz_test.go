package ingest

import (
	"bytes"
	"errors"
	"testing"

	"freshet/server"
	"freshet/server/sources"
)

// mustBeTheClients checks that an error of a request is the client's.
func mustBeTheClients(t *testing.T, raw []byte, err error) {
	t.Helper()
	var own *server.Error
	if !errors.As(err, &own) || own.Kind != server.Invalid && own.Kind != server.BadRequest || own.Text == "" {
		t.Fatalf("%q: %v", raw, err)
	}
}

// FuzzSourceRequest checks that any description of a source is refused or read, and that
// a source as it is described afterwards is the same source.
func FuzzSourceRequest(f *testing.F) {
	m := &Manager{kafka: Kafka{BootstrapServers: "localhost:9092"}}
	f.Add([]byte(`{"topics":["t"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key := sources.Key{Collection: "c", Name: "s"}
		s, err := m.parseSource(key, raw)
		if err != nil {
			mustBeTheClients(t, raw, err)
			return
		}
		described, err := describe(&s)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		again, err := m.parseSource(key, described)
		if err != nil {
			t.Fatalf("%q is described as %s: %v", raw, described, err)
		}
		if second, err := describe(&again); err != nil || !bytes.Equal(described, second) {
			t.Fatalf("%q is described as %s, and that as %s, %v", raw, described, second, err)
		}
	})
}

// FuzzReplayRequest checks that any request of a replay is refused or read, and that what
// it overrides of a collection is refused or valid.
func FuzzReplayRequest(f *testing.F) {
	cfg := server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: 2, Distance: server.Cosine}}}}
	f.Add([]byte(`{"into":"c2"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, err := parseReplay(raw)
		if err != nil {
			mustBeTheClients(t, raw, err)
			return
		}
		if _, err := parseStart(startOf(want.From)); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		changed, err := overridden(cfg, want.Overrides.Collection)
		if err != nil {
			mustBeTheClients(t, raw, err)
			return
		}
		if err := changed.Validate(); err != nil {
			t.Fatalf("%q makes %+v: %v", raw, changed, err)
		}
	})
}
