package decode

import (
	"context"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/payload"
	"freshet/server/point"
)

// MaxRecord bounds the value of a record, in bytes: a vector of the largest
// dimension in text is below 2 MiB.
const MaxRecord = 16 << 20

// Decoded is what a record says.
type Decoded struct {
	Op     server.Op
	Format Format // in which the record was read
	// Collection is the one the record is for, if the settings have a route.
	Collection string
}

// message is a record whose key and value are JSON, text or, as a value, floats:
// what was written with a schema has been read with it.
type message struct {
	*kgo.Record
	key, value []byte
	typedKey   bool // the key is JSON: 42 is a number
	format     Format
}

// Decode turns a record into an operation. A record that cannot become one is an
// *Error; any other error says that it cannot be told for now. The operation shares no
// memory with the record.
func (m *Mapping) Decode(ctx context.Context, stream server.Stream, r *kgo.Record) (Decoded, error) {
	d := Decoded{Format: m.format}
	if len(r.Value) > MaxRecord || len(r.Key) > MaxRecord {
		return d, Bad(TooLarge, "a record of %d bytes is larger than %d", max(len(r.Key), len(r.Value)), MaxRecord)
	}
	version := server.Version{Stream: stream, Offset: r.Offset, Time: r.Timestamp.UnixMilli()}
	if m.version != byTimestamp {
		version.Timestamp = version.Time
	}
	if m.version == byOffset {
		version.Time = r.Offset
	}
	if r.Value == nil && m.format == JSON {
		return d, Bad(Undecodable, "the value is null, which is no JSON object; upsert-kafka is the format in which it deletes")
	}
	msg := message{Record: r, key: r.Key, value: r.Value, format: m.format}
	if err := m.open(ctx, &msg, &d); err != nil {
		return d, err
	}
	if r.Value == nil {
		ids, err := m.idsBesideValue(&msg)
		d.Op = deletion(ids, version)
		if err == nil && m.route != nil {
			d.Collection, err = m.route.collection(nil, &msg)
		}
		return d, err
	}
	w := m.newRow(msg.format)
	err := w.decide(&msg)
	if err == nil {
		err = w.read(msg.value)
	}
	if err == nil {
		d.Op, err = w.op(version, &msg)
	}
	if err == nil && m.route != nil {
		d.Collection, err = m.route.collection(w.routing, &msg)
	}
	return d, err
}

func deletion(ids []point.ID, version server.Version) server.Op {
	return server.Op{Kind: server.Delete, Select: server.Select{IDs: ids}, Version: version}
}

// read fills the row from the value of a record.
func (w *row) read(value []byte) error {
	switch w.format {
	case Debezium:
		return readDebezium(w, value)
	case Qdrant:
		return readQdrant(w, value)
	case OpenSearch:
		return readOpenSearch(w, value)
	case Float32:
		if w.deletes {
			return nil
		}
		return readFloat32(w, value)
	default:
		return w.fields(value)
	}
}

// op makes the operation of a row that has been read.
func (w *row) op(version server.Version, r *message) (server.Op, error) {
	m := w.m
	ids := []point.ID{w.id}
	if w.id.IsZero() {
		var err error
		if ids, err = m.idsBesideValue(r); err != nil {
			return server.Op{}, err
		}
	}
	if m.version == byField {
		if w.version == nil {
			return server.Op{}, Bad(BadVersion, "the value has no field %q", m.versionField)
		}
		version.Time = *w.version
	}
	if w.deletes {
		return deletion(ids, version), nil
	}
	if err := w.complete(); err != nil {
		return server.Op{}, err
	}
	expires, err := w.expires(r.Record)
	if err != nil {
		return server.Op{}, err
	}
	w.addAround(r.Record)
	compact, err := payload.Compact(append(w.payload, '}'))
	if err != nil {
		return server.Op{}, Bad(Undecodable, "the payload: %v", err)
	}
	if len(compact) == len("{}") {
		compact = nil
	}
	return server.Op{
		Kind: server.Upsert, Mode: w.mode, Version: version,
		Points: []server.Point{{ID: ids[0], Vectors: w.vectors, Payload: compact, Expires: expires}},
	}, nil
}

// appendOrigin adds which record made the point.
func appendOrigin(dst []byte, r *kgo.Record) []byte {
	origin, err := json.Marshal(struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		Timestamp int64  `json:"timestamp"`
	}{r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli()})
	if err != nil { // such a struct always has a JSON form
		panic(err)
	}
	return appendMember(dst, "_kafka", origin)
}
