package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"freshet/cmd/freshet/internal/rest"
)

// Import says what to copy where.
type Import struct {
	File       string // .jsonl, .ndjson, .parquet or .npy; empty: From
	From       Server
	FromName   string // collection of From
	Payload    string // JSONL file with the payloads of an .npy file; empty: none
	To         Server
	Collection string
	Distance   string // makes a missing collection for a file
	Append     bool   // From may go into a collection that exists
	Batch      int    // points of one request
	Parallel   int    // requests at a time
	State      string // file; empty: named after source and target
	// Progress is told how many points of how many (−1: not known) are written.
	Progress func(points, of int64)
}

// Result is what an import or export did.
type Result struct {
	Collection string  `json:"collection"`
	Points     int64   `json:"points"`            // written now
	Before     int64   `json:"before,omitempty"`  // written by runs before that did not end
	Resumed    bool    `json:"resumed,omitempty"` // such a run was continued
	Seconds    float64 `json:"seconds"`
}

// maxBatchBytes keeps requests far below what servers take.
const maxBatchBytes = 8 << 20

// Run copies and returns what it did, also when it failed.
func (o *Import) Run(ctx context.Context) (result Result, err error) {
	began := time.Now()
	result.Collection = o.Collection
	defer func() { result.Seconds = time.Since(began).Seconds() }()
	if o.Batch < 1 || o.Batch > 10_000 || o.Parallel < 1 || o.Parallel > 64 {
		return result, wrong("--batch must be 1 to 10000 and --parallel 1 to 64")
	}
	src, s, err := o.open(ctx)
	if err != nil {
		return result, err
	}
	path := o.State
	if path == "" {
		path = stateFile(s)
	}
	t, resumed, err := openTracker(path, s)
	if err != nil {
		return result, err
	}
	if resumed {
		if resumed, err = o.To.exists(ctx, o.Collection); err != nil {
			return result, err
		}
		if !resumed { // it was dropped, and what had been written with it
			t.state.position = position{}
		}
	}
	result.Resumed, result.Before = resumed, t.state.Rows
	var whole *configuration
	if o.File == "" {
		if whole, err = readConfiguration(ctx, o.From, o.FromName); err == nil {
			err = whole.create(ctx, o.To, o.Collection, o.Append || resumed)
		}
		if err != nil {
			return result, err
		}
	} else if err := o.ensure(ctx, src); err != nil {
		return result, err
	}
	// Not before: an import that was refused the collection leaves no state, with
	// which it would go on as if the collection were its own.
	if err := t.save(); err != nil {
		return result, err
	}
	defer func() { err = t.end(ctx, err) }()
	result.Points, err = o.copy(ctx, src, t)
	if err == nil && whole != nil {
		err = whole.finish(ctx, o.To, o.Collection)
	}
	return result, err
}

// open returns the source and how the state file tells it from others.
func (o *Import) open(ctx context.Context) (source, state, error) {
	s := state{Target: strings.TrimRight(o.To.URL, "/"), Collection: o.Collection}
	if o.Payload != "" && filepath.Ext(o.File) != ".npy" {
		return nil, s, wrong("--payload belongs to an .npy file")
	}
	if o.File == "" {
		src, err := openScroll(ctx, o.From, o.FromName, o.Batch)
		if err != nil {
			return nil, s, err
		}
		s.Source = src.name()
		return src, s, nil
	}
	var err error
	if s.Source, s.fileState, err = describe(o.File); err != nil {
		return nil, s, err
	}
	if o.Payload != "" {
		if s.Payload, s.Payloads, err = describe(o.Payload); err != nil {
			return nil, s, err
		}
	}
	switch ext := filepath.Ext(o.File); ext {
	case ".jsonl", ".ndjson":
		return &jsonl{o.File}, s, nil
	case ".parquet":
		src, err := openParquet(o.File)
		return src, s, err
	case ".npy":
		src, err := openNPY(o.File, o.Payload)
		return src, s, err
	default:
		return nil, s, wrong("%s: the name does not end in .jsonl, .ndjson, .parquet or .npy", o.File)
	}
}

// ensure makes a collection for a file if there is none.
func (o *Import) ensure(ctx context.Context, src source) error {
	there, err := o.To.exists(ctx, o.Collection)
	if there || err != nil {
		return err
	}
	if o.Distance == "" {
		return wrong("collection %s does not exist; --distance Cosine (Dot, Euclid, Manhattan) makes it from the first row", o.Collection)
	}
	for r, err := range src.rows(ctx, position{}) {
		if err != nil {
			return err
		}
		vectors, err := shape(r.point, o.Distance)
		if err != nil {
			return wrongRow(src.name(), r.number, "vector", err)
		}
		return o.To.send(ctx, http.MethodPut, collectionPath(o.Collection, ""), map[string]any{"vectors": vectors}, nil)
	}
	return wrong("%s is empty", src.name())
}

// shape tells the vectors of a collection from those of one point.
func shape(point []byte, distance string) (any, error) {
	var p struct{ Vector json.RawMessage }
	if err := json.Unmarshal(point, &p); err != nil {
		return nil, err
	}
	type params struct {
		Size     int    `json:"size"`
		Distance string `json:"distance"`
	}
	var dense []float32
	if json.Unmarshal(p.Vector, &dense) == nil && len(dense) > 0 {
		return params{len(dense), distance}, nil
	}
	var named map[string][]float32
	if err := json.Unmarshal(p.Vector, &named); err != nil || len(named) == 0 {
		return nil, errors.New("a collection can be made for dense vectors only; create it first")
	}
	all := map[string]params{}
	for name, v := range named {
		all[name] = params{len(v), distance}
	}
	return all, nil
}

// batch is one request.
type batch struct {
	number int
	rows   []row
}

// copy writes the rows after the tracker's position.
func (o *Import) copy(ctx context.Context, src source, t *tracker) (points int64, err error) {
	begin := t.state.position
	counted := begin.Rows
	total := src.total()
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch)
	g.Go(func() error {
		defer close(batches)
		return o.cut(ctx, src, begin, batches)
	})
	for range o.Parallel {
		g.Go(func() error {
			for b := range batches {
				if err := o.write(ctx, src.name(), b.rows); err != nil {
					return err
				}
				last := b.rows[len(b.rows)-1]
				if err := t.finished(b.number, position{last.number, last.id}); err != nil {
					return err
				}
				t.mu.Lock()
				points += int64(len(b.rows))
				counted += int64(len(b.rows))
				if o.Progress != nil {
					o.Progress(counted, total)
				}
				t.mu.Unlock()
			}
			return nil
		})
	}
	err = g.Wait()
	return points, err
}

// cut makes batches of rows, bounded in number and in bytes.
func (o *Import) cut(ctx context.Context, src source, after position, to chan<- batch) error {
	b, size := batch{}, 0
	send := func() error {
		if len(b.rows) == 0 {
			return nil
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		b, size = batch{number: b.number + 1}, 0
		return nil
	}
	for r, err := range src.rows(ctx, after) {
		if err != nil {
			return err
		}
		if len(b.rows) == o.Batch || size+len(r.point) > maxBatchBytes {
			if err := send(); err != nil {
				return err
			}
		}
		b.rows = append(b.rows, r)
		size += len(r.point)
	}
	return send()
}

// write upserts rows. If they are refused, the one that is at fault is looked for.
func (o *Import) write(ctx context.Context, name string, rows []row) error {
	err := o.upsert(ctx, rows)
	var no *rest.Failure
	if !errors.As(err, &no) || no.Status != http.StatusBadRequest && no.Status != http.StatusUnprocessableEntity {
		return err
	}
	if len(rows) == 1 {
		return wrongRow(name, rows[0].number, "", fmt.Errorf("point %s: %w", rows[0].id, no))
	}
	for i := range rows {
		if err := o.write(ctx, name, rows[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (o *Import) upsert(ctx context.Context, rows []row) error {
	body := []byte(`{"points":[`)
	for i, r := range rows {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, r.point...)
	}
	body = append(body, "]}"...)
	return o.To.do(ctx, http.MethodPut, collectionPath(o.Collection, "/points?wait=true"), body, nil)
}
