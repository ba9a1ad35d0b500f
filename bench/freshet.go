package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"freshet/hnsw"
)

// variants are the settings of Freshet that take part.
var variants = map[string]hnsw.Config{
	freshetName:   {},
	"freshet-f32": {Codes: hnsw.NoCodes},
}

func variantNames() []string {
	var names []string
	for name := range variants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

const (
	batch     = 512 // vectors in a batch of inserts
	taskRange = 16  // queries a thread takes at a time
)

// index is a graph whose slots hold rows of a matrix.
type index struct {
	g      *hnsw.Graph
	slots  *hnsw.Slots
	repair *hnsw.Repair
	rowOf  []int32 // by slot
}

func newIndex(cfg hnsw.Config, dim int) (*index, error) {
	cfg.Dim, cfg.Metric = dim, hnsw.Cosine
	x := &index{slots: hnsw.NewSlots()}
	var err error
	if x.g, err = hnsw.New(cfg, x.slots); err != nil {
		return nil, errors.Join(err, x.slots.Close())
	}
	x.repair = hnsw.NewRepair(x.slots, x.g)
	return x, nil
}

func (x *index) close() error { return errors.Join(x.g.Close(), x.slots.Close()) }

// add inserts rows in one batch and returns their slots. They are visible when
// they are published.
func (x *index) add(ctx context.Context, base *matrix, rows []int, workers int) ([]uint32, error) {
	items := make([]hnsw.Item, 0, len(rows))
	slots := make([]uint32, 0, len(rows))
	for _, row := range rows {
		slot, err := x.slots.Alloc()
		if err != nil {
			return nil, err
		}
		for len(x.rowOf) <= int(slot) {
			x.rowOf = append(x.rowOf, 0)
		}
		x.rowOf[slot] = int32(row)
		items = append(items, hnsw.Item{Slot: slot, Vector: base.row(row)})
		slots = append(slots, slot)
	}
	staged, err := x.g.Stage(ctx, items, workers)
	if err != nil {
		return nil, err
	}
	staged.Link()
	return slots, nil
}

// addRange inserts and publishes the rows from first to end, in batches of size.
func (x *index) addRange(ctx context.Context, base *matrix, first, end, size, workers int) error {
	rows := make([]int, 0, size)
	for ; first < end; first += size {
		rows = rows[:0]
		for row := first; row < min(first+size, end); row++ {
			rows = append(rows, row)
		}
		if _, err := x.add(ctx, base, rows, workers); err != nil {
			return err
		}
		x.slots.Publish()
	}
	return nil
}

// search looks for all queries on some threads and returns the rows found, k
// for each query; -1 where there are fewer. q holds what the queries share.
func (x *index) search(ctx context.Context, queries *matrix, q hnsw.Query, threads int) ([]int, error) {
	rows := make([]int, k*queries.rows)
	errs := make([]error, threads)
	q.K, q.View = k, x.slots.View()
	var next atomic.Int64
	work := func(thread int) {
		q, hits := q, make([]hnsw.Hit, 0, k)
		for {
			from := int(next.Add(taskRange)) - taskRange
			if from >= queries.rows {
				return
			}
			for i := from; i < min(from+taskRange, queries.rows); i++ {
				q.Vector = queries.row(i)
				if hits, errs[thread] = x.g.Search(ctx, q, hits[:0]); errs[thread] != nil {
					return
				}
				for j := range k {
					rows[i*k+j] = -1
					if j < len(hits) {
						rows[i*k+j] = int(x.rowOf[hits[j].Slot])
					}
				}
			}
		}
	}
	var others sync.WaitGroup
	for thread := 1; thread < threads; thread++ {
		others.Go(func() { work(thread) })
	}
	work(0)
	others.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// repeat makes the same search for a while, atLeast mostly, and returns what one pass took.
func (x *index) repeat(ctx context.Context, queries *matrix, q hnsw.Query, threads int, while time.Duration) (rows []int, took spent, err error) {
	return repeat(while, func() ([]int, error) { return x.search(ctx, queries, q, threads) })
}

// recallOf judges the rows that a search for all queries found, of which wanted
// each could find.
func recallOf(d *dataset, queries *matrix, kth []float32, rows []int, wanted int) float64 {
	n := 0
	for q := range queries.rows {
		n += found(queries.row(q), d.base, kth[q], rows[q*k:(q+1)*k])
	}
	return float64(n) / float64(wanted*queries.rows)
}

// buildIndex builds a graph of all rows on one thread and says what it took.
func buildIndex(ctx context.Context, d *dataset) (*index, spent, error) {
	x, err := newIndex(variants[freshetName], d.base.dim)
	if err != nil {
		return nil, spent{}, err
	}
	stop := watch()
	err = x.addRange(ctx, d.base, 0, d.base.rows, batch, 1)
	return x, stop(), err
}

// serveEngine is Freshet's side of the protocol in peer.py.
func serveEngine(ctx context.Context, name, basePath, queriesPath string, in io.Reader, out io.Writer) error {
	cfg, ok := variants[name]
	if !ok {
		return fmt.Errorf("no engine %q", name)
	}
	base, err := mapNPY(basePath)
	if err != nil {
		return err
	}
	queries, err := mapNPY(queriesPath)
	if err != nil {
		return err
	}
	e := served{cfg: cfg, base: base, queries: queries}
	lines := json.NewEncoder(out)
	if err := lines.Encode(answer{Version: "freshet " + commit}); err != nil {
		return err
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		a, err := e.do(ctx, strings.Fields(commands.Text()))
		if err != nil {
			return err
		}
		if err := lines.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// served is the state between two commands.
type served struct {
	cfg           hnsw.Config
	base, queries *matrix
	x             *index
	held          int
}

func (e *served) do(ctx context.Context, command []string) (a answer, err error) {
	var ef, threads, count int
	var path string
	line := strings.Join(command, " ")
	switch {
	case scan(line, "build %d %d", &threads, &e.held):
		return e.build(ctx, threads)
	case line == "insert":
		for row := e.base.rows - e.held; row < e.base.rows; row++ {
			stop := watch()
			if err := e.x.addRange(ctx, e.base, row, row+1, 1, 1); err != nil {
				return a, err
			}
			took := stop()
			a.Walls, a.CPUs = append(a.Walls, took.wall.Seconds()), append(a.CPUs, took.cpu.Seconds())
		}
		return a, nil
	case scan(line, "search %d %d %d %s", &ef, &count, &threads, &path) && count == k:
		rows, took, err := e.x.repeat(ctx, e.queries, hnsw.Query{Ef: ef}, threads, atLeast)
		if err != nil {
			return a, err
		}
		m := &matrix{rows: e.queries.rows, dim: k}
		for _, row := range rows {
			m.data = append(m.data, float32(row))
		}
		return answer{Wall: took.wall.Seconds(), CPU: took.cpu.Seconds()}, m.writeNPY(path)
	}
	return a, fmt.Errorf("unknown command %q", line)
}

func scan(line, format string, args ...any) bool {
	n, err := fmt.Sscanf(line, format, args...)
	return err == nil && n == len(args)
}

func (e *served) build(ctx context.Context, threads int) (answer, error) {
	if e.x != nil {
		if err := e.x.close(); err != nil {
			return answer{}, err
		}
		e.x = nil
	}
	before := settledBytes()
	stop := watch()
	x, err := newIndex(e.cfg, e.base.dim)
	if err != nil {
		return answer{}, err
	}
	e.x = x
	if err := x.addRange(ctx, e.base, 0, e.base.rows-e.held, batch, threads); err != nil {
		return answer{}, err
	}
	took := stop()
	return answer{Wall: took.wall.Seconds(), CPU: took.cpu.Seconds(), Bytes: settledBytes() - before}, nil
}

// settledBytes is ownBytes without the garbage.
func settledBytes() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	return ownBytes()
}
