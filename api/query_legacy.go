package api

import (
	"maps"

	"freshet/server"
	"freshet/server/object"
)

// The forms of a search that are older than the query: by vector, by
// recommendation, by discovery. Each has to say its limit.
var (
	searchForm    = form{read: (*searchReader).search, name: "search_request"}
	recommendForm = form{read: (*searchReader).recommend, name: "recommend_request"}
	discoverForm  = form{read: (*searchReader).discover, name: "discover_request"}
)

func searchPoints(r *request) (any, error)    { return r.searchOne(searchForm) }
func searchBatch(r *request) (any, error)     { return r.searchMany(searchForm) }
func recommendPoints(r *request) (any, error) { return r.searchOne(recommendForm) }
func recommendBatch(r *request) (any, error)  { return r.searchMany(recommendForm) }
func discoverPoints(r *request) (any, error)  { return r.searchOne(discoverForm) }
func discoverBatch(r *request) (any, error)   { return r.searchMany(discoverForm) }

// older reads a search with its own members besides those that all have.
func (s *searchReader) older(o *object.Reader, path string, dst *server.SearchRequest, own map[string]func() error) error {
	hasLimit := false
	known := s.common(o, path, dst)
	limit := func() error {
		hasLimit = true
		return readLimit(o, path, &dst.Limit)
	}
	known["limit"], known["top"] = limit, limit
	maps.Copy(known, own)
	err := fields(o, known)
	if err == nil && !hasLimit {
		err = badFormat("missing field `limit`")
	}
	return err
}

func (s *searchReader) search(o *object.Reader, path string) (server.SearchRequest, error) {
	var q server.SearchRequest
	err := s.older(o, path, &q, map[string]func() error{
		"vector": func() (err error) {
			if o.Kind() == '{' {
				return s.namedVector(o, &q)
			}
			q.Vector, err = s.vector(o, "query")
			return err
		},
	})
	if err == nil && q.Vector == nil {
		err = badFormat("missing field `vector`")
	}
	return q, err
}

func (s *searchReader) namedVector(o *object.Reader, q *server.SearchRequest) error {
	hasName := false
	err := fields(o, map[string]func() error{
		"name": func() error {
			hasName = true
			return readString(o, &q.Using)
		},
		"vector": func() (err error) {
			q.Vector, err = s.vector(o, "query")
			return err
		},
	})
	if err == nil && (!hasName || q.Vector == nil) {
		err = badFormat("data did not match any variant of untagged enum NamedVectorStruct")
	}
	return err
}

// byExamples returns the members of searches that refer to points.
func (s *searchReader) byExamples(o *object.Reader, dst *server.SearchRequest, own map[string]func() error) map[string]func() error {
	own["using"] = func() error { return readString(o, &dst.Using) }
	own["lookup_from"] = func() error { return s.lookup(o, &dst.LookupFrom) }
	return own
}

func (s *searchReader) recommend(o *object.Reader, path string) (server.SearchRequest, error) {
	var q server.SearchRequest
	var kind server.Recommend
	err := s.older(o, path, &q, s.byExamples(o, &q, s.recommendMembers(o, &kind)))
	q.Query = kind
	return q, err
}

func (s *searchReader) discover(o *object.Reader, path string) (server.SearchRequest, error) {
	var q server.SearchRequest
	var kind server.Discover
	err := s.older(o, path, &q, s.byExamples(o, &q, s.discoverMembers(o, &kind)))
	switch {
	case err != nil:
	case kind.Target.Vector != nil || !kind.Target.ID.IsZero():
		q.Query = kind
	case len(kind.Pairs) > 0:
		q.Query = server.Context{Pairs: kind.Pairs}
	default:
		err = badRequest("Either a target or a context is needed to discover points")
	}
	return q, err
}
