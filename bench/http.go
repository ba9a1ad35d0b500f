package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"freshet/api"
	"freshet/hnsw"
	"freshet/server"
	"freshet/server/point"
)

const (
	httpEf          = 64
	benchCollection = "bench"
)

// database opens a database with an empty collection in a folder of its own.
func database(ctx context.Context, dim int) (db *server.DB, c *server.Collection, closeAll func() error, err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return nil, nil, nil, err
	}
	db, c, err = databaseIn(ctx, dir, dim)
	if err != nil {
		return nil, nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return db, c, func() error { return errors.Join(db.Close(), os.RemoveAll(dir)) }, nil
}

// databaseIn is a database in a folder, with a collection.
func databaseIn(ctx context.Context, dir string, dim int) (db *server.DB, c *server.Collection, err error) {
	db, err = server.Open(ctx, dir, server.Options{})
	if err != nil {
		return nil, nil, err
	}
	err = db.CreateCollection(ctx, benchCollection, server.Config{Vectors: server.VectorsConfig{
		Single: true, Named: map[string]server.VectorParams{"": {Size: dim, Distance: server.Cosine}},
	}})
	if err == nil {
		c, err = db.Collection(benchCollection)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, c, nil
}

// fill puts all rows into a collection.
func fill(ctx context.Context, c *server.Collection, base *matrix) error {
	for from := 0; from < base.rows; from += batch {
		op := server.Op{Kind: server.Upsert}
		for i := from; i < min(from+batch, base.rows); i++ {
			// The database normalises what it is given; the rows are mapped to be read only.
			op.Points = append(op.Points, server.Point{ID: point.Number(uint64(i)), Vectors: server.Vectors{"": server.Dense(slices.Clone(base.row(i)))}})
		}
		if _, err := c.Apply(ctx, server.Batch{Ops: []server.Op{op}}); err != nil {
			return err
		}
	}
	return nil
}

// benchHTTP sends searches through HTTP on loopback, one client, and asks a
// graph of the same vectors directly in between.
func benchHTTP(ctx context.Context, d *dataset) (s *section, err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := fill(ctx, c, d.base); err != nil {
		return nil, err
	}
	x, _, err := buildIndex(ctx, d)
	if x != nil {
		defer func() { err = errors.Join(err, x.close()) }()
	}
	if err != nil {
		return nil, err
	}
	url, closeAPI, err := serve(ctx, api.New(db, api.Options{}).HTTPServer())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAPI()) }()
	url += "/collections/bench/points/query"
	bareURL, closeBare, err := serve(ctx, &http.Server{Handler: http.HandlerFunc(bare), ReadHeaderTimeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeBare()) }()
	var graph, collection, whole, transport []float64
	var hits []hnsw.Hit
	const warm = 200
	for i := range warm + 4000 {
		// Three different queries: none finds its vectors in the cache because
		// the one before has just been there.
		query := func(turn int) []float32 { return d.queries.row((i + turn*d.queries.rows/3) % d.queries.rows) }
		body, err := json.Marshal(map[string]any{
			"query": map[string]any{"nearest": query(2)}, "limit": k, "with_payload": false, "params": map[string]any{"hnsw_ef": httpEf},
		})
		if err != nil {
			return nil, err
		}
		t0 := time.Now()
		hits, err = x.g.Search(ctx, hnsw.Query{Vector: query(0), K: k, Ef: httpEf, View: x.slots.View()}, hits[:0])
		if err != nil {
			return nil, err
		}
		t1 := time.Now()
		if _, err := c.Search(ctx, server.SearchRequest{Vector: server.Dense(query(1)), Limit: k, Ef: httpEf}); err != nil {
			return nil, err
		}
		t2 := time.Now()
		if err := post(ctx, url, body); err != nil {
			return nil, err
		}
		t3 := time.Now()
		if err := post(ctx, bareURL, body); err != nil {
			return nil, err
		}
		t4 := time.Now()
		if i >= warm {
			graph, collection, whole = append(graph, t1.Sub(t0).Seconds()), append(collection, t2.Sub(t1).Seconds()), append(whole, t3.Sub(t2).Seconds())
			transport = append(transport, t4.Sub(t3).Seconds())
		}
	}
	t := table{Head: []string{"", "P50", "P99", "P50 above the graph"}}
	for _, row := range []struct {
		name  string
		times []float64
	}{{"graph", graph}, {"collection", collection}, {"HTTP", whole}, {"HTTP, no search", transport}} {
		p50 := quantile(row.times, 0.5)
		t.Rows = append(t.Rows, []string{row.name, micros(p50), micros(quantile(row.times, 0.99)), micros(p50 - quantile(graph, 0.5))})
	}
	return &section{
		Title:  "HTTP: " + d.name,
		Lead:   fmt.Sprintf("%s; hnsw_ef %d, top %d without payload, one client, µs on the clock.", d.describe(), httpEf, k),
		Tables: []table{t},
	}, nil
}

// serve runs an HTTP server on loopback.
func serve(ctx context.Context, srv *http.Server) (url string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() error {
		err := srv.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

// bare reads a request and answers with as much as a search does: the least
// that HTTP itself costs.
func bare(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		_, err = w.Write(make([]byte, 400))
		_ = err // the client sees it too
	}
}

func post(ctx context.Context, url string, body []byte) error {
	_, err := send(ctx, http.DefaultClient, http.MethodPost, url, body)
	return err
}
