package server

import (
	"encoding/json"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/payload"
	"freshet/server/point"
)

// VectorSelector says which vectors a read returns: none, all, or Names.
type VectorSelector struct {
	All   bool
	Names []string
}

// SearchRequest asks for the points nearest to a vector. Either Vector or ID
// is set; with ID the query is that point's vector Using, and the point itself
// is not returned. With List there is no query: the points come in id order, each
// with a score of 1. Other kinds of query are a Query.
//
// Points that Prefetch finds are the only ones that the query then looks at. Filter
// holds for them as well, and Offset is not used in a prefetch.
type SearchRequest struct {
	Query          Query
	Prefetch       []SearchRequest
	LookupFrom     *Lookup // nil: ids are points of the collection, with the vector Using
	Vector         Vector
	ID             point.ID
	List           bool
	Using          string // vector name, "" for the unnamed one
	Filter         *filter.Filter
	Limit, Offset  int
	Ef             int  // hnsw_ef; 0 for the collection's default
	Exact          bool // brute force
	Codes          CodeParams
	ScoreThreshold *float32
	WithPayload    payload.Selector
	WithVector     VectorSelector
}

// CodeParams say how a search uses the codes that stand for the vectors; the
// zero value leaves it to the engine.
type CodeParams struct {
	Ignore       bool    // walk on the vectors
	NoRescore    bool    // return scores by codes
	Oversampling float64 // this many times the limit is scored on vectors at least; 0, or 1 and more
}

// Record is a point as a read returns it. Payload is nil when it was not
// asked for, and {} for a point without one. Vectors is nil when not asked for.
type Record struct {
	ID      point.ID
	Version uint64 // number of the operation that last wrote the point
	Payload json.RawMessage
	Vectors Vectors
	Order   *index.Value // of an OrderBy
	Expires int64        // as Point.Expires
}

// ScoredPoint is a Record found by a search. Score is in the metric's own
// terms: larger is better for Cosine and Dot, smaller for Euclid and Manhattan.
type ScoredPoint struct {
	Record
	Score float32
}

// ScrollRequest asks for points in id order, from the first id at or after
// Offset (the zero ID for the beginning), or in another order.
type ScrollRequest struct {
	Filter      *filter.Filter
	Offset      point.ID
	Order       *OrderBy // nil: by id
	Limit       int
	WithPayload payload.Selector
	WithVector  VectorSelector
}

// ScrollPage is one page; Next is the first id of the next one, zero at the end.
type ScrollPage struct {
	Records []Record
	Next    point.ID
}

// MinOffset demands that the record at Offset of a topic's partition is
// visible to the read.
type MinOffset struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Info describes a collection at one moment.
type Info struct {
	Name           string
	Config         Config
	Points         int
	IndexedVectors int                  // of all names
	Vectors        map[string]int       // of each name
	Operation      uint64               // number of the last one
	Moves          uint64               // operations that only gave points other slots
	Memory         hnsw.Memory          // of the graphs, with what slots take among the links
	SparseBytes    int64                // of memory that sparse vectors take, about
	MultiBytes     int64                // of memory that multivectors take
	Indexes        map[string]IndexInfo // payload indexes by field
	Recall         map[string]Recall    // of searches by each name of dense vectors; empty without probes
}
