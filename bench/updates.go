package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/viterin/vek/vek32"

	"freshet/hnsw"
)

const (
	passes      = 3  // each replaces every point
	deleteEvery = 10 // one of so many points is deleted first and inserted later
	awayShare   = 50 // 1/awayShare of all points are deleted before they come back
)

var updateEfs = []int{32, 64, 128}

// aged is a graph and how it came to be.
type aged struct {
	name   string
	x      *index
	bytes  int64   // memory of the process it takes
	rate   float64 // inserts or replacements per second of CPU time
	recall []float64
	qps    []float64 // at updateEfs
}

// benchUpdates replaces every point three times, in random order and in the order
// of clusters, and compares with a graph built afresh. The points end up with the
// vectors they began with, so all graphs have the same answers.
func benchUpdates(ctx context.Context, d *dataset, rounds int) (s *section, err error) {
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	var graphs []*aged
	defer func() {
		for _, a := range graphs {
			err = errors.Join(err, a.x.close())
		}
	}()
	for _, order := range []struct {
		name string
		rows []int
	}{{"built afresh", nil}, {"random order", rand.New(rand.NewPCG(1, 1)).Perm(d.base.rows)}, {"clustered order", byCluster(d.base)}} {
		progress("%s: %s", d.name, order.name)
		before := settledBytes()
		x, took, err := buildIndex(ctx, d)
		a := &aged{name: order.name, x: x}
		if x != nil {
			graphs = append(graphs, a)
		}
		if err != nil {
			return nil, err
		}
		n := float64(d.base.rows)
		a.rate = n / took.cpu.Seconds()
		if order.rows != nil {
			stop := watch()
			if err := x.age(ctx, d.base, order.rows, batch); err != nil {
				return nil, err
			}
			a.rate = passes * n / stop().cpu.Seconds()
		}
		a.bytes = settledBytes() - before
	}
	for _, ef := range updateEfs {
		rates := make([][]float64, len(graphs))
		for range rounds {
			for i, a := range graphs {
				rows, took, err := a.x.repeat(ctx, d.queries, hnsw.Query{Ef: ef}, 1, atLeast)
				if err != nil {
					return nil, err
				}
				rates[i] = append(rates[i], float64(d.queries.rows)/took.cpu.Seconds())
				if len(rates[i]) == rounds {
					a.recall = append(a.recall, recallOf(d, d.queries, kth, rows, k))
				}
			}
		}
		for i, a := range graphs {
			a.qps = append(a.qps, median(rates[i]))
		}
	}
	return updatesSection(d, graphs, rounds), nil
}

// When a collection repairs its graph beside writes: see server/maintain.go.
const (
	repairShare = 25 // one dead slot in so many begins a repair
	nodesADeath = 30 // nodes visited for each slot that dies meanwhile
	nodesASlice = 500
)

// replace gives points new vectors: their old slots die and new ones are born at
// the same moment, and others that are deleted die with them. Then it goes on with
// the repair, as a collection does. It returns the new slots.
func (x *index) replace(ctx context.Context, base *matrix, dead []uint32, rows []int) ([]uint32, error) {
	slots, err := x.add(ctx, base, rows, 1)
	if err != nil {
		return nil, err
	}
	for _, slot := range dead {
		x.slots.Retire(slot)
	}
	x.slots.Publish()
	if len(dead) > 0 && (x.repair.Running() || x.slots.Dead() >= x.slots.Len()/repairShare) {
		_, err = x.repair.Step(ctx, x.slots.View(), len(dead)*nodesADeath)
	}
	return slots, err
}

// mend repairs what there is to repair, as a collection does when it is idle.
func (x *index) mend(ctx context.Context) error {
	for x.repair.Pending() {
		if _, err := x.repair.Step(ctx, x.slots.View(), nodesASlice); err != nil {
			return err
		}
		x.slots.Publish()
	}
	return nil
}

// age replaces every point in the order given, in batches of size, passes times, and
// leaves nothing to repair. In each pass but the
// last a point gets the vector of another one, a third of the order further than
// in the pass before; in the last it gets its own again.
func (x *index) age(ctx context.Context, base *matrix, order []int, size int) error {
	n := len(order)
	slotOf := make([]uint32, n) // by point; a graph just built has them in order
	for point := range slotOf {
		slotOf[point] = uint32(point)
	}
	for pass := 1; pass <= passes; pass++ {
		newRow := func(at int) int { return order[(at+pass*n/passes)%n] }
		var away []int // places in the order of the points deleted for now
		for from := 0; from < n; from += size {
			var points, rows []int
			var dead []uint32
			for at := from; at < min(from+size, n); at++ {
				dead = append(dead, slotOf[order[at]])
				if at%deleteEvery == 0 {
					away = append(away, at)
					continue
				}
				points, rows = append(points, order[at]), append(rows, newRow(at))
			}
			slots, err := x.replace(ctx, base, dead, rows)
			if err != nil {
				return err
			}
			for i, point := range points {
				slotOf[point] = slots[i]
			}
			if len(away) < n/awayShare && from+size < n {
				continue
			}
			for places := range slices.Chunk(away, size) {
				rows = rows[:0]
				for _, at := range places {
					rows = append(rows, newRow(at))
				}
				if slots, err = x.replace(ctx, base, nil, rows); err != nil {
					return err
				}
				for i, at := range places {
					slotOf[order[at]] = slots[i]
				}
			}
			away = away[:0]
		}
	}
	return x.mend(ctx)
}

// byCluster orders the rows so that neighbours follow each other: by the nearest
// of some anchors, then by nearness to it.
func byCluster(base *matrix) []int {
	const anchors = 100
	r := rand.New(rand.NewPCG(2, 2))
	anchor := make([]int, anchors)
	for i := range anchor {
		anchor[i] = r.IntN(base.rows)
	}
	type place struct {
		anchor int
		score  float32
		row    int
	}
	places := make([]place, base.rows)
	for row := range places {
		places[row] = place{-1, -2, row}
		for i, a := range anchor {
			if score := vek32.Dot(base.row(a), base.row(row)); score > places[row].score {
				places[row] = place{i, score, row}
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(a.anchor-b.anchor, cmp.Compare(b.score, a.score), a.row-b.row)
	})
	order := make([]int, base.rows)
	for i, p := range places {
		order[i] = p.row
	}
	return order
}

func updatesSection(d *dataset, graphs []*aged, rounds int) *section {
	s := &section{
		Title: "Updates: " + d.name,
		Lead: fmt.Sprintf("%s. Every point is replaced %d times, one of %d by a delete and an insert later on, in batches of %d on one thread; "+
			"then all have the vectors they began with. The repair goes on beside that, as in a collection, and to its end; its time counts. Rates per second of CPU time, medians of %d rounds in turns.",
			d.describe(), passes, deleteEvery, batch, rounds),
	}
	fresh := graphs[0]
	searches := table{Caption: "Searches: recall, queries/s and their ratio to the graph built afresh", Head: []string{"graph"}}
	for _, ef := range updateEfs {
		searches.Head = append(searches.Head, fmt.Sprintf("ef %d", ef))
	}
	upkeep := table{
		Caption: "Rate of inserts (built afresh) or replacements, and memory",
		Head:    []string{"graph", "points/s", "× inserts", "bytes/point", "× afresh", "slots", "free", "dead"},
	}
	for _, a := range graphs {
		row := []string{a.name}
		for i := range updateEfs {
			row = append(row, fmt.Sprintf("%.4f  %s  (%.2f)", a.recall[i], count(a.qps[i]), a.qps[i]/fresh.qps[i]))
		}
		searches.Rows = append(searches.Rows, row)
		upkeep.Rows = append(upkeep.Rows, []string{
			a.name, count(a.rate), fmt.Sprintf("%.2f", a.rate/fresh.rate),
			count(float64(a.bytes) / float64(d.base.rows)), fmt.Sprintf("%.2f", float64(a.bytes)/float64(fresh.bytes)),
			grouped(a.x.slots.Len()), grouped(a.x.slots.Free()), grouped(a.x.slots.Dead()),
		})
	}
	s.Tables = []table{searches, upkeep}
	return s
}
