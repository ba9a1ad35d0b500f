package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"freshet/api"
	"freshet/hnsw"
	"freshet/server"
	"freshet/server/point"
)

const httpEf = 64

// database opens a database with an empty collection in a folder of its own.
func database(ctx context.Context, dim int) (db *server.DB, c *server.Collection, closeAll func() error, err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return nil, nil, nil, err
	}
	db, err = server.Open(ctx, dir, server.Options{})
	if err != nil {
		return nil, nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	closeAll = func() error { return errors.Join(db.Close(), os.RemoveAll(dir)) }
	err = db.CreateCollection(ctx, "bench", server.Config{Vectors: server.VectorsConfig{
		Single: true, Named: map[string]server.VectorParams{"": {Size: dim, Distance: server.Cosine}},
	}})
	if err == nil {
		c, err = db.Collection("bench")
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, closeAll())
	}
	return db, c, closeAll, nil
}

// benchHTTP sends searches through HTTP on loopback, one client, and asks a
// graph of the same vectors directly in between.
func benchHTTP(ctx context.Context, d *dataset) (err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	for from := 0; from < d.base.rows; from += batch {
		op := server.Op{Kind: server.Upsert}
		for i := from; i < min(from+batch, d.base.rows); i++ {
			op.Points = append(op.Points, server.Point{ID: point.Number(uint64(i)), Vectors: server.Vectors{"": d.base.row(i)}})
		}
		if _, err := c.Apply(ctx, server.Batch{Ops: []server.Op{op}}); err != nil {
			return err
		}
	}
	g, slots, err := build(ctx, d)
	if err != nil {
		return err
	}
	url, closeAPI, err := serve(ctx, api.New(db, api.Options{}).HTTPServer())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAPI()) }()
	url += "/collections/bench/points/query"
	bare, closeBare, err := serve(ctx, &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBare()) }()
	var graph, collection, whole, transport []time.Duration
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
			return err
		}
		t0 := time.Now()
		hits, err = g.Search(ctx, hnsw.Query{Vector: query(0), K: k, Ef: httpEf, View: slots.View()}, hits[:0])
		if err != nil {
			return err
		}
		t1 := time.Now()
		if _, err := c.Search(ctx, server.SearchRequest{Vector: query(1), Limit: k, Ef: httpEf}); err != nil {
			return err
		}
		t2 := time.Now()
		if err := post(ctx, url, body); err != nil {
			return err
		}
		t3 := time.Now()
		if err := post(ctx, bare, body); err != nil {
			return err
		}
		t4 := time.Now()
		if i >= warm {
			graph, collection, whole = append(graph, t1.Sub(t0)), append(collection, t2.Sub(t1)), append(whole, t3.Sub(t2))
			transport = append(transport, t4.Sub(t3))
		}
	}
	fmt.Printf("%d vectors, %d dimensions, hnsw_ef %d, top %d without payload, one client, µs\n\n", d.base.rows, d.base.dim, httpEf, k)
	fmt.Printf("                     P50      P99   P50 above the graph\n")
	for _, x := range []struct {
		name  string
		times []time.Duration
	}{{"graph", graph}, {"collection", collection}, {"HTTP", whole}, {"HTTP, no search", transport}} {
		fmt.Printf("%-15s %8.0f %8.0f   %19.0f\n", x.name, us(quantile(x.times, 0.5)), us(quantile(x.times, 0.99)), us(quantile(x.times, 0.5)-quantile(graph, 0.5)))
	}
	return nil
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

// answer reads a request and answers with as much as a search does: the least
// that HTTP itself costs.
func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		_, err = w.Write(make([]byte, 400))
		_ = err // the client sees it too
	}
}

func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	return nil
}
