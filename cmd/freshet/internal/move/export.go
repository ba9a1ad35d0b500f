package move

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"freshet/cmd/freshet/internal/outfile"
)

// Export says what to write where.
type Export struct {
	From       Server
	Collection string
	File       string // .jsonl, .ndjson or .parquet; there when it is whole
	Batch      int    // points of one request
	Progress   func(points, of int64)
}

type sink interface {
	write(r row) error
	close() error
}

// Run writes all points in the order of their ids.
func (o *Export) Run(ctx context.Context) (result Result, err error) {
	began := time.Now()
	result.Collection = o.Collection
	defer func() { result.Seconds = time.Since(began).Seconds() }()
	if o.Batch < 1 || o.Batch > 10_000 {
		return result, wrong("--batch must be 1 to 10000")
	}
	ext := filepath.Ext(o.File)
	if ext != ".jsonl" && ext != ".ndjson" && ext != ".parquet" {
		return result, wrong("%s: the name does not end in .jsonl, .ndjson or .parquet", o.File)
	}
	if err := outfile.Replaceable(o.File); err != nil {
		return result, &InputError{err}
	}
	src, err := openScroll(ctx, o.From, o.Collection, o.Batch)
	if err != nil {
		return result, err
	}
	f, err := outfile.Create(o.File)
	if err != nil {
		return result, &InputError{err}
	}
	// The writer of Parquet closes what it can close; the file is closed here.
	out, err := o.sink(ctx, ext, struct{ io.Writer }{f})
	if err == nil {
		for r, errRow := range src.rows(ctx, position{}) {
			if err = errRow; err == nil {
				err = out.write(r)
			}
			if err != nil {
				break
			}
			result.Points++
			if o.Progress != nil {
				o.Progress(result.Points, src.total())
			}
		}
		err = errors.Join(err, out.close())
	}
	return result, f.End(err)
}

func (o *Export) sink(ctx context.Context, ext string, w io.Writer) (sink, error) {
	if ext != ".parquet" {
		return newJSONLSink(w), nil
	}
	dense, others, err := o.vectors(ctx)
	if err != nil {
		return nil, err
	}
	return newParquetSink(w, dense, others)
}

// vectors names the vectors of the collection.
func (o *Export) vectors(ctx context.Context) (dense, others []string, err error) {
	c, err := readConfiguration(ctx, o.From, o.Collection)
	if err != nil {
		return nil, nil, err
	}
	type params struct {
		Size  int
		Multi json.RawMessage `json:"multivector_config"`
	}
	var one params
	named := map[string]params{}
	if raw := c.creation["vectors"]; present(raw) {
		if json.Unmarshal(raw, &one) == nil && one.Size > 0 {
			named[""] = one
		} else if err := json.Unmarshal(raw, &named); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if present(named[name].Multi) {
			others = append(others, name)
		} else {
			dense = append(dense, name)
		}
	}
	sparse := map[string]json.RawMessage{}
	if raw := c.creation["sparse_vectors"]; present(raw) {
		err = json.Unmarshal(raw, &sparse)
	}
	return dense, append(others, slices.Sorted(maps.Keys(sparse))...), err
}
