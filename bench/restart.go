package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"freshet/server"
	"freshet/storage"
)

// benchRestart fills a folder, closes it, and measures how long it takes from
// opening it to the first answer: once with its files in the page cache and once
// without. Beside it, how long the same bytes take to be read, and the recall before
// and after.
func benchRestart(ctx context.Context, d *dataset) (s *section, err error) {
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	progress("%s: filling", d.name)
	before, filling, err := fillFolder(ctx, dir, d, kth)
	if err != nil {
		return nil, err
	}
	graph, err := graphBytes(dir)
	if err != nil {
		return nil, err
	}
	t := table{Head: []string{"", "seconds to the first answer", "CPU seconds", "reading the files", "× reading", "recall@10", "before"}}
	var bytes int64
	for _, cold := range []bool{false, true} {
		progress("%s: opening, cold: %v", d.name, cold)
		var reading time.Duration
		if bytes, reading, err = readFolder(dir, cold); err != nil {
			return nil, err
		}
		if cold {
			if err := eachFile(dir, forget); err != nil {
				return nil, err
			}
		}
		opened, after, err := openFolder(ctx, dir, d, kth)
		if err != nil {
			return nil, err
		}
		name := "files in the page cache"
		if cold {
			name = "files on the disk"
		}
		t.Rows = append(t.Rows, []string{
			name, fmt.Sprintf("%.2f", opened.wall.Seconds()), fmt.Sprintf("%.2f", opened.cpu.Seconds()),
			fmt.Sprintf("%.2f", reading.Seconds()), fmt.Sprintf("%.1f", opened.wall.Seconds()/reading.Seconds()),
			fmt.Sprintf("%.4f", after), fmt.Sprintf("%.4f", before),
		})
	}
	return &section{
		Title: "Restart: " + d.name,
		Lead: fmt.Sprintf("%s, %d MB on disk, in a folder that took %.0f s to fill with batches of %d points and was closed. Of the graph, each insert wrote %.0f bytes. Searches at hnsw_ef %d.",
			d.describe(), bytes/1e6, filling.wall.Seconds(), batch, float64(graph)/float64(d.base.rows), filterEf),
		Tables: []table{t},
	}, nil
}

// fillFolder fills a folder with the data, and returns the recall in it.
func fillFolder(ctx context.Context, dir string, d *dataset, kth []float32) (recall float64, took spent, err error) {
	db, c, err := databaseIn(ctx, dir, d.base.dim)
	if err != nil {
		return 0, took, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stop := watch()
	if err := fill(ctx, c, d.base); err != nil {
		return 0, took, err
	}
	took = stop()
	recall, err = unfilteredRecall(ctx, c, d, kth)
	return recall, took, err
}

// graphBytes returns how many bytes the neighbours take that are stored in a folder, keys
// included, before they are compressed.
func graphBytes(dir string) (n int64, err error) {
	store, err := storage.Open(dir, storage.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	snapshot := store.Snapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	err = snapshot.Scan([]byte{byte(storage.Neighbours)}, nil, func(key, value []byte) (bool, error) {
		n += int64(len(key) + len(value))
		return true, nil
	})
	return n, err
}

// openFolder opens a folder and searches it.
func openFolder(ctx context.Context, dir string, d *dataset, kth []float32) (took spent, recall float64, err error) {
	stop := watch()
	db, err := server.Open(ctx, dir, server.Options{})
	if err != nil {
		return took, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Collection(benchCollection)
	if err != nil {
		return took, 0, err
	}
	first := &matrix{rows: 1, dim: d.queries.dim, data: d.queries.row(0)}
	if _, err := searchFiltered(ctx, c, first, nil, false); err != nil {
		return took, 0, err
	}
	took = stop()
	recall, err = unfilteredRecall(ctx, c, d, kth)
	return took, recall, err
}

// readFolder reads all files of a folder one after the other, after they were taken out
// of the page cache if so asked, and returns how many bytes there are.
func readFolder(dir string, cold bool) (bytes int64, took time.Duration, err error) {
	if cold {
		if err := eachFile(dir, forget); err != nil {
			return 0, 0, err
		}
	}
	began := time.Now()
	err = eachFile(dir, func(f *os.File) error {
		n, err := io.Copy(io.Discard, f)
		bytes += n
		return err
	})
	return bytes, time.Since(began), err
}

func eachFile(dir string, do func(f *os.File) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(do(f), f.Close())
	})
}

// unfilteredRecall is that of searches for all queries.
func unfilteredRecall(ctx context.Context, c *server.Collection, d *dataset, kth []float32) (float64, error) {
	rows, err := searchFiltered(ctx, c, d.queries, nil, false)
	if err != nil {
		return 0, err
	}
	return recallOf(d, d.queries, kth, rows, k), nil
}
