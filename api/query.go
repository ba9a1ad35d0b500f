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
	paged bool // points are a member of the result
	table bool // it may come as a table
}

var queryForm = form{read: (*searchReader).query, name: "internal", paged: true, table: true}

func queryPoints(r *request) (any, error) { return r.searchOne(queryForm) }
func queryBatch(r *request) (any, error)  { return r.searchMany(queryForm) }

// write writes the points that one search found.
func (f form) write(s *sender, points []server.ScoredPoint) {
	if !f.paged {
		s.scored(points)
		return
	}
	s.text(`{"points":`)
	s.scored(points)
	s.text("}")
}

// searches reads the body by read, and makes the vectors of its texts once admit has
// let the request in.
func (r *request) searches(read func(s *searchReader, o *object.Reader) error, admit func() error) error {
	s := &searchReader{vectorReader: vectorReader{r: r, query: true}, collections: r.lookedUp}
	if err := r.parse(func(o *object.Reader) error { return read(s, o) }); err != nil {
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
	return pieces(func(s *sender) { f.write(s, points) }), nil
}

func (r *request) searchMany(f form) (any, error) {
	found, err := r.searchBatch(f)
	if err != nil {
		return nil, ofItem("searches", err)
	}
	return pieces(func(s *sender) {
		s.list(len(found), func(i int) { f.write(s, found[i]) })
	}), nil
}

func (r *request) searchBatch(f form) ([][]server.ScoredPoint, error) {
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
			before := len(demands)
			demands = searches[i].Demands(demands)
			for j := before; j < len(demands); j++ {
				demands[j].Item = i
			}
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
	return c.SearchBatch(r.ctx, searches)
}

// list reads the searches of a batch.
func (s *searchReader) list(o *object.Reader, f form) (searches []server.SearchRequest, err error) {
	s.filters = map[string]*filter.Filter{}
	searches = []server.SearchRequest{}
	err = fields(o, map[string]func() error{"searches": func() error {
		return elements(o, func(i int) error {
			if i == maxSearches {
				return badRequest("one request may have %d searches", maxSearches)
			}
			texts := len(s.texts)
			search, err := f.read(s, o, f.name)
			searches = append(searches, search)
			s.within("searches", i, texts)
			return inItem(i, err)
		})
	}}, "searches")
	return searches, err
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
		"filter": func() error { return s.filter(o, path+".filter", &dst.Filter) },
		"params": func() error { return readParams(o, path, dst) },
		"score_threshold": func() error {
			dst.ScoreThreshold = new(float32)
			return readFloat(o, dst.ScoreThreshold)
		},
		"limit":        func() error { return readLimit(o, path, &dst.Limit) },
		"offset":       func() error { return readUint(o, &dst.Offset) },
		"with_payload": func() error { return readPayloadSelector(o, &dst.WithPayload) },
		"with_vector":  withVector,
		"with_vectors": withVector,
		"shard_key":    func() error { return readSharding(o) },
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
	hasVector := false
	err := fields(o, map[string]func() error{
		"collection": func() error { return readString(o, &name) },
		"vector": func() error {
			hasVector = true
			return readString(o, &vector)
		},
		"shard_key": func() error { return readSharding(o) },
	}, "collection")
	if err != nil {
		return err
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
		"indexed_only": func() error { return readBool(o, new(bool)) },
		"acorn":        func() error { return readAcorn(o, path+".params.acorn") },
		"quantization": func() error { return readCodeParams(o, path+".params.quantization", &s.Codes) },
	})
}

// readAcorn checks the parameters of a way to search with a filter, which changes nothing
// here: all ways are there, and the cheapest is taken.
func readAcorn(o *object.Reader, path string) error {
	return fields(o, map[string]func() error{
		"enable":          func() error { return readBool(o, new(bool)) },
		"max_selectivity": func() error { return readShare(o, path+".max_selectivity", new(float32)) },
	})
}

// readShare reads a number from 0 to 1 that is a member at path.
func readShare(o *object.Reader, path string, dst *float32) error {
	if err := readFloat(o, dst); err != nil {
		return err
	}
	if *dst < 0 || *dst > 1 {
		return notValid(path, "value %v invalid, must be from 0.0 to 1.0", *dst)
	}
	return nil
}

func readCodeParams(o *object.Reader, path string, dst *server.CodeParams) error {
	rescore := true
	err := fields(o, map[string]func() error{
		"ignore":  func() error { return readBool(o, &dst.Ignore) },
		"rescore": func() error { return readBool(o, &rescore) },
		"oversampling": func() error {
			var x float32
			if err := readFloat(o, &x); err != nil {
				return err
			}
			if x < 1 {
				return notValid(path+".oversampling", "value %v invalid, must be 1.0 or larger", x)
			}
			dst.Oversampling = float64(x)
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
