package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/sources"
)

// maxSample bounds the records of a dry run.
const maxSample = 1000

// Validate reads up to limit records and tells what a source would make of them.
// Nothing is consumed and nothing is changed. A description that is wrong by itself
// is an error.
func (m *Manager) Validate(ctx context.Context, collection string, raw []byte, limit int) (sources.Validation, error) {
	d := &dryRun{reasons: map[decode.Reason]int{}, details: map[decode.Reason]string{}, members: map[string]bool{}}
	d.Problems, d.Points, d.Errors, d.Logs = []sources.Problem{}, []sources.Sample{}, []sources.Failure{}, []sources.Log{}
	d.Formats, d.Keys = map[string]int64{}, map[string]int64{}
	if limit < 1 || limit > maxSample {
		return d.Validation, invalid("limit", "value %d invalid, must be from 1 to %d", limit, maxSample)
	}
	if err := server.CheckName(collection); err != nil {
		return d.Validation, err
	}
	raw, err := withName(raw, "validate")
	if err != nil {
		return d.Validation, err
	}
	sc, err := m.parseSource(sources.Key{Collection: collection}, raw)
	if err != nil {
		return d.Validation, err
	}
	s, err := m.newDetached(sc)
	if err != nil {
		return d.Validation, err
	}
	d.source = s
	d.collection, err = m.db.Collection(collection)
	switch kind := server.KindOf(err); {
	case err != nil && kind != server.NotFound:
		return d.Validation, err
	case err != nil && !sc.OnCreate.Auto:
		d.problem("collection", "%v; on_create.auto lets the source make it", err)
	}
	err = s.look(ctx, func(l *look) error { return d.run(ctx, l, limit) })
	if errors.Is(err, errNoTopic) {
		d.problem(s.topics.field(), "%v", err)
		err = nil
	}
	d.judge()
	return d.Validation, err
}

// newDetached makes a source that has no part in the metrics.
func (m *Manager) newDetached(sc Source) (*source, error) {
	apart := &Manager{kafka: m.kafka, schemas: m.schemas, db: m.db, o: m.o, metrics: newMetrics()}
	return apart.newSource(sc)
}

// dryRun gathers what records would come to.
type dryRun struct {
	sources.Validation
	source     *source
	collection *server.Collection // nil if it is still to be made
	values     int                // records that have a value
	reasons    map[decode.Reason]int
	details    map[decode.Reason]string // the first of each
	members    map[string]bool          // of payloads
	expiring   bool                     // there is a point with a time to live
	keyed      []*kgo.Record
	partitions map[string]int
}

func (d *dryRun) problem(field, format string, args ...any) {
	d.Problems = append(d.Problems, sources.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

func (d *dryRun) run(ctx context.Context, l *look, limit int) error {
	d.partitions = map[string]int{}
	filled := 0
	d.source.partitions = map[partition]*partitionState{} // as if it consumed them
	for p, b := range l.logs {
		d.source.partitions[p] = &partitionState{}
		d.partitions[p.topic]++
		d.Logs = append(d.Logs, sources.Log{Topic: p.topic, Partition: p.number, Begin: b.start, End: b.end})
		if b.start < b.end {
			filled++
		}
	}
	slices.SortFunc(d.Logs, func(a, b sources.Log) int {
		return bytes.Compare(fmt.Appendf(nil, "%s\x00%010d", a.Topic, a.Partition), fmt.Appendf(nil, "%s\x00%010d", b.Topic, b.Partition))
	})
	for _, topic := range d.source.topics.names {
		if d.partitions[topic] == 0 {
			d.problem("topics", "there is no topic %q", topic)
		}
	}
	if filled == 0 {
		return nil
	}
	// The same number of records from each partition, where the source would begin
	// or, if that is at the end, the newest.
	share := int64((limit + filled - 1) / filled)
	from := map[partition]int64{}
	for p, b := range l.logs {
		begin, err := l.begin(ctx, p, l.source.start)
		if err != nil {
			return err
		}
		from[p] = begin.Next
		if begin.Next >= b.end {
			from[p] = max(b.start, b.end-share)
		}
		b.end = min(b.end, from[p]+share)
		l.logs[p] = b
	}
	return l.read(ctx, from, func(r *kgo.Record) (bool, error) {
		err := d.record(ctx, r)
		return d.Records < limit, err
	})
}

// record notes what one record would do.
func (d *dryRun) record(ctx context.Context, r *kgo.Record) error {
	d.Records++
	d.Keys[keyForm(r.Key)]++
	if len(r.Key) > 0 && d.partitions[r.Topic] > 1 {
		d.keyed = append(d.keyed, r)
	}
	if r.Value != nil {
		d.values++
	}
	got, _, err := d.source.readOne(ctx, d.collection, d.source.stream(partition{r.Topic, r.Partition}), r)
	d.Formats[string(got.Format)]++
	var failed *decode.Error
	switch {
	case errors.As(err, &failed):
		d.reasons[failed.Reason]++
		if d.details[failed.Reason] == "" {
			d.details[failed.Reason] = failed.Detail
		}
		d.Errors = append(d.Errors, sources.Failure{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Reason: string(failed.Reason), Detail: failed.Detail,
		})
		return nil
	case err != nil:
		return err
	}
	sample := d.sample(r, &got.Op)
	sample.Collection = got.Collection
	d.Points = append(d.Points, sample)
	return nil
}

func (d *dryRun) sample(r *kgo.Record, op *server.Op) sources.Sample {
	s := sources.Sample{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Operation: "upsert", IDs: []string{}}
	if op.Kind == server.Delete {
		s.Operation = "delete"
	}
	for _, id := range op.Select.IDs {
		s.IDs = append(s.IDs, id.String())
	}
	for i := range op.Points {
		p := &op.Points[i]
		d.expiring = d.expiring || p.Expires != 0
		s.IDs, s.Payload, s.Vectors = append(s.IDs, p.ID.String()), p.Payload, map[string]int{}
		for name, v := range p.Vectors {
			switch v := v.(type) {
			case server.Dense:
				s.Vectors[name] = len(v)
			case server.Sparse:
				s.Vectors[name] = len(v.Values)
			case server.Multi:
				s.Vectors[name] = len(v.Values)
			}
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(p.Payload, &members) == nil {
			for name := range members {
				d.members[name] = true
			}
		}
	}
	return s
}

// settingOf names the setting that is at fault when all records fail for a reason.
var settingOf = map[decode.Reason]string{
	decode.Undecodable: "format", decode.NoID: "id", decode.BadID: "id",
	decode.NoVector: "vectors", decode.BadVector: "vectors", decode.WrongDimension: "vectors", decode.BadVersion: "version",
	decode.BadTTL: "ttl", decode.BadOperation: "operation",
	decode.NoText: "embed",
}

// judge says which settings the records do not fit.
func (d *dryRun) judge() {
	for _, reason := range slices.Sorted(maps.Keys(d.reasons)) {
		readable := d.values
		if reason != decode.Undecodable {
			readable -= d.reasons[decode.Undecodable]
		}
		if field := settingOf[reason]; field != "" && readable > 0 && d.reasons[reason] >= readable {
			d.problem(field, "none of the records fits: %s", d.details[reason])
		}
	}
	upserts := slices.ContainsFunc(d.Points, func(s sources.Sample) bool { return s.Operation == "upsert" })
	if ttl := d.source.cfg.TTL; ttl != "" && upserts && !d.expiring {
		d.problem("ttl", "no record has %s", ttl)
	}
	if len(d.Points) > 0 && d.values > 0 {
		for _, field := range d.source.cfg.Payload.Include {
			if !d.members[field] {
				d.problem("payload.include", "no record has the field %q", field)
			}
		}
	}
	d.Partitioner = partitionerOf(d.keyed, d.partitions)
	d.Valid = len(d.Problems) == 0 && len(d.Errors) == 0
}

func keyForm(key []byte) string {
	switch {
	case key == nil:
		return "none"
	case len(key) > 0 && key[0] == '{' && json.Valid(key):
		return "object"
	case utf8.Valid(key):
		return "text"
	default:
		return "binary"
	}
}

// fewestKeyed is of how many records a partitioner is told: with fewer, chance
// would too often name one.
const fewestKeyed = 8

// partitionerOf returns the partitioner that puts all the records where they are.
func partitionerOf(keyed []*kgo.Record, partitions map[string]int) string {
	if len(keyed) < fewestKeyed {
		return ""
	}
	murmur2 := kgo.StickyKeyPartitioner(nil).ForTopic("")
	fnv1a := kgo.SaramaCompatHasher(func(key []byte) uint32 {
		h := fnv.New32a()
		_, _ = h.Write(key) // a hash never fails
		return h.Sum32()
	})
	for _, candidate := range []struct {
		name string
		of   func(r *kgo.Record, n int) int
	}{
		{"murmur2", func(r *kgo.Record, n int) int { return murmur2.Partition(&kgo.Record{Key: r.Key}, n) }},
		{"fnv1a", func(r *kgo.Record, n int) int { return fnv1a(r.Key, n) }},
		{"crc32", func(r *kgo.Record, n int) int { return int(crc32.ChecksumIEEE(r.Key) % uint32(n)) }},
	} {
		if !slices.ContainsFunc(keyed, func(r *kgo.Record) bool { return candidate.of(r, partitions[r.Topic]) != int(r.Partition) }) {
			return candidate.name
		}
	}
	return ""
}
