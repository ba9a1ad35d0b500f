package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/formula"
	"freshet/server/object"
)

var errNoQuery = badFormat("Expected some form of vector, id, or a type of query")

// readQuery reads a vector, an id, or an object that is a sparse vector or has a
// member that names a kind of query.
func (v *vectorReader) readQuery(o *object.Reader, path string, dst *server.SearchRequest) error {
	if o.Kind() != '{' {
		return v.nearest(o, dst)
	}
	q := queryReader{v: v, o: o, path: path + ".query", dst: dst}
	if err := o.Members(q.member); err != nil {
		return err
	}
	return q.finish()
}

// queryReader reads a query that is an object. Its members come in any order.
type queryReader struct {
	v    *vectorReader
	o    *object.Reader
	path string
	dst  *server.SearchRequest

	found             bool
	sparse            sparseParts
	document          document
	mmr               *server.MMR
	formula, defaults json.RawMessage
}

func (q *queryReader) member(name string) error {
	o := q.o
	switch {
	case isSparse(name) && !q.found:
		return q.sparse.read(o, name, "query")
	case isDocument(o, name) || mayBeDocument(name):
		return q.document.read(o, name)
	case name == "mmr" && o.Kind() != 'n':
		q.mmr = &server.MMR{Diversity: defaultDiversity}
		return readMMR(o, q.path+".mmr", q.mmr)
	case name == "defaults":
		raw, err := o.Value()
		q.defaults = bytes.Clone(raw)
		return err
	}
	read := q.kind(name)
	if read == nil || q.found {
		return o.Skip()
	}
	q.found = true
	return read()
}

// kind returns what reads the member that names a kind of query, nil for others.
func (q *queryReader) kind(name string) func() error {
	o, dst := q.o, q.dst
	switch name {
	case "nearest":
		return func() error { return q.v.nearest(o, dst) }
	case "recommend":
		return func() error { return q.v.recommend(o, dst) }
	case "discover":
		return func() error { return q.v.discover(o, dst) }
	case "context":
		return func() error {
			pairs, err := q.v.pairs(o)
			dst.Query = server.Context{Pairs: pairs}
			return err
		}
	case "fusion":
		return func() error { return readFusion(o, dst) }
	case "rrf":
		return func() error { return readRRF(o, q.path+".rrf", dst) }
	case "formula":
		return func() error {
			raw, err := o.Value()
			q.formula = bytes.Clone(raw)
			return err
		}
	case "sample":
		return func() error { return readSample(o, dst) }
	case "order_by":
		return func() error {
			var order *server.OrderBy
			err := readOrderBy(o, &order)
			if err == nil {
				dst.Query = *order
			}
			return err
		}
	case "relevance_feedback":
		return func() error { return q.v.feedback(o, q.path+"."+name, dst) }
	default:
		return nil
	}
}

// finish makes the query of what members there were.
func (q *queryReader) finish() (err error) {
	dst := q.dst
	switch {
	case q.formula != nil:
		dst.Query, err = parseFormula(q.formula, q.defaults, q.path)
	case q.found:
	case q.sparse.complete():
		dst.Vector, err = q.sparse.vector("query")
	case q.document.found():
		dst.Vector, err = q.document.vector(q.v, "query")
	default:
		err = errNoQuery
	}
	if q.mmr != nil && dst.Query == nil {
		q.mmr.Example = server.Example{ID: dst.ID, Vector: dst.Vector}
		dst.Query = *q.mmr
	}
	return err
}

// nearest reads a vector, a text or an id as the query.
func (v *vectorReader) nearest(o *object.Reader, dst *server.SearchRequest) error {
	e, err := v.example(o, errNoQuery)
	dst.ID, dst.Vector = e.ID, e.Vector
	return err
}

var errNoExample = badFormat("data did not match any variant of untagged enum VectorInput")

// example reads a vector, a text or an id; other is the error for anything else.
func (v *vectorReader) example(o *object.Reader, other error) (e server.Example, err error) {
	switch o.Kind() {
	case '[', '{':
		e.Vector, err = v.vector(o, "query")
	case '0', '"':
		err = readID(o, &e.ID)
	default:
		if err = o.Skip(); err == nil {
			err = other
		}
	}
	return e, err
}

// defaultDiversity is that of an MMR query that does not say.
const defaultDiversity = 0.5

func readMMR(o *object.Reader, path string, dst *server.MMR) error {
	return fields(o, map[string]func() error{
		"diversity": func() error { return readShare(o, path+".diversity", &dst.Diversity) },
		"candidates_limit": func() error {
			if err := readUint(o, &dst.Candidates); err != nil {
				return err
			}
			if dst.Candidates > server.MaxMMRCandidates {
				return notValid(path+".candidates_limit", "value %d invalid, must be %d or smaller", dst.Candidates, server.MaxMMRCandidates)
			}
			return nil
		},
	})
}

var strategies = map[string]server.Strategy{
	"average_vector": server.AverageVector, "best_score": server.BestScore, "sum_scores": server.SumScores,
}

// recommendMembers returns the members of a recommendation.
func (v *vectorReader) recommendMembers(o *object.Reader, dst *server.Recommend) map[string]func() error {
	return map[string]func() error{
		"positive": func() error { return v.examples(o, &dst.Positive) },
		"negative": func() error { return v.examples(o, &dst.Negative) },
		"strategy": func() error {
			var name string
			if err := readString(o, &name); err != nil {
				return err
			}
			strategy, ok := strategies[name]
			if !ok {
				return badFormat("unknown variant `%.40s`, expected one of `average_vector`, `best_score`, `sum_scores`", name)
			}
			dst.Strategy = strategy
			return nil
		},
	}
}

func (v *vectorReader) recommend(o *object.Reader, dst *server.SearchRequest) error {
	var q server.Recommend
	err := fields(o, v.recommendMembers(o, &q))
	dst.Query = q
	return err
}

// maxExamples bounds the examples of one query.
const maxExamples = 10_000

func tooManyExamples() error { return badRequest("one query may have %d examples", maxExamples) }

func (v *vectorReader) examples(o *object.Reader, dst *[]server.Example) error {
	return elements(o, func(i int) error {
		if i == maxExamples {
			return tooManyExamples()
		}
		e, err := v.example(o, errNoExample)
		*dst = append(*dst, e)
		return err
	})
}

func (v *vectorReader) discover(o *object.Reader, dst *server.SearchRequest) error {
	var q server.Discover
	err := fields(o, v.discoverMembers(o, &q), "target")
	dst.Query = q
	return err
}

// discoverMembers returns the members of a discovery.
func (v *vectorReader) discoverMembers(o *object.Reader, dst *server.Discover) map[string]func() error {
	return map[string]func() error{
		"target": func() (err error) {
			dst.Target, err = v.example(o, errNoExample)
			return err
		},
		"context": func() (err error) {
			dst.Pairs, err = v.pairs(o)
			return err
		},
	}
}

// pairs reads a pair of examples, or a list of them.
func (v *vectorReader) pairs(o *object.Reader) ([]server.Pair, error) {
	if o.Kind() != '[' {
		p, err := v.pair(o)
		return []server.Pair{p}, err
	}
	pairs := []server.Pair{}
	err := o.Elements(func(i int) error {
		if i == maxExamples/2 {
			return tooManyExamples()
		}
		p, err := v.pair(o)
		pairs = append(pairs, p)
		return err
	})
	return pairs, err
}

func (v *vectorReader) pair(o *object.Reader) (server.Pair, error) {
	var p server.Pair
	err := fields(o, map[string]func() error{
		"positive": func() (err error) {
			p.Positive, err = v.example(o, errNoExample)
			return err
		},
		"negative": func() (err error) {
			p.Negative, err = v.example(o, errNoExample)
			return err
		},
	}, "positive", "negative")
	return p, err
}

func readFusion(o *object.Reader, dst *server.SearchRequest) error {
	var name string
	if err := readString(o, &name); err != nil {
		return err
	}
	if name != "rrf" && name != "dbsf" {
		return badFormat("unknown variant `%.40s`, expected `rrf` or `dbsf`", name)
	}
	dst.Query = server.Fusion{Distributions: name == "dbsf"}
	return nil
}

func readRRF(o *object.Reader, path string, dst *server.SearchRequest) error {
	var q server.Fusion
	err := fields(o, map[string]func() error{
		"k": func() error {
			if err := readUint(o, &q.K); err != nil {
				return err
			}
			if q.K == 0 {
				return notValid(path+".k", "value 0 invalid, must be 1 or larger")
			}
			return nil
		},
		"weights": func() error {
			q.Weights = []float32{}
			return elements(o, func(i int) error {
				var x float32
				if err := readFloat(o, &x); err != nil {
					return err
				}
				if x < 0 {
					return notValid(fmt.Sprintf("%s.weights[%d]", path, i), "value %v invalid, must be 0.0 or larger", x)
				}
				q.Weights = append(q.Weights, x)
				return nil
			})
		},
	})
	dst.Query = q
	return err
}

func readSample(o *object.Reader, dst *server.SearchRequest) error {
	var name string
	if err := readString(o, &name); err != nil {
		return err
	}
	if name != "random" {
		return badFormat("unknown variant `%.40s`, expected `random`", name)
	}
	dst.Query = server.Sample{}
	return nil
}

func parseFormula(raw, defaults json.RawMessage, path string) (server.Query, error) {
	f, err := formula.Parse(raw, defaults)
	var outside *formula.RangeError
	var invalid *filter.ValidationError
	switch {
	case errors.As(err, &outside):
		return nil, wrongInput("Validation failed: %s", outside.Text)
	case errors.As(err, &invalid):
		return nil, notValid(path+".formula."+invalid.Path, "%s", invalid.Text)
	case err != nil:
		return nil, badFormat("%v", err)
	}
	return server.Formula{Formula: f}, nil
}
