package api

import (
	"errors"
	"fmt"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/object"
	"freshet/server/payload"
)

// maxSearches bounds the searches of one request.
const maxSearches = 1024

// queryRequest is one search as it was asked for. Without a query it lists
// points in id order.
type queryRequest struct {
	search server.SearchRequest
	merge  string // kind of a query that merges prefetches, "" for others
}

// defaultLimit is the number of points a read returns that does not say.
const defaultLimit = 10

func queryPoints(r *request) (any, error) {
	return r.searchOne(func(o *object.Reader) (queryRequest, error) { return readQueryRequest(o, "internal", nil) },
		appendPage)
}

func queryBatch(r *request) (any, error) {
	return r.searchMany(readQueryRequest, "internal", appendPage)
}

func searchPoints(r *request) (any, error) {
	return r.searchOne(func(o *object.Reader) (queryRequest, error) { return readSearchRequest(o, "search_request", nil) }, appendScored)
}

func searchBatch(r *request) (any, error) {
	return r.searchMany(readSearchRequest, "search_request", appendScored)
}

// appender writes the points that one search found.
type appender func(dst []byte, points []server.ScoredPoint) []byte

// appendPage writes points as the result of a query.
func appendPage(dst []byte, points []server.ScoredPoint) []byte {
	dst = append(dst, `{"points":`...)
	return append(appendScored(dst, points), '}')
}

func (r *request) searchOne(read func(o *object.Reader) (queryRequest, error), write appender) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	raw, err := r.body()
	if err != nil {
		return nil, err
	}
	var q queryRequest
	err = parse(raw, func(o *object.Reader) error {
		q, err = read(o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(q.search.Demand()); err != nil {
		return nil, err
	}
	points, err := c.Search(r.ctx, q.search)
	if err != nil {
		return nil, err
	}
	return encoded(write(nil, points)), nil
}

func (r *request) searchMany(read func(o *object.Reader, path string, seen filters) (queryRequest, error), prefix string, write appender) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	raw, err := r.body()
	if err != nil {
		return nil, err
	}
	var searches []server.SearchRequest
	seen := filters{}
	err = parse(raw, func(o *object.Reader) error {
		err := fields(o, map[string]func() error{"searches": func() error {
			if o.Kind() != '[' {
				return mismatch(o, "a sequence")
			}
			searches = []server.SearchRequest{}
			return o.Elements(func(i int) error {
				if i == maxSearches {
					return badRequest("one request may have %d searches", maxSearches)
				}
				q, err := read(o, fmt.Sprintf("searches[%d].%s", i, prefix), seen)
				searches = append(searches, q.search)
				return err
			})
		}})
		if err == nil && searches == nil {
			err = badFormat("missing field `searches`")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.AdmitBatch(len(searches)); err != nil {
		return nil, err
	}
	demands := make([]server.Demand, len(searches))
	for i := range searches {
		demands[i] = searches[i].Demand()
	}
	if err := c.AdmitReads(demands...); err != nil {
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
		out = write(out, points)
	}
	return append(out, ']'), nil
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

// filters are those that the searches of one request have had so far, by their
// text: the same filter is evaluated once.
type filters map[string]*filter.Filter

func (seen filters) read(o *object.Reader, path string, dst **filter.Filter) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	if f, ok := seen[string(raw)]; ok {
		*dst = f
		return nil
	}
	if err := decodeFilter(raw, path, dst); err != nil {
		return err
	}
	if seen != nil {
		seen[string(raw)] = *dst
	}
	return nil
}

// common returns the members that all searches have. path says where the
// search is in the request, for errors.
func common(o *object.Reader, path string, seen filters, s *server.SearchRequest) map[string]func() error {
	withVector := func() error { return readVectorSelector(o, &s.WithVector) }
	return map[string]func() error{
		"filter":          func() error { return seen.read(o, path, &s.Filter) },
		"params":          func() error { return readParams(o, path, s) },
		"score_threshold": func() error { return readFloat(o, &s.ScoreThreshold) },
		"limit":           func() error { return readLimit(o, path, &s.Limit) },
		"offset":          func() error { return readUint(o, &s.Offset) },
		"with_payload":    func() error { return readPayloadSelector(o, &s.WithPayload) },
		"with_vector":     withVector,
		"with_vectors":    withVector,
		"shard_key":       func() error { return readSharding(o) },
	}
}

func readQueryRequest(o *object.Reader, path string, seen filters) (queryRequest, error) {
	q := queryRequest{search: server.SearchRequest{Limit: defaultLimit}}
	prefetched, hasQuery := false, false
	known := common(o, path, seen, &q.search)
	known["query"] = func() error {
		hasQuery = true
		return readQuery(o, &q)
	}
	known["using"] = func() error { return readString(o, &q.search.Using) }
	known["lookup_from"] = func() error { return unsupported(o, "lookup_from") }
	known["prefetch"] = func() error {
		if o.Kind() == '[' {
			return o.Elements(func(int) error {
				prefetched = true
				return o.Skip()
			})
		}
		prefetched = true
		return o.Skip()
	}
	if err := fields(o, known); err != nil {
		return q, err
	}
	if prefetched && !hasQuery {
		return q, badRequest("A query is needed to merge the prefetches. Specify one in the `query` field.")
	}
	if prefetched {
		return q, badRequest("`prefetch` is not supported yet")
	}
	if q.merge != "" {
		return q, wrongInput("Validation failed: cannot apply %s without prefetches", q.merge)
	}
	if q.search.List = !hasQuery; !hasQuery && q.search.ScoreThreshold != nil {
		return q, badRequest("A query is needed to use the score_threshold. Specify one in the `query` field.")
	}
	return q, nil
}

// readSearchRequest reads the older form of a search, with a vector.
func readSearchRequest(o *object.Reader, path string, seen filters) (queryRequest, error) {
	var q queryRequest
	hasLimit, hasVector := false, false
	known := common(o, path, seen, &q.search)
	limit := func() error {
		hasLimit = true
		return readLimit(o, path, &q.search.Limit)
	}
	known["limit"], known["top"] = limit, limit
	known["vector"] = func() error {
		hasVector = true
		if o.Kind() == '{' {
			return readNamedVector(o, &q.search)
		}
		return readQueryVector(o, &q.search)
	}
	err := fields(o, known)
	switch {
	case err != nil:
		return q, err
	case !hasVector:
		return q, badFormat("missing field `vector`")
	case !hasLimit:
		return q, badFormat("missing field `limit`")
	default:
		return q, nil
	}
}

func readNamedVector(o *object.Reader, s *server.SearchRequest) error {
	hasName := false
	err := fields(o, map[string]func() error{
		"name": func() error {
			hasName = true
			return readString(o, &s.Using)
		},
		"vector": func() error { return readQueryVector(o, s) },
	})
	if err == nil && (!hasName || s.Vector == nil) {
		err = badFormat("data did not match any variant of untagged enum NamedVectorStruct")
	}
	return err
}

// queryKinds are the members of a query that this server knows of but does not
// serve.
var queryKinds = map[string]bool{
	"recommend": true, "discover": true, "context": true, "order_by": true, "sample": true, "relevance_feedback": true,
}

// mergingQueries names the kinds of query that only make sense over prefetches.
var mergingQueries = map[string]string{"fusion": "Fusion", "rrf": "Rrf", "formula": "Formula"}

var errNoQuery = badFormat("Expected some form of vector, id, or a type of query")

// readQuery reads a vector, an id, or an object with one of them as `nearest`.
func readQuery(o *object.Reader, q *queryRequest) error {
	s := &q.search
	switch o.Kind() {
	case '[':
		return readQueryVector(o, s)
	case '0', '"':
		return readID(o, &s.ID)
	case '{':
		found := false
		var sparse sparseParts
		err := o.Members(func(name string) error {
			switch {
			case isSparse(name) && !found:
				return sparse.read(o, name, "query")
			case name == "nearest" && !found:
				found = true
				return readNearest(o, s)
			case name == "mmr" && o.Kind() != 'n':
				return unsupported(o, "mmr")
			case mergingQueries[name] != "":
				found, q.merge = true, mergingQueries[name]
				return o.Skip()
			case queryKinds[name]:
				return unsupported(o, name)
			default:
				return o.Skip()
			}
		})
		switch {
		case err != nil || found:
		case sparse.indices != nil && sparse.values != nil:
			s.Vector, err = sparse.vector("query")
		default:
			err = errNoQuery
		}
		return err
	default:
		if err := o.Skip(); err != nil {
			return err
		}
		return errNoQuery
	}
}

func readNearest(o *object.Reader, s *server.SearchRequest) error {
	switch o.Kind() {
	case '[', '{':
		return readQueryVector(o, s)
	case '0', '"':
		return readID(o, &s.ID)
	default:
		if err := o.Skip(); err != nil {
			return err
		}
		return errNoQuery
	}
}

func readQueryVector(o *object.Reader, s *server.SearchRequest) (err error) {
	s.Vector, err = readVector(o, "query")
	return err
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
	if err := dst.UnmarshalJSON(raw); err != nil {
		return badFormat("data did not match any variant of untagged enum WithPayloadInterface")
	}
	return nil
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
