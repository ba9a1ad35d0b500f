package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"freshet/hnsw"
)

var (
	efs     = []int{10, 12, 16, 24, 32, 48, 64, 96, 128, 200, 400, 800}
	recalls = []float64{0.90, 0.95, 0.98, 0.99}
)

const (
	enough    = 0.998 // recall from which an engine is not asked for more
	threadsEf = 64    // where two threads are compared with one
	maxHeld   = 1000  // rows inserted one by one
)

// reached is what an engine reaches at one ef.
type reached struct {
	ef     int
	recall float64
	qps    float64 // per second of CPU time
}

// measured is what a run of the graph benchmark says of one engine.
type measured struct {
	*engine
	built    answer // of one thread
	inserted answer
	curve    []reached
	searched [2]answer // median of those with one thread and with two
	built2   answer    // with two threads
}

// benchGraph compares the engines on the same vectors and parameters.
func benchGraph(ctx context.Context, d *dataset, names []string, rounds int) (s *section, err error) {
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	engines, stop, err := startEngines(ctx, d, names)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	held := min(maxHeld, d.base.rows/10)
	var all, present []*measured
	for _, e := range engines {
		m := &measured{engine: e}
		all = append(all, m)
		if e.missing != "" {
			continue
		}
		present = append(present, m)
		progress("%s: %s builds", d.name, e.name)
		if m.built, err = e.ask("build 1 %d", held); err != nil {
			return nil, err
		}
		if m.inserted, err = e.ask("insert"); err != nil {
			return nil, err
		}
	}
	if err := searchInTurns(d, kth, present, rounds); err != nil {
		return nil, err
	}
	if err := onTwoThreads(d, present, held, rounds); err != nil {
		return nil, err
	}
	return graphSection(d, all, held, rounds), nil
}

// searchInTurns lets the engines search all queries one after the other, round
// by round, at each ef.
func searchInTurns(d *dataset, kth []float32, present []*measured, rounds int) error {
	left := slices.Clone(present)
	for _, m := range left {
		if _, err := m.search(efs[0], 1); err != nil { // warms up
			return err
		}
	}
	for _, ef := range efs {
		progress("%s: ef %d", d.name, ef)
		rates := map[*measured][]float64{}
		for range rounds {
			for _, m := range left {
				a, err := m.search(ef, 1)
				if err != nil {
					return err
				}
				rates[m] = append(rates[m], float64(d.queries.rows)/a.CPU)
			}
		}
		var next []*measured
		for _, m := range left {
			recall, err := m.recall(d, kth)
			if err != nil {
				return err
			}
			m.curve = append(m.curve, reached{ef: ef, recall: recall, qps: median(rates[m])})
			if recall < enough {
				next = append(next, m)
			}
		}
		left = next
	}
	return nil
}

// onTwoThreads compares two threads with one, in turns, and builds with two.
func onTwoThreads(d *dataset, present []*measured, held, rounds int) error {
	for _, m := range present {
		progress("%s: %s on two threads", d.name, m.name)
		var took [2][]answer
		for range 2*rounds + 1 {
			for i := range took {
				a, err := m.search(threadsEf, i+1)
				if err != nil {
					return err
				}
				took[i] = append(took[i], a)
			}
		}
		for i := range took {
			slices.SortFunc(took[i], func(a, b answer) int { return cmp.Compare(a.Wall, b.Wall) })
			m.searched[i] = took[i][len(took[i])/2]
		}
		var err error
		if m.built2, err = m.ask("build 2 %d", held); err != nil {
			return err
		}
	}
	return nil
}

// at returns the rate at a recall, between the neighbouring measurements, in
// which the logarithm of the rate is taken as linear.
func at(points []reached, recall float64) (float64, bool) {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if a.recall <= recall && recall <= b.recall && a.recall < b.recall {
			f := (recall - a.recall) / (b.recall - a.recall)
			return math.Exp(math.Log(a.qps)*(1-f) + math.Log(b.qps)*f), true
		}
	}
	return 0, false
}

// graphSection turns the measurements into tables.
func graphSection(d *dataset, all []*measured, held, rounds int) *section {
	s := &section{
		Title: "Search and build: " + d.name,
		Lead: fmt.Sprintf("%s; M %d, ef_construct %d, recall@%d. The engines take turns; medians of %d rounds.",
			d.describe(), hnsw.DefaultM, hnsw.DefaultEfConstruct, k, rounds),
	}
	var peer, ours *measured
	for _, m := range all {
		if m.missing != "" {
			s.Notes = append(s.Notes, fmt.Sprintf("%s is missing: %s", m.name, m.missing))
			continue
		}
		s.Engines = append(s.Engines, m.name+": "+m.version)
		if m.name == hnswlibName {
			peer = m
		}
		if m.name == freshetName {
			ours = m
		}
	}
	all = slices.DeleteFunc(all, func(m *measured) bool { return m.missing != "" })
	s.Tables = []table{
		speedTable(all, peer), buildTable(d, all, peer, held), threadsTable(d, all, held), curveTable(all),
	}
	s.Plot = &plot{Title: d.name, X: fmt.Sprintf("recall@%d", k), Y: "queries per second of CPU time, one thread"}
	for _, m := range all {
		l := line{Name: m.name}
		for _, p := range m.curve {
			l.Points = append(l.Points, [2]float64{p.recall, p.qps})
		}
		s.Plot.Lines = append(s.Plot.Lines, l)
	}
	if ours != nil && peer != nil {
		s.Summary = summaryRow(d, ours, peer)
	}
	return s
}

// rateAt is a cell: the rate at a recall and its ratio to the peer's.
func rateAt(m, peer *measured, recall float64) string {
	qps, ok := at(m.curve, recall)
	switch {
	case !ok && len(m.curve) > 0 && m.curve[0].recall > recall:
		return fmt.Sprintf("ef %d has %.3f", m.curve[0].ef, m.curve[0].recall)
	case !ok:
		return "not reached"
	}
	if peer != nil && peer != m {
		if other, ok := at(peer.curve, recall); ok {
			return fmt.Sprintf("%s (%.2f ×)", count(qps), qps/other)
		}
	}
	return count(qps)
}

func speedTable(all []*measured, peer *measured) table {
	t := table{
		Caption: "Queries per second of CPU time at equal recall, one thread, interpolated; in brackets the ratio to hnswlib",
		Head:    []string{"engine"},
	}
	for _, recall := range recalls {
		t.Head = append(t.Head, fmt.Sprintf("%.2f", recall))
	}
	for _, m := range all {
		row := []string{m.name}
		for _, recall := range recalls {
			row = append(row, rateAt(m, peer, recall))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func buildTable(d *dataset, all []*measured, peer *measured, held int) table {
	t := table{
		Caption: fmt.Sprintf("Build on one thread, per second of CPU time; memory of the process; the last %d vectors inserted one by one, µs", held),
		Head:    []string{"engine", "vectors/s", "× hnswlib", "bytes/vector", "P50 wall", "P99 wall", "P50 CPU", "P99 CPU"},
	}
	rows := float64(d.base.rows - held)
	for _, m := range all {
		ratio := "–"
		if peer != nil {
			ratio = fmt.Sprintf("%.2f", peer.built.CPU/m.built.CPU)
		}
		row := []string{m.name, count(rows / m.built.CPU), ratio, count(float64(m.built.Bytes) / rows)}
		for _, times := range [][]float64{m.inserted.Walls, m.inserted.CPUs} {
			row = append(row, micros(quantile(times, 0.5)), micros(quantile(times, 0.99)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func threadsTable(d *dataset, all []*measured, held int) table {
	t := table{
		Caption: fmt.Sprintf("Two threads against one, on the clock, and what a query or a vector costs of CPU time on two threads as a multiple of that on one; searches at ef %d", threadsEf),
		Head: []string{
			"engine", "queries/s on 1", "on 2", "speed-up", "CPU ×", "build/s on 1", "on 2", "speed-up", "CPU ×",
		},
	}
	rows := float64(d.base.rows - held)
	for _, m := range all {
		one, two := m.searched[0], m.searched[1]
		n := float64(d.queries.rows)
		t.Rows = append(t.Rows, []string{
			m.name,
			count(n / one.Wall), count(n / two.Wall), fmt.Sprintf("%.2f", one.Wall/two.Wall), fmt.Sprintf("%.2f", two.CPU/one.CPU),
			count(rows / m.built.Wall), count(rows / m.built2.Wall), fmt.Sprintf("%.2f", m.built.Wall/m.built2.Wall), fmt.Sprintf("%.2f", m.built2.CPU/m.built.CPU),
		})
	}
	return t
}

func curveTable(all []*measured) table {
	t := table{Caption: "Recall and queries per second of CPU time at each ef, one thread", Head: []string{"ef"}}
	for _, m := range all {
		t.Head = append(t.Head, m.name)
	}
	for i, ef := range efs {
		row := []string{fmt.Sprint(ef)}
		filled := false
		for _, m := range all {
			cell := ""
			if i < len(m.curve) {
				cell, filled = fmt.Sprintf("%.4f  %s", m.curve[i].recall, count(m.curve[i].qps)), true
			}
			row = append(row, cell)
		}
		if filled {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

var summaryHead = []string{"data", "vectors", "dimensions", "0.90", "0.95", "0.98", "0.99", "build", "memory"}

// summaryRow holds ratios of Freshet to hnswlib.
func summaryRow(d *dataset, ours, peer *measured) []string {
	row := []string{d.name, thousands(d.base.rows), fmt.Sprint(d.base.dim)}
	for _, recall := range recalls {
		a, okA := at(ours.curve, recall)
		b, okB := at(peer.curve, recall)
		cell := "–"
		if okA && okB {
			cell = fmt.Sprintf("%.2f", a/b)
		}
		row = append(row, cell)
	}
	memory := "–"
	if ours.built.Bytes > 0 && peer.built.Bytes > 0 {
		memory = fmt.Sprintf("%.2f", float64(ours.built.Bytes)/float64(peer.built.Bytes))
	}
	return append(row, fmt.Sprintf("%.2f", peer.built.CPU/ours.built.CPU), memory)
}
