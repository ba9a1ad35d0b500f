package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/viterin/vek/vek32"
	"golang.org/x/sys/unix"

	"freshet/hnsw"
	"freshet/hnsw/kernels"
)

const (
	streamBytes   = 256 << 20 // of memory read in a row, more than caches hold
	replayQueries = 200
	replayRounds  = 5
	replayBeam    = 4  // lists whose rows are requested together, as in the search
	replayScored  = 16 // vectors that are scored together, likewise
	listWords     = 2 * hnsw.DefaultM
	listBytes     = 4 * listWords
)

var boundEfs = []int{16, 64, 200}

// benchBound holds the time of searches against what the memory can deliver: the
// same number of lists and rows read in random order with the same kernels, and
// as many bytes read in a row.
func benchBound(ctx context.Context, d *dataset, rounds int) (s *section, err error) {
	x, _, err := buildIndex(ctx, d)
	if x != nil {
		defer func() { err = errors.Join(err, x.close()) }()
	}
	if err != nil {
		return nil, err
	}
	progress("%s: reading memory", d.name)
	one, two, err := stream()
	if err != nil {
		return nil, err
	}
	rows := table{
		Caption: "Memory, on the clock; rows are those of the search, at random places, requested together as in the search",
		Head:    []string{"read", "ns each", "GB/s"},
		Rows: [][]string{
			{"in a row, one thread", "", count(one / 1e9)},
			{"in a row, two threads", "", count(two / 1e9)},
		},
	}
	searches := table{
		Caption: "Searches on one thread, µs of CPU time a query, and the share of it that reading the same takes",
		Head:    []string{"ef", "lists", "codes", "vectors", "kB read", "search", "random reads", "share", "in a row", "share"},
	}
	for i, ef := range boundEfs {
		var times []float64
		var work hnsw.Work
		if _, err := x.search(ctx, d.queries, hnsw.Query{Ef: ef, Work: &work}, 1); err != nil {
			return nil, err
		}
		for range rounds {
			_, took, err := x.repeat(ctx, d.queries, hnsw.Query{Ef: ef}, 1, atLeast)
			if err != nil {
				return nil, err
			}
			times = append(times, took.cpu.Seconds()/float64(d.queries.rows))
		}
		r, err := newReplay(d.base.rows, d.base.dim, work, d.queries.rows)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			rows.Rows = append(rows.Rows, r.rowTimes()...)
		}
		search, random := median(times), r.run()
		read := float64(work.Lists*listBytes+work.CodeBytes+work.Vectors*4*d.base.dim) / float64(d.queries.rows)
		if err := r.close(); err != nil {
			return nil, err
		}
		searches.Rows = append(searches.Rows, []string{
			fmt.Sprint(ef), count(r.lists), count(r.codes), count(r.scored), count(read / 1e3),
			micros(search), micros(random), percent(random / search), micros(read / one), percent(read / one / search),
		})
	}
	return &section{
		Title: "Distance to the memory's limit: " + d.name,
		Lead: fmt.Sprintf("%s. A search reads lists of %d bytes, rows of codes and, of the best, vectors. "+
			"Random reads repeat the same amounts of each without the search's logic; medians of %d rounds.", d.describe(), listBytes, rounds),
		Tables: []table{rows, searches},
	}, nil
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// memory is a piece of memory in huge pages, each page written to once.
func memory(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", n, err)
	}
	adviseHuge(b)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return b, nil
}

// stream returns the bytes per second that one and two threads read in a row.
func stream() (one, two float64, err error) {
	b, err := memory(streamBytes)
	if err != nil {
		return 0, 0, err
	}
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
	read := func(threads int) float64 {
		best := math.Inf(1)
		for range replayRounds {
			var all sync.WaitGroup
			part := len(floats) / threads
			began := time.Now()
			for i := range threads {
				all.Go(func() { runtime.KeepAlive(vek32.Sum(floats[i*part : (i+1)*part])) })
			}
			all.Wait()
			best = min(best, time.Since(began).Seconds())
		}
		return float64(len(b)) / best
	}
	return read(1), read(2), unix.Munmap(b)
}

// arena is rows of a kernel in one piece of memory.
type arena struct {
	bytes []byte
	rows  kernels.Rows
}

func newArena(n, stride, blocks int) (arena, error) {
	b, err := memory(n * stride)
	if err != nil {
		return arena{}, err
	}
	return arena{b, kernels.Rows{Table: []unsafe.Pointer{unsafe.Pointer(&b[0])}, Shift: 31, Stride: stride, Blocks: blocks}}, nil
}

// replay repeats what searches read, at random places.
type replay struct {
	n                     int
	lists, codes, scored  float64 // per query
	list, coded, vector   arena
	term                  arena // beside the codes
	terms                 *kernels.Rows
	codeKernel            func(l kernels.Level, q *kernels.CodeQuery, rows, terms *kernels.Rows, slots []uint32, out []float32)
	query                 []byte
	visited               []uint64
	fresh                 []uint32
	floats                []float32
	random                uint64
	listLength            int
	codeStride, vecStride int
}

func newReplay(n, dim int, work hnsw.Work, queries int) (*replay, error) {
	per := func(total int) float64 { return float64(total) / float64(queries) }
	r := &replay{
		n: n, lists: per(work.Lists), codes: per(work.Codes), scored: per(work.Vectors), random: 1,
		query: make([]byte, 4*dim+1024), visited: make([]uint64, n/64+1),
		vecStride: (4*dim + 63) / 64 * 64,
	}
	var errs [4]error
	r.list, errs[0] = newArena(n, listBytes, listBytes/64)
	r.vector, errs[1] = newArena(n, r.vecStride, r.vecStride/64)
	walked := r.codes
	if work.Codes > 0 {
		// The search says how long a row of codes is; what it holds follows from that.
		r.codeStride = work.CodeBytes / work.Codes
		r.codeKernel = kernels.Bytes
		blocks := (dim + kernels.CodeBlock - 1) / kernels.CodeBlock
		if r.codeStride < dim {
			r.codeKernel = kernels.Halves
			blocks = (dim + kernels.HalfBlock - 1) / kernels.HalfBlock
		}
		r.coded, errs[2] = newArena(n, r.codeStride, blocks)
		r.term, errs[3] = newArena(n, int(unsafe.Sizeof(kernels.Term{})), 0)
		r.terms = &r.term.rows
	} else {
		walked = r.scored
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, r.close())
	}
	// A list names as many nodes as were new to the search in one.
	r.listLength = min(max(int(walked/max(r.lists, 1)+0.5), 1), listWords)
	words := unsafe.Slice((*uint32)(unsafe.Pointer(&r.list.bytes[0])), n*listWords)
	for i := range n {
		list := words[i*listWords : (i+1)*listWords]
		clear(list)
		for j := range r.listLength {
			list[j] = r.next() + 1
		}
	}
	room := replayBeam * listWords
	r.fresh, r.floats = make([]uint32, room), make([]float32, room)
	return r, nil
}

func (r *replay) close() error {
	var errs []error
	for _, a := range []arena{r.list, r.coded, r.term, r.vector} {
		if a.bytes != nil {
			errs = append(errs, unix.Munmap(a.bytes))
		}
	}
	return errors.Join(errs...)
}

// next draws a node.
func (r *replay) next() uint32 {
	r.random ^= r.random << 13
	r.random ^= r.random >> 7
	r.random ^= r.random << 17
	return uint32(r.random % uint64(r.n))
}

// compute reads the rows of the fresh nodes. What comes out decides where to go
// on, so that the next reads wait for it, as those of a search do.
func (r *replay) compute(coded bool, n int) {
	query := (*float32)(unsafe.Pointer(&r.query[0]))
	if coded && r.codeKernel != nil {
		r.codeKernel(kernels.Best, &kernels.CodeQuery{Codes: &r.query[0]}, &r.coded.rows, r.terms, r.fresh[:n], r.floats)
	} else {
		kernels.Dot(kernels.Best, query, &r.vector.rows, r.fresh[:n], r.floats)
	}
	r.random += uint64(math.Float32bits(r.floats[0]))
}

// run returns the seconds of CPU time that a query's reads take.
func (r *replay) run() float64 {
	var times []float64
	rows := &r.vector.rows
	if r.codeKernel != nil {
		rows = &r.coded.rows
	}
	for range replayRounds {
		stop := watch()
		for range replayQueries {
			clear(r.visited)
			for lists := 0; lists < int(r.lists+0.5); lists += replayBeam {
				n := 0
				for range replayBeam {
					words := unsafe.Slice((*uint32)(r.list.rows.At(r.next())), listWords)
					n += kernels.Gather(kernels.Best, words, r.visited, uint32(r.n), rows, r.terms, r.fresh[n:])
				}
				r.compute(true, n)
			}
			if r.codeKernel == nil {
				continue // the vectors were walked on
			}
			for left := int(r.scored + 0.5); left > 0; left -= replayScored {
				n := min(left, replayScored)
				for i := range n {
					r.fresh[i] = r.next()
				}
				r.compute(false, n)
			}
		}
		times = append(times, stop().cpu.Seconds()/replayQueries)
	}
	return median(times)
}

// rowTimes measures each kind of row by itself.
func (r *replay) rowTimes() [][]string {
	const calls, width = 20_000, replayScored
	row := func(name string, stride int, read func()) []string {
		var times []float64
		for range replayRounds {
			began := time.Now()
			for range calls {
				for i := range width {
					r.fresh[i] = r.next()
				}
				read()
			}
			times = append(times, time.Since(began).Seconds()/(calls*width))
		}
		t := median(times)
		return []string{fmt.Sprintf("%s, %d bytes", name, stride), count(t * 1e9), count(float64(stride) / t / 1e9)}
	}
	out := [][]string{row("vectors at random", r.vecStride, func() { r.compute(false, width) })}
	if r.codeKernel != nil {
		out = append(out, row("codes at random", r.codeStride, func() { r.compute(true, width) }))
	}
	return out
}
