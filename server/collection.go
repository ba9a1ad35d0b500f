package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"freshet/hnsw"
	"freshet/server/memory"
	"freshet/storage"
)

// Collection is one shard's points, their graphs and the order of their writes.
//
// All writes, from REST and from Kafka, go through Apply to one writer
// goroutine, which alone changes the store, the graphs, the id table and the
// positions, and publishes a view after each commit. Reads take the current
// view and never wait for the writer.
type Collection struct {
	name   string
	space  storage.Space
	store  *storage.Store
	memory *memory.Guard
	log    *slog.Logger

	config    atomic.Pointer[Config]
	slots     *hnsw.Slots
	vectorSet atomic.Pointer[vectorSet]
	ids       *idTable
	indexes   *indexSet
	indexing  chan struct{} // held while an index is built or dropped

	view   atomic.Pointer[view]
	views  sync.WaitGroup                // views not yet released
	moved  atomic.Pointer[chan struct{}] // closed at the next publish
	dirty  *atomic.Bool                  // set when a commit awaits the log's sync
	cores  *cores                        // shared with the other collections
	probed bool                          // searches leave one of them for probes of recall
	now    func() time.Time              // for what expires

	reads, writes bucket // of requests, where strict mode bounds them

	queue   chan *request
	closing chan struct{} // closed to refuse new requests
	stopped chan struct{} // closed once the writer has ended
	closed  sync.Once

	// What follows belongs to the writer.
	streams      *streamTable
	applied      map[Stream]Position // replaced, never changed, once published
	operation    uint64
	moves        uint64 // of the operations, those that gave points other slots
	points       int
	vectorCounts map[string]int // by name
	payloads     int64          // bytes
	lastTime     int64          // newest time given to a REST write
	tombstones   bool           // there may be some in the store
	letters      letterbox
	workers      int
	searched     int // points whose neighbours the load did not find stored
	repair       *hnsw.Repair
	compactTo    int           // while points are moved: slots that are to be in use; otherwise 0
	compactAt    int           // slots from here on are empty, or wait for the repair
	faulty       bool          // points could not be moved when that was last tried
	deaths       int           // slots retired since the repair last went on
	births       int           // and those that came
	dropped      []*hnsw.Graph // of vectors that were dropped; views may show them
	expiry       *time.Timer   // of the next look for points that expire
	expiryDue    time.Time     // when that is; zero for never
	tidying      *time.Timer   // of the next look at old tombstones
	tombstone    []byte        // key of the next to look at; nil for the first
	readers      []*view       // views not yet released, the oldest first; some may be
}

// queueLength bounds the requests that wait for the writer. Each holds at most
// one HTTP body or one Kafka batch.
const queueLength = 64

// Name returns the collection's name.
func (c *Collection) Name() string { return c.name }

// Closing returns a channel that is closed when the collection is dropped, replaced or
// closed.
func (c *Collection) Closing() <-chan struct{} { return c.closing }

// Config returns the configuration. It must not be changed.
func (c *Collection) Config() Config { return *c.config.Load() }

// openCollection loads the points of a collection, builds its graphs and
// starts its writer. progress is told of it, unless it is nil.
func openCollection(ctx context.Context, db *DB, entry catalogEntry, progress *Progress) (*Collection, error) {
	c := &Collection{
		name:         entry.Name,
		space:        storage.Space{Collection: entry.ID},
		store:        db.store,
		memory:       db.memory,
		log:          db.log.With("collection", entry.Name),
		slots:        hnsw.NewSlots(),
		vectorCounts: map[string]int{},
		ids:          newIDTable(),
		indexes:      newIndexSet(),
		indexing:     make(chan struct{}, 1),
		dirty:        &db.dirty,
		cores:        db.cores,
		probed:       db.probed,
		queue:        make(chan *request, queueLength),
		closing:      make(chan struct{}),
		stopped:      make(chan struct{}),
		streams:      newStreamTable(),
		workers:      runtime.GOMAXPROCS(0),
		now:          db.now,
		expiry:       time.NewTimer(never),
		tidying:      time.NewTimer(betweenSlice),
	}
	c.config.Store(&entry.Config)
	c.vectorSet.Store(&vectorSet{})
	c.moved.Store(newSignal())
	err := c.openGraphs()
	if err == nil {
		err = c.load(ctx, progress)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open collection %q: %w", entry.Name, err), c.closeGraphs())
	}
	c.publish()
	err = c.openIndexes(ctx)
	if err == nil && !db.readOnly() { // else the next start does it
		err = c.finishDrops(ctx)
	}
	if err == nil {
		err = c.scheduleExpiry()
	}
	if err != nil {
		close(c.stopped) // the writer, that never began
		return nil, errors.Join(fmt.Errorf("open collection %q: %w", entry.Name, err), c.close())
	}
	go c.write()
	return c, nil
}

func (c *Collection) openGraphs() error {
	set, err := c.vectorSetOf(c.Config())
	if err != nil {
		return err
	}
	c.vectorSet.Store(set)
	c.repair = hnsw.NewRepair(c.slots, slices.Collect(maps.Values(set.graphs))...)
	return nil
}

// graphConfig merges the defaults, the collection's and the vector's settings.
func graphConfig(cfg Config, params VectorParams, metric hnsw.Metric) hnsw.Config {
	h := cfg.HNSW
	if params.HNSW != nil {
		h = h.Merge(*params.HNSW)
	}
	q := cfg.Quantization
	if params.Quantization != nil {
		q = params.Quantization
	}
	gc := hnsw.Config{Dim: params.Size, Metric: metric, Codes: q.Codes()}
	if h.M != nil && *h.M > 0 {
		gc.M = max(*h.M, hnsw.MinM)
	}
	if h.EfConstruct != nil {
		gc.EfConstruct = *h.EfConstruct
	}
	return gc
}

// close refuses new requests, lets the writer finish those it has, waits for
// the readers and frees the memory. It may be called more than once.
func (c *Collection) close() error {
	var err error
	c.closed.Do(func() {
		close(c.closing)
		<-c.stopped
		if v := c.view.Swap(nil); v != nil {
			v.release()
		}
		close(*c.moved.Swap(newSignal()))
		c.views.Wait()
		err = c.closeGraphs()
	})
	return err
}

func (c *Collection) closeGraphs() error {
	errs := []error{c.slots.Close()}
	for _, g := range c.set().graphs {
		errs = append(errs, g.Close())
	}
	for _, g := range c.dropped {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

// Sync returns once everything applied before the call is on stable storage.
func (c *Collection) Sync(ctx context.Context) error {
	v, err := c.acquire() // keeps the store open
	if err != nil {
		return err
	}
	defer v.release()
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.store.SyncLog()
}

// Info describes the collection as of now.
func (c *Collection) Info() (Info, error) {
	v, err := c.acquire()
	if err != nil {
		return Info{}, err
	}
	defer v.release()
	memory := hnsw.Memory{Links: c.slots.Bytes()}
	for _, g := range v.set.graphs {
		memory.Add(g.Memory())
	}
	var multiBytes int64
	for _, x := range v.set.multi {
		multiBytes += x.Bytes()
	}
	var sparseBytes int64
	for _, x := range v.set.sparse {
		sparseBytes += x.Bytes()
	}
	vectors, indexed := map[string]int{}, 0
	for name := range v.set.all() {
		vectors[name] = v.vectors[name]
		indexed += vectors[name]
	}
	recalls := make(map[string]Recall, len(v.set.recall))
	for name, r := range v.set.recall {
		recalls[name] = r.info()
	}
	return Info{
		Name: c.name, Config: c.Config(),
		Points: v.points, IndexedVectors: indexed, Vectors: vectors, Operation: v.operation, Moves: v.moves,
		Memory: memory, SparseBytes: sparseBytes, MultiBytes: multiBytes, Indexes: c.indexes.info(),
		Recall: recalls,
	}, nil
}
