package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"freshet/examples/minilm"
)

// dataset is what a benchmark works on: rows of length 1, in files that all
// engines map.
type dataset struct {
	name          string
	dir           string
	base, queries *matrix
}

// source says where vectors come from: .npy files, a generator, or the sample.
type source struct {
	base, queries string // .npy files
	name          string // what the tables call them
	shape         string // of the generator
	dim, size     int
}

const (
	cacheDir   = ".cache/bench-data"
	sampleName = "sample"
)

func (s source) check() error {
	switch {
	case (s.base == "") != (s.queries == ""):
		return errors.New("--base and --queries go together")
	case s.base != "" && s.shape != "":
		return errors.New("--base and --synthetic exclude each other")
	case s.shape != "":
		return checkShape(s)
	}
	return nil
}

// open returns the vectors, normalised. What is generated or converted is kept
// for the next time.
func open(s source) (*dataset, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.shape != "" {
		name := fmt.Sprintf("%s-%d-%s", s.shape, s.dim, thousands(s.size))
		return keep(name, filepath.Join(cacheDir, fmt.Sprintf("%s-v%d", name, shapeVersion)), func() (base, queries *matrix, err error) {
			base, queries = generate(s.shape, s.dim, s.size)
			return base, queries, nil
		})
	}
	base, queries, err := read(s)
	if err != nil {
		return nil, err
	}
	name := s.name
	if name == "" && s.base != "" {
		name = strings.TrimSuffix(filepath.Base(s.base), ".npy")
	} else if name == "" {
		name = sampleName
	}
	if strings.ContainsAny(name, "/|\n") {
		return nil, fmt.Errorf("--name %q: no slash, bar or line end", name)
	}
	sum := sha256.New()
	for _, m := range []*matrix{base, queries} {
		_, _ = sum.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m.data))), 4*len(m.data))) // never an error
	}
	return keep(name, filepath.Join(cacheDir, fmt.Sprintf("%s-%x", name, sum.Sum(nil)[:6])), func() (*matrix, *matrix, error) {
		return base, queries, nil
	})
}

func read(s source) (base, queries *matrix, err error) {
	if s.base == "" {
		base, errBase := fromSample(minilm.Base())
		queries, errQueries := fromSample(minilm.Queries())
		return base, queries, errors.Join(errBase, errQueries)
	}
	base, errBase := readNPY(s.base)
	queries, errQueries := readNPY(s.queries)
	if err := errors.Join(errBase, errQueries); err != nil {
		return nil, nil, err
	}
	if base.dim != queries.dim {
		return nil, nil, fmt.Errorf("vectors of %d dimensions, queries of %d", base.dim, queries.dim)
	}
	if base.rows < k || queries.rows == 0 {
		return nil, nil, fmt.Errorf("%d vectors and %d queries: want at least %d and 1", base.rows, queries.rows, k)
	}
	return base, queries, nil
}

func fromSample(rows []minilm.Row, err error) (*matrix, error) {
	m := &matrix{rows: len(rows), dim: minilm.Dim}
	for _, row := range rows {
		m.data = append(m.data, row.Vector...)
	}
	return m, err
}

// keep maps the files in dir, and writes them first if they are not there.
func keep(name, dir string, produce func() (base, queries *matrix, err error)) (*dataset, error) {
	d := &dataset{name: name, dir: dir}
	if _, err := os.Stat(d.queriesPath()); errors.Is(err, fs.ErrNotExist) {
		base, queries, err := produce()
		if err != nil {
			return nil, err
		}
		base.normalize()
		queries.normalize()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		// The queries last: when they are there, all is.
		if err := base.writeNPY(d.basePath()); err != nil {
			return nil, err
		}
		if err := queries.writeNPY(d.queriesPath()); err != nil {
			return nil, err
		}
	}
	var errBase, errQueries error
	d.base, errBase = mapNPY(d.basePath())
	d.queries, errQueries = mapNPY(d.queriesPath())
	return d, errors.Join(errBase, errQueries)
}

func (d *dataset) basePath() string    { return filepath.Join(d.dir, "base.npy") }
func (d *dataset) queriesPath() string { return filepath.Join(d.dir, "queries.npy") }

// truth returns the k-th best score of each query, computed once.
func (d *dataset) truth(ctx context.Context) ([]float32, error) {
	path := filepath.Join(d.dir, fmt.Sprintf("truth%d.npy", k))
	if m, err := mapNPY(path); err == nil && m.rows == d.queries.rows {
		return m.data, nil
	}
	progress("%s: exact neighbours of %d queries", d.name, d.queries.rows)
	kth, err := exact(ctx, d.base, d.queries, nil)
	if err != nil {
		return nil, err
	}
	return kth, (&matrix{rows: len(kth), dim: 1, data: kth}).writeNPY(path)
}

// describe says what the tables below it were measured on.
func (d *dataset) describe() string {
	return fmt.Sprintf("%s vectors of %d dimensions, %d queries", thousands(d.base.rows), d.base.dim, d.queries.rows)
}

// thousands writes a round number short.
func thousands(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// progress tells the terminal what is going on; the tables go elsewhere.
func progress(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, format+"\n", args...)
}
