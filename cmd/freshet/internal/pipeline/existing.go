package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

// sampled is how many records are looked at before any is consumed, to see whether they are
// points at all.
const sampled = 100

// read consumes a topic that is there from its beginning and, if that is its end, what comes
// then for a while; then it compares searches for the neighbours of some of its points with
// exact ones. The brokers are only read from.
func (b *bench) read(ctx context.Context) error {
	ends, records, err := b.bounds(ctx)
	if err != nil {
		return err
	}
	return b.withNode(ctx, b.readOnly(), func(n *node) error {
		n.reads = true
		if err := b.understood(ctx, n); err != nil {
			return err
		}
		if err := b.catchUp(ctx, n, ends, records); err != nil {
			return err
		}
		queries, err := b.sampleQueries(ctx, n)
		if err != nil {
			return err
		}
		if b.Records == 0 || records < int64(b.Records) {
			if err := b.follow(ctx, n, queries); err != nil {
				return err
			}
		}
		n.halt()
		return b.recall(ctx, n, queries)
	})
}

// bounds returns where to read to in each partition, and about how many records that is.
func (b *bench) bounds(ctx context.Context) (ends map[int32]int64, records int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	listEnds := b.admin.ListCommittedOffsets
	if b.Kafka.IsolationLevel == "read_uncommitted" {
		listEnds = b.admin.ListEndOffsets
	}
	var logs [2]kadm.ListedOffsets
	for i, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){b.admin.ListStartOffsets, listEnds} {
		if logs[i], err = list(ctx, b.Topic); err == nil {
			err = logs[i].Error()
		}
		if err != nil {
			return nil, 0, fmt.Errorf("topic %s: %w", b.Topic, err)
		}
	}
	sizes := map[int32]int64{}
	logs[1].Each(func(end kadm.ListedOffset) {
		if start, ok := logs[0].Lookup(b.Topic, end.Partition); ok && end.Offset > start.Offset {
			sizes[end.Partition] = end.Offset - start.Offset
			records += sizes[end.Partition]
		}
	})
	if records == 0 {
		return nil, 0, wrongInput{fmt.Errorf("topic %s has no records", b.Topic)}
	}
	b.report.Partitions = len(logs[1][b.Topic])
	share := 1.0
	if b.Records > 0 {
		share = min(1, float64(b.Records)/float64(records))
	}
	ends = map[int32]int64{}
	for p, size := range sizes {
		start, _ := logs[0].Lookup(b.Topic, p)
		ends[p] = start.Offset + max(1, int64(share*float64(size)))
	}
	return ends, max(1, int64(share*float64(records))), nil
}

// understood makes sure that there are points in the topic.
func (b *bench) understood(ctx context.Context, n *node) error {
	source, err := n.m.Get(sources.Key{Collection: n.collection, Name: collection})
	if err != nil {
		return err
	}
	v, err := n.m.Validate(ctx, n.collection, source.Config, sampled)
	if err != nil {
		return err
	}
	if len(v.Points) == 0 && len(v.Errors) > 0 {
		return wrongInput{fmt.Errorf("none of the first %d records of topic %s is a point in the format %s: %s: %s", v.Records, b.Topic,
			b.Read.Format, v.Errors[0].Reason, v.Errors[0].Detail)}
	}
	return nil
}

// catchUp consumes up to the ends.
func (b *bench) catchUp(ctx context.Context, n *node, ends map[int32]int64, records int64) error {
	w := b.watch(ctx, n, 250*time.Millisecond, "reading "+b.Topic, records, nil)
	defer w.stop()
	began := time.Now()
	n.start()
	if err := b.settle(ctx, n, func() int64 { return n.missing(ends) }); err != nil {
		return err
	}
	b.report.Backlog = reading(n, w, time.Since(began), nil)
	c, err := n.db.Collection(n.collection)
	if err != nil {
		return fmt.Errorf("no record of topic %s made a point: %w", b.Topic, err)
	}
	info, err := c.Info()
	if err != nil {
		return err
	}
	b.report.Vectors = fmt.Sprintf("%d points of topic %s", info.Points, b.Topic)
	if name, ok := denseVector(&info.Config); ok {
		b.report.Dim = info.Config.Vectors.Named[name].Size
		b.report.Vectors += fmt.Sprintf(", %d dimensions", b.report.Dim)
	}
	return nil
}

// missing returns how many records up to the ends are not applied and counted. Positions are
// cheap to ask for, but a batch is counted a moment after they are stored; and before there is a
// point there is no collection, and they are held.
func (n *node) missing(ends map[int32]int64) int64 {
	if c, err := n.db.Collection(n.collection); err == nil {
		at := map[int32]int64{}
		if positions, err := c.Positions(); err == nil {
			for _, p := range positions {
				at[p.Stream.Partition] = p.Next
			}
		}
		if missing := behind(at, ends); missing > 0 {
			return missing
		}
	}
	at := map[int32]int64{}
	for _, p := range n.m.Status()[0].Partitions {
		at[p.Partition] = p.Next
	}
	return behind(at, ends)
}

// behind returns how many records there are from where partitions are to their ends.
func behind(at, ends map[int32]int64) (missing int64) {
	for p, end := range ends {
		missing += max(0, end-at[p])
	}
	return missing
}

// follow consumes for a while what comes.
func (b *bench) follow(ctx context.Context, n *node, queries []server.SearchRequest) error {
	n.seen.forget()
	b.Progress("following "+b.Topic, 0, 1)
	began := time.Now()
	w := b.watch(ctx, n, max(leastMoment, b.Duration/momentsOf), "following "+b.Topic, 0, queries)
	defer w.stop()
	if err := sleep(ctx, b.Duration); err != nil {
		return err
	}
	if live := reading(n, w, time.Since(began), article); live.Records > 0 {
		b.report.Live = live
	}
	return nil
}

// reading ends a watch and sums it up, beside what others take.
func reading(n *node, w *watch, took time.Duration, others map[ingest.Stage]float64) *Reading {
	w.stop()
	s := n.m.Status()[0]
	r := &Reading{
		Records: int(n.seen.count()), Seconds: took.Seconds(), Letters: s.Letters.Total,
		Table: Table{n.seen.stages(others), times(w.searches)}, Moments: w.moments,
	}
	r.PerSecond = float64(r.Records) / r.Seconds
	return r
}

// sampleQueries asks for the neighbours of points at random, without themselves; none where
// there is no dense vector.
func (b *bench) sampleQueries(ctx context.Context, n *node) ([]server.SearchRequest, error) {
	c, err := n.db.Collection(n.collection)
	if err != nil {
		return nil, err
	}
	config := c.Config()
	name, ok := denseVector(&config)
	if !ok {
		return nil, nil
	}
	hits, err := c.Search(ctx, server.SearchRequest{Query: server.Sample{}, Using: name, Limit: maxQueries})
	if err != nil {
		return nil, err
	}
	queries := make([]server.SearchRequest, len(hits))
	for i := range hits {
		queries[i] = server.SearchRequest{ID: hits[i].ID, Using: name, Limit: topK}
	}
	return queries, nil
}

// denseVector names the vector that searches are for: the first of those with one list of
// numbers.
func denseVector(c *server.Config) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(c.Vectors.Named)) {
		if c.Vectors.Named[name].Multivector == nil {
			return name, true
		}
	}
	return "", false
}

// readOnly is the source as it is measured: all of a topic into one collection, whatever
// retention takes away meanwhile, and its dead letters stay with it.
func (o *Options) readOnly() ingest.Source {
	source := *o.Read
	source.Start, source.OnGap, source.ErrorsTolerance = "earliest", "skip", "all"
	source.Route, source.OnCreate.MaxCollections = "", 0
	source.DeadLetterTopic = ""
	return source
}

// flags names the flags in place of the members of a configuration.
var flags = strings.NewReplacer("sources[0].format", "--source-format", "sources[0].id", "--source-id", "sources[0].vectors", "--source-vector",
	"sources[0].topics", "--topic", "schema_registry", "--config: schema_registry")

// validateRead checks the source of a topic that is there.
func (o *Options) validateRead() error {
	if o.Records < 0 || o.Records > maxRecords {
		return fmt.Errorf("--records %d is not from 0 to %d", o.Records, maxRecords)
	}
	source := o.readOnly()
	source.Name = collection
	cfg := ingest.Config{Kafka: o.Kafka, SchemaRegistry: o.Registry, Sources: []ingest.Source{source}}
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("%s", flags.Replace(err.Error()))
	}
	return nil
}
