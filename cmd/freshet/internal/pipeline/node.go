package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"freshet/ingest"
	"freshet/server"
)

// node is a database of its own with a source that can be started.
type node struct {
	topic      string
	collection string
	db         *server.DB
	m          *ingest.Manager
	start      func()
	halt       func() // ends what start began, and waits for it
	reads      bool   // records that others produce
	seen       monitor
}

// collection is the name of the collection, unless the source has one, and of the source.
const collection = "bench"

// inTopic does something with a new topic and a node that reads it, and removes both.
func (b *bench) inTopic(ctx context.Context, suffix string, do func(n *node) error) (err error) {
	topic := b.Topic + suffix
	if _, err := b.admin.CreateTopic(ctx, int32(b.Partitions), int16(b.Replicas), nil, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	if !b.Keep {
		defer func() {
			// The topic goes also when the run is interrupted.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachable)
			defer cancel()
			if _, e := b.admin.DeleteTopic(ctx, topic); e != nil {
				err = errors.Join(err, fmt.Errorf("delete topic %s: %w", topic, e))
			}
		}()
	}
	return b.withNode(ctx, ingest.Source{Topics: []string{topic}, Format: "upsert-kafka", OnCreate: ingest.OnCreate{Distance: b.Distance}}, do)
}

// withNode does something with a node that has a source, and removes it.
func (b *bench) withNode(ctx context.Context, source ingest.Source, do func(n *node) error) (err error) {
	n := &node{topic: source.Topics[0], collection: cmp.Or(source.Collection, collection)}
	dir, err := os.MkdirTemp(b.Dir, "freshet-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if n.db, err = server.Open(ctx, dir, server.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.db.Close()) }()
	source.Name, source.Collection = collection, n.collection
	source.OnCreate.Auto = true
	cfg := ingest.Config{Kafka: b.Kafka, SchemaRegistry: b.Registry, Sources: []ingest.Source{source}}
	cfg.SetDefaults()
	// The brokers are not to be told of a group that will not come again.
	if n.m, err = ingest.New(cfg, n.db, ingest.Options{Observe: n.seen.observe, NoGroup: true, Models: b.Models}); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	n.halt = func() {
		stop()
		wg.Wait()
	}
	defer n.halt()
	n.start = func() { wg.Go(func() { n.m.Run(running) }) }
	return do(n)
}

// settle waits until no records are missing.
func (b *bench) settle(ctx context.Context, n *node, missing func() int64) error {
	const look = 250 * time.Millisecond // between looks for trouble, which cost more
	looked, least := time.Now(), int64(math.MaxInt64)
	deadline := looked.Add(b.Settling)
	for {
		left := missing()
		if left <= 0 {
			return nil
		}
		if n.reads && left < least { // however many there are
			least, deadline = left, time.Now().Add(b.Settling)
		}
		if time.Since(looked) > look {
			looked = time.Now()
			s := n.m.Status()[0]
			if s.Letters.Total > 0 && !n.reads {
				return fmt.Errorf("%d records became dead letters", s.Letters.Total)
			}
			if looked.After(deadline) {
				return fmt.Errorf("%d records were not applied within %v; the source is %s%s", left, b.Settling, s.State,
					strings.TrimSuffix(": "+s.Error, ": "))
			}
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// unapplied counts those of so many records that are not applied.
func (n *node) unapplied(records int) func() int64 {
	return func() int64 { return int64(records) - n.seen.count() }
}
