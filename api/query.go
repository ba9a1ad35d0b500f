package api

import (
	"errors"
	"fmt"
	"maps"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/object"
	"freshet/server/payload"
)

// maxSearches bounds the searches of one request.
const maxSearches = 1024

// defaultLimit is the number of points a read returns that does not say.
const defaultLimit = 10

// searchReader reads the searches of one request.
type searchReader struct {
	vectorReader
	collections func(name string) (*server.Collection, error)
	// filters are those read so far, by their text: the same filter is evaluated once.
	filters map[string]*filter.Filter
	// own are members that the request has besides those of its search.
	own map[string]func() error
}

// readSearch reads one search. path says where it is in the request, for errors.
type readSearch func(s *searchReader, o *object.Reader, path string) (server.SearchRequest, error)

// form is one of the forms of a search: how it is read, what errors call it, and how
// what it found is written.
type form struct {
	read  readSearch
	name  string
	write appender
	table bool // it may come as a table
}

var queryForm = form{read: (*searchReader).query, name: "internal", write: appendPage, table: true}

func queryPoints(r *request) (any, error) { return r.searchOne(queryForm) }
func queryBatch(r *request) (any, error)  { return r.searchMany(queryForm) }

// appender writes the points that one search found.
type appender func(dst []byte, points []server.ScoredPoint) []byte

// appendPage writes points as the result of a query.
func appendPage(dst []byte, points []server.ScoredPoint) []byte {
	dst = append(dst, `{"points":`...)
	return append(appendScored(dst, points), '}')
}

// searches reads the body by read, and makes the vectors of its texts once admit has
// let the request in.
func (r *request) searches(read func(s *searchReader, o *object.Reader) error, admit func() error) error {
	raw, err := r.body()
	if err != nil {
		return err
	}
	s := &searchReader{vectorReader: vectorReader{r: r, query: true}, collections: r.lookedUp}
	if err := parse(raw, func(o *object.Reader) error { return read(s, o) }); err != nil {
		return err
	}
	if err := admit(); err != nil {
		return err
	}
	return r.embed(&s.vectorReader)
}

func (r *request) searchOne(f form) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	var search server.SearchRequest
	admit := func() error { return c.AdmitReads(search.Demands(nil)...) }
	if f.table && isTable(r.media()) {
		if search, err = r.tableSearch(); err == nil {
			err = admit()
		}
	} else {
		err = r.searches(func(s *searchReader, o *object.Reader) (err error) {
			search, err = f.read(s, o, f.name)
			return err
		}, admit)
	}
	if err != nil {
		return nil, err
	}
	points, err := c.Search(r.ctx, search)
	if err != nil {
		return nil, err
	}
	return encoded(f.write(nil, points)), nil
}

func (r *request) searchMany(f form) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	var searches []server.SearchRequest
	admit := func() error {
		if err := c.AdmitBatch(len(searches)); err != nil {
			return err
		}
		var demands []server.Demand
		for i := range searches {
			demands = searches[i].Demands(demands)
		}
		return c.AdmitReads(demands...)
	}
	if f.table && isTable(r.media()) {
		if searches, err = r.tableSearches(); err == nil {
			err = admit()
		}
	} else {
		err = r.searches(func(s *searchReader, o *object.Reader) (err error) {
			searches, err = s.list(o, f)
			return err
		}, admit)
	}
	if err != nil {
		return nil, err
	}
	found, failed, err := c.SearchBatch(r.ctx, searches)
	if err != nil {
		return nil, inSearch(failed, err)
	}
	out := encoded{'['}
	for i, points := range found {
		if i > 0 {
			out = append(out, ',')
		}
		out = f.write(out, points)
	}
	return append(out, ']'), nil
}

// list reads the searches of a batch.
func (s *searchReader) list(o *object.Reader, f form) (searches []server.SearchRequest, err error) {
	s.filters = map[string]*filter.Filter{}
	err = fields(o, map[string]func() error{"searches": func() error {
		if o.Kind() != '[' {
			return mismatch(o, "a sequence")
		}
		searches = []server.SearchRequest{}
		return o.Elements(func(i int) error {
			if i == maxSearches {
				return badRequest("one request may have %d searches", maxSearches)
			}
			search, err := f.read(s, o, fmt.Sprintf("searches[%d].%s", i, f.name))
			searches = append(searches, search)
			return err
		})
	}})
	if err == nil && searches == nil {
		err = badFormat("missing field `searches`")
	}
	return searches, err
}

// inSearch says which search of several an error is about, if it is about one.
func inSearch(i int, err error) error {
	var e *server.Error
	if !errors.As(err, &e) || e.Kind == server.Timeout || e.Kind == server.Unavailable {
		return err
	}
	named := *e
	named.Text = fmt.Sprintf("%s (searches[%d])", e.Text, i)
	return &named
}

func (s *searchReader) filter(o *object.Reader, path string, dst **filter.Filter) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	if f, ok := s.filters[string(raw)]; ok {
		*dst = f
		return nil
	}
	if err := decodeFilter(raw, path, dst); err != nil {
		return err
	}
	if s.filters != nil {
		s.filters[string(raw)] = *dst
	}
	return nil
}

// common returns the members that searches of all forms have.
func (s *searchReader) common(o *object.Reader, path string, dst *server.SearchRequest) map[string]func() error {
	withVector := func() error { return readVectorSelector(o, &dst.WithVector) }
	known := map[string]func() error{
		"filter":          func() error { return s.filter(o, path, &dst.Filter) },
		"params":          func() error { return readParams(o, path, dst) },
		"score_threshold": func() error { return readFloat(o, &dst.ScoreThreshold) },
		"limit":           func() error { return readLimit(o, path, &dst.Limit) },
		"offset":          func() error { return readUint(o, &dst.Offset) },
		"with_payload":    func() error { return readPayloadSelector(o, &dst.WithPayload) },
		"with_vector":     withVector,
		"with_vectors":    withVector,
		"shard_key":       func() error { return readSharding(o) },
	}
	maps.Copy(known, s.own)
	s.own = nil // not those of a prefetch
	return known
}

// query reads the universal form of a search.
func (s *searchReader) query(o *object.Reader, path string) (server.SearchRequest, error) {
	return s.queryAt(o, path, 0)
}

// queryAt reads a query, or a prefetch at a depth.
func (s *searchReader) queryAt(o *object.Reader, path string, depth int) (server.SearchRequest, error) {
	q := server.SearchRequest{Limit: defaultLimit, List: true}
	if depth > server.MaxPrefetchDepth {
		return q, badRequest("prefetches may be nested %d deep", server.MaxPrefetchDepth)
	}
	known := s.common(o, path, &q)
	if depth > 0 {
		for _, name := range []string{"offset", "with_payload", "with_vector", "with_vectors", "shard_key"} {
			delete(known, name)
		}
	}
	known["query"] = func() error {
		q.List = false
		return s.readQuery(o, path, &q)
	}
	known["using"] = func() error { return readString(o, &q.Using) }
	known["lookup_from"] = func() error { return s.lookup(o, &q.LookupFrom) }
	known["prefetch"] = func() error {
		if o.Kind() != '[' {
			return s.prefetch(o, path+".prefetch", depth, &q)
		}
		return o.Elements(func(i int) error { return s.prefetch(o, fmt.Sprintf("%s.prefetch[%d]", path, i), depth, &q) })
	}
	return q, fields(o, known)
}

// maxPrefetches bounds the prefetches of one query.
const maxPrefetches = 1024

func (s *searchReader) prefetch(o *object.Reader, path string, depth int, dst *server.SearchRequest) error {
	if len(dst.Prefetch) == maxPrefetches {
		return badRequest("one query may have %d prefetches", maxPrefetches)
	}
	if s.filters == nil {
		s.filters = map[string]*filter.Filter{}
	}
	q, err := s.queryAt(o, path, depth+1)
	dst.Prefetch = append(dst.Prefetch, q)
	return err
}

func (s *searchReader) lookup(o *object.Reader, dst **server.Lookup) error {
	var name, vector string
	hasName, hasVector := false, false
	err := fields(o, map[string]func() error{
		"collection": func() error {
			hasName = true
			return readString(o, &name)
		},
		"vector": func() error {
			hasVector = true
			return readString(o, &vector)
		},
		"shard_key": func() error { return readSharding(o) },
	})
	switch {
	case err != nil:
		return err
	case !hasName:
		return badFormat("missing field `collection`")
	}
	c, err := s.collections(name)
	if err != nil {
		return err
	}
	*dst = &server.Lookup{Collection: c}
	if hasVector {
		(*dst).Vector = &vector
	}
	return nil
}

func readLimit(o *object.Reader, path string, dst *int) error {
	if err := readUint(o, dst); err != nil {
		return err
	}
	if *dst == 0 {
		return notValid(path+".limit", "value 0 invalid, must be 1 or larger")
	}
	return nil
}

func readParams(o *object.Reader, path string, s *server.SearchRequest) error {
	return fields(o, map[string]func() error{
		"hnsw_ef": func() error {
			if err := readUint(o, &s.Ef); err != nil {
				return err
			}
			if s.Ef == 0 {
				return notValid(path+".params.hnsw_ef", "value 0 invalid, must be 1 or larger")
			}
			return nil
		},
		"exact":        func() error { return readBool(o, &s.Exact) },
		"quantization": func() error { return readCodeParams(o, path+".params.quantization", &s.Codes) },
	})
}

func readCodeParams(o *object.Reader, path string, dst *server.CodeParams) error {
	rescore := true
	err := fields(o, map[string]func() error{
		"ignore":  func() error { return readBool(o, &dst.Ignore) },
		"rescore": func() error { return readBool(o, &rescore) },
		"oversampling": func() error {
			var x *float32
			if err := readFloat(o, &x); err != nil {
				return err
			}
			if *x < 1 {
				return notValid(path+".oversampling", "value %v invalid, must be 1.0 or larger", *x)
			}
			dst.Oversampling = float64(*x)
			return nil
		},
	})
	dst.NoRescore = !rescore
	return err
}

func readPayloadSelector(o *object.Reader, dst *payload.Selector) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	err = dst.UnmarshalJSON(raw)
	switch {
	case errors.As(err, &object.DuplicateError{}):
		return err
	case err != nil:
		return badFormat("data did not match any variant of untagged enum WithPayloadInterface")
	default:
		return nil
	}
}

func readVectorSelector(o *object.Reader, dst *server.VectorSelector) error {
	if o.Kind() == '[' {
		return readStrings(o, &dst.Names)
	}
	if kind := o.Kind(); kind != 't' && kind != 'f' {
		if err := o.Skip(); err != nil {
			return err
		}
		return badFormat("data did not match any variant of untagged enum WithVector")
	}
	return readBool(o, &dst.All)
}
