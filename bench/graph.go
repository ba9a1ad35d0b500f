package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"freshet/hnsw"
)

const (
	k      = 10
	rounds = 5 // of searches at each ef; the median counts
	batch  = 512
)

var efs = []int{10, 16, 24, 32, 48, 64, 96, 128, 200, 400}

// reached is one measurement: what an engine reaches at one ef.
type reached struct {
	ef     int
	recall float64
	qps    float64
}

// benchGraph builds both graphs, then takes turns at searching.
func benchGraph(ctx context.Context, d *dataset) (err error) {
	kth, err := truth(ctx, d)
	if err != nil {
		return err
	}
	peer, err := startPeer(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	fmt.Printf("%d vectors, %d queries, %d dimensions, M %d, ef_construct %d, recall@%d, one thread each\n\n",
		d.base.rows, d.queries.rows, d.base.dim, hnsw.DefaultM, hnsw.DefaultEfConstruct, k)

	peerBuild, err := peer.build()
	if err != nil {
		return err
	}
	began := time.Now()
	g, slots, err := build(ctx, d)
	if err != nil {
		return err
	}
	build := time.Since(began)
	rate := func(t time.Duration) float64 { return float64(d.base.rows) / t.Seconds() }
	fmt.Printf("build      freshet %8.0f/s   hnswlib %8.0f/s   ratio %.2f\n\n", rate(build), rate(peerBuild), rate(build)/rate(peerBuild))

	fmt.Printf("   ef   freshet recall      qps   hnswlib recall      qps\n")
	var ours, theirs []reached
	for _, ef := range efs {
		var mine, other []float64
		a, b := reached{ef: ef}, reached{ef: ef}
		for range rounds {
			recall, qps, err := searchAll(ctx, g, slots, d, kth, ef)
			if err != nil {
				return err
			}
			mine, a.recall = append(mine, qps), recall
			recall, qps, err = peer.search(d, kth, ef)
			if err != nil {
				return err
			}
			other, b.recall = append(other, qps), recall
		}
		a.qps, b.qps = median(mine), median(other)
		ours, theirs = append(ours, a), append(theirs, b)
		fmt.Printf("%5d   %14.4f %8.0f   %14.4f %8.0f\n", ef, a.recall, a.qps, b.recall, b.qps)
	}
	fmt.Printf("\nqueries per second at equal recall, interpolated\n")
	for _, recall := range []float64{0.95, 0.98, 0.99} {
		a, okA := at(ours, recall)
		b, okB := at(theirs, recall)
		if !okA || !okB {
			fmt.Printf("  %.2f   outside of what was measured\n", recall)
			continue
		}
		fmt.Printf("  %.2f   freshet %8.0f   hnswlib %8.0f   ratio %.2f\n", recall, a, b, a/b)
	}
	return nil
}

func build(ctx context.Context, d *dataset) (*hnsw.Graph, *hnsw.Slots, error) {
	slots := hnsw.NewSlots()
	g, err := hnsw.New(hnsw.Config{Dim: d.base.dim, Metric: hnsw.Cosine}, slots)
	if err != nil {
		return nil, nil, err
	}
	for from := 0; from < d.base.rows; from += batch {
		var items []hnsw.Item
		for i := from; i < min(from+batch, d.base.rows); i++ {
			slot, err := slots.Alloc()
			if err != nil {
				return nil, nil, err
			}
			items = append(items, hnsw.Item{Slot: slot, Vector: d.base.row(i)})
		}
		staged, err := g.Stage(ctx, items, 1)
		if err != nil {
			return nil, nil, err
		}
		staged.Link()
	}
	slots.Publish()
	return g, slots, nil
}

// truth returns the k-th best score of each query, by brute force.
func truth(ctx context.Context, d *dataset) ([]float32, error) {
	kth := make([]float32, d.queries.rows)
	best := make([]float32, d.base.rows)
	for q := range d.queries.rows {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for i := range d.base.rows {
			best[i] = -dot(d.queries.row(q), d.base.row(i))
		}
		slices.Sort(best)
		kth[q] = -best[min(k, d.base.rows)-1]
	}
	return kth, nil
}

// dot is summed by the compiler's own means: not by the kernels it judges.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for i := 0; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for i := len(a) &^ 3; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// tolerance makes a tie with the k-th best no miss.
const tolerance = 2e-6

func searchAll(ctx context.Context, g *hnsw.Graph, slots *hnsw.Slots, d *dataset, kth []float32, ef int) (recall, qps float64, err error) {
	all := make([]hnsw.Hit, 0, k*d.queries.rows)
	ends := make([]int, 0, d.queries.rows)
	view := slots.View()
	began := time.Now()
	for q := range d.queries.rows {
		all, err = g.Search(ctx, hnsw.Query{Vector: d.queries.row(q), K: k, Ef: ef, View: view}, all)
		if err != nil {
			return 0, 0, err
		}
		ends = append(ends, len(all))
	}
	took := time.Since(began)
	found, from := 0, 0
	for q, end := range ends {
		for _, h := range all[from:end] {
			if dot(d.queries.row(q), d.base.row(int(h.Slot))) >= kth[q]-tolerance {
				found++
			}
		}
		from = end
	}
	return float64(found) / float64(k*d.queries.rows), float64(d.queries.rows) / took.Seconds(), nil
}

// peer is a process with hnswlib.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	dir string
}

func startPeer(ctx context.Context, d *dataset) (*peer, error) {
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return nil, err
	}
	p := &peer{dir: dir}
	base, queries := filepath.Join(dir, "base.npy"), filepath.Join(dir, "queries.npy")
	if err := errors.Join(d.base.writeNPY(base), d.queries.writeNPY(queries)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.cmd = exec.CommandContext(ctx, ".cache/python-bench/bin/python", "bench/peer.py", base, queries,
		strconv.Itoa(hnsw.DefaultM), strconv.Itoa(hnsw.DefaultEfConstruct))
	p.cmd.Stderr = os.Stderr
	in, errIn := p.cmd.StdinPipe()
	out, errOut := p.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("hnswlib (bench/setup.sh installs it): %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func (p *peer) stop() error {
	return errors.Join(p.in.Close(), p.cmd.Wait(), os.RemoveAll(p.dir))
}

func (p *peer) ask(format string, args ...any) (time.Duration, error) {
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, errors.Join(errors.New("hnswlib gave no answer"), p.out.Err())
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(p.out.Text()), 64)
	return time.Duration(seconds * float64(time.Second)), err
}

func (p *peer) build() (time.Duration, error) { return p.ask("build") }

func (p *peer) search(d *dataset, kth []float32, ef int) (recall, qps float64, err error) {
	path := filepath.Join(p.dir, "rows.npy")
	took, err := p.ask("search %d %d %s", ef, k, path)
	if err != nil {
		return 0, 0, err
	}
	rows, err := readNPY(path)
	if err != nil {
		return 0, 0, err
	}
	found := 0
	for q := range rows.rows {
		for _, row := range rows.row(q) {
			if dot(d.queries.row(q), d.base.row(int(row))) >= kth[q]-tolerance {
				found++
			}
		}
	}
	return float64(found) / float64(k*d.queries.rows), float64(d.queries.rows) / took.Seconds(), nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// at returns the rate at a recall, between the neighbouring measurements.
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
