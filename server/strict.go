package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"freshet/server/filter"
	"freshet/server/formula"
	"freshet/server/index"
)

// StrictMode bounds what requests may ask of a collection. Members that are nil
// bound nothing, and none does unless Enabled is true.
type StrictMode struct {
	Enabled                       *bool                   `json:"enabled,omitempty"`
	MaxQueryLimit                 *uint64                 `json:"max_query_limit,omitempty"`
	MaxTimeout                    *uint64                 `json:"max_timeout,omitempty"` // seconds
	UnindexedFilteringRetrieve    *bool                   `json:"unindexed_filtering_retrieve,omitempty"`
	UnindexedFilteringUpdate      *bool                   `json:"unindexed_filtering_update,omitempty"`
	SearchMaxHNSWEf               *uint64                 `json:"search_max_hnsw_ef,omitempty"`
	SearchAllowExact              *bool                   `json:"search_allow_exact,omitempty"`
	SearchMaxOversampling         *float64                `json:"search_max_oversampling,omitempty"`
	UpsertMaxBatchSize            *uint64                 `json:"upsert_max_batchsize,omitempty"`
	SearchMaxBatchSize            *uint64                 `json:"search_max_batchsize,omitempty"`
	MaxCollectionVectorSizeBytes  *uint64                 `json:"max_collection_vector_size_bytes,omitempty"`
	ReadRateLimit                 *uint64                 `json:"read_rate_limit,omitempty"`  // a minute
	WriteRateLimit                *uint64                 `json:"write_rate_limit,omitempty"` // a minute
	MaxCollectionPayloadSizeBytes *uint64                 `json:"max_collection_payload_size_bytes,omitempty"`
	MaxPointsCount                *uint64                 `json:"max_points_count,omitempty"`
	FilterMaxConditions           *uint64                 `json:"filter_max_conditions,omitempty"`
	ConditionMaxSize              *uint64                 `json:"condition_max_size,omitempty"`
	Multivector                   map[string]StrictMulti  `json:"multivector_config,omitempty"`
	Sparse                        map[string]StrictSparse `json:"sparse_config,omitempty"`
	MaxPayloadIndexCount          *uint64                 `json:"max_payload_index_count,omitempty"`
}

// StrictMulti bounds the multivectors of a name.
type StrictMulti struct {
	MaxVectors *uint64 `json:"max_vectors,omitempty"`
}

// StrictSparse bounds the sparse vectors of a name.
type StrictSparse struct {
	MaxLength *uint64 `json:"max_length,omitempty"`
}

// Merge returns s, which may be nil, with the members that diff sets.
func (s *StrictMode) Merge(diff *StrictMode) *StrictMode {
	if diff == nil {
		return s
	}
	var merged StrictMode
	if s != nil {
		merged = *s
	}
	merged.Enabled = cmp.Or(diff.Enabled, merged.Enabled)
	merged.UnindexedFilteringRetrieve = cmp.Or(diff.UnindexedFilteringRetrieve, merged.UnindexedFilteringRetrieve)
	merged.UnindexedFilteringUpdate = cmp.Or(diff.UnindexedFilteringUpdate, merged.UnindexedFilteringUpdate)
	merged.SearchAllowExact = cmp.Or(diff.SearchAllowExact, merged.SearchAllowExact)
	merged.SearchMaxOversampling = cmp.Or(diff.SearchMaxOversampling, merged.SearchMaxOversampling)
	numbers := diff.numbers()
	for i, n := range merged.numbers() {
		*n.value = cmp.Or(*numbers[i].value, *n.value)
	}
	if diff.Multivector != nil {
		merged.Multivector = diff.Multivector
	}
	if diff.Sparse != nil {
		merged.Sparse = diff.Sparse
	}
	return &merged
}

// limit is a member that is a number.
type limit struct {
	name  string
	value **uint64
	least uint64
}

func (s *StrictMode) numbers() []limit {
	return []limit{
		{"max_query_limit", &s.MaxQueryLimit, 1},
		{"max_timeout", &s.MaxTimeout, 1},
		{"search_max_hnsw_ef", &s.SearchMaxHNSWEf, 0},
		{"upsert_max_batchsize", &s.UpsertMaxBatchSize, 0},
		{"search_max_batchsize", &s.SearchMaxBatchSize, 0},
		{"max_collection_vector_size_bytes", &s.MaxCollectionVectorSizeBytes, 0},
		{"read_rate_limit", &s.ReadRateLimit, 1},
		{"write_rate_limit", &s.WriteRateLimit, 1},
		{"max_collection_payload_size_bytes", &s.MaxCollectionPayloadSizeBytes, 0},
		{"max_points_count", &s.MaxPointsCount, 1},
		{"filter_max_conditions", &s.FilterMaxConditions, 0},
		{"condition_max_size", &s.ConditionMaxSize, 0},
		{"max_payload_index_count", &s.MaxPayloadIndexCount, 0},
	}
}

func (s *StrictMode) validate(path string) error {
	if s == nil {
		return nil
	}
	for _, n := range s.numbers() {
		if err := noLess(path+"."+n.name, *n.value, n.least); err != nil {
			return err
		}
	}
	return nil
}

// strict returns what bounds the collection's requests; its members are nil if
// nothing does.
func (c *Collection) strict() StrictMode {
	s := c.Config().StrictMode
	if s == nil || s.Enabled == nil || !*s.Enabled {
		return StrictMode{}
	}
	return *s
}

// strictError refuses a request, and says what would help.
func strictError(help, format string, args ...any) *Error {
	return errorf(BadRequest, "%s. Help: %s", fmt.Sprintf(format, args...), help)
}

// exceeds returns an error if value is larger than the limit, if there is one.
func exceeds[T cmp.Ordered](value T, limit *T, name string) error {
	if limit == nil || value <= *limit {
		return nil
	}
	return strictError(fmt.Sprintf("Reduce the %q parameter to or below %v.", name, *limit),
		"Limit exceeded %v > %v for %q", value, *limit, name)
}

// Demand is what one read asks for, as far as strict mode bounds it.
type Demand struct {
	Limit        int // 0: none
	Filter       *filter.Filter
	Formula      *formula.Formula
	Ef           int // 0: not set
	Exact        bool
	Oversampling float64 // 0: not set
	Cost         int     // of the read without its filter; 0 counts as 1
	Item         int     // which of the request's searches asks for it
}

// demand returns what the search asks for without its prefetches.
func (r *SearchRequest) demand() Demand {
	d := Demand{Limit: r.Limit, Filter: r.Filter, Ef: r.Ef, Exact: r.Exact, Oversampling: r.Codes.Oversampling}
	if r.Query != nil {
		d.Cost = len(r.Query.examples())
	}
	if f, ok := r.Query.(Formula); ok {
		d.Formula = f.Formula
	}
	return d
}

// Demands appends what the search and its prefetches ask for to dst.
func (r *SearchRequest) Demands(dst []Demand) []Demand {
	dst = append(dst, r.demand())
	for i := range r.Prefetch {
		dst = r.Prefetch[i].Demands(dst)
	}
	return dst
}

// AdmitReads tells whether strict mode lets the reads of one request through, and
// counts them in the rate of reads.
func (c *Collection) AdmitReads(demands ...Demand) error {
	s := c.strict()
	cost := 0
	for i := range demands {
		d := &demands[i]
		if err := c.admitRead(&s, d); err != nil {
			return &ItemError{d.Item, err}
		}
		cost += max(d.Cost, 1)
		if d.Filter != nil {
			cost += d.Filter.Conditions()
		}
	}
	return c.reads.take(time.Now(), s.ReadRateLimit, cost, "Read")
}

func (c *Collection) admitRead(s *StrictMode, d *Demand) error {
	if err := exceeds(uint64(d.Limit), s.MaxQueryLimit, "limit"); err != nil {
		return err
	}
	if err := c.admitFilter(s, d.Filter, s.UnindexedFilteringRetrieve); err != nil {
		return err
	}
	if d.Formula != nil && isFalse(s.UnindexedFilteringRetrieve) {
		if field, ok := c.unindexed(d.Formula); ok {
			return noIndex(field, "a different formula expression")
		}
	}
	if err := exceeds(d.Oversampling, s.SearchMaxOversampling, "oversampling"); err != nil {
		return err
	}
	if err := exceeds(uint64(d.Ef), s.SearchMaxHNSWEf, "hnsw_ef"); err != nil {
		return err
	}
	if d.Exact && isFalse(s.SearchAllowExact) {
		return strictError("Set exact=false.", "Exact search disabled!")
	}
	return nil
}

// AdmitBatch tells whether one request may have so many searches.
func (c *Collection) AdmitBatch(searches int) error {
	s := c.strict()
	return exceeds(uint64(searches), s.SearchMaxBatchSize, "search batch limit")
}

// AdmitTimeout tells whether a request may ask for so many seconds.
func (c *Collection) AdmitTimeout(seconds uint64) error {
	s := c.strict()
	return exceeds(seconds, s.MaxTimeout, "timeout")
}

func isFalse(b *bool) bool { return b != nil && !*b }

func (c *Collection) admitFilter(s *StrictMode, f *filter.Filter, unindexed *bool) error {
	if f == nil {
		return nil
	}
	if isFalse(unindexed) {
		if d, ok := c.unindexed(f); ok {
			return noIndex(d, "a different filter")
		}
	}
	if most := s.FilterMaxConditions; most != nil && uint64(f.Conditions()) > *most {
		return strictError("Reduce the amount of conditions of your filter.",
			"Filter condition limit reached (%d > %d)", f.Conditions(), *most)
	}
	if most := s.ConditionMaxSize; most != nil && uint64(f.Largest()) > *most {
		return strictError("Reduce the size of your condition.",
			"Condition size limit reached (%d > %d)", f.Largest(), *most)
	}
	return nil
}

func noIndex(field filter.Demand, instead string) error {
	types := index.TypesFor(field.Uses)
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strictError(fmt.Sprintf("Create an index for this key or use %s.", instead),
		"Index required but not found for %q of one of the following types: [%s]", field.Path, strings.Join(names, ", "))
}

// demanding reads fields of payloads: a filter or a formula.
type demanding interface {
	Demands(visit func(d filter.Demand) bool)
}

// unindexed returns the first field that f reads and that has no index that helps.
func (c *Collection) unindexed(f demanding) (found filter.Demand, ok bool) {
	set := c.indexes
	set.mu.RLock()
	defer set.mu.RUnlock()
	f.Demands(func(d filter.Demand) bool {
		helps := slices.ContainsFunc(set.fields, func(f *fieldIndex) bool {
			return f.key == d.Key && f.index.Schema().Uses()&d.Uses != 0
		})
		if !helps {
			found, ok = d, true
		}
		return helps
	})
	return found, ok
}

// filteredWriteCost is what a write to the points of a filter counts for, however
// many those are.
const filteredWriteCost = 5

// AdmitWrites tells whether strict mode lets the operations of one request through,
// and counts them in the rate of writes. Records of Kafka do not ask.
func (c *Collection) AdmitWrites(ops []Op) error {
	s := c.strict()
	cost := 0
	for i := range ops {
		op := &ops[i]
		if err := c.admitWrite(&s, op); err != nil {
			return &ItemError{i, err}
		}
		switch {
		case op.Select.IDs == nil && op.Select.Filter != nil:
			cost += filteredWriteCost
		default:
			cost += max(1, len(op.Points)+len(op.Select.IDs))
		}
	}
	return c.writes.take(time.Now(), s.WriteRateLimit, cost, "Write")
}

func (c *Collection) admitWrite(s *StrictMode, op *Op) error {
	for _, f := range []*filter.Filter{op.Select.Filter, op.Where} {
		if err := c.admitFilter(s, f, s.UnindexedFilteringUpdate); err != nil {
			return err
		}
	}
	switch op.Kind {
	case Upsert, UpdateVectors:
		name := "upsert limit"
		if op.Kind == UpdateVectors {
			name = "update limit"
		}
		if err := exceeds(uint64(len(op.Points)), s.UpsertMaxBatchSize, name); err != nil {
			return err
		}
		if err := c.admitGrowth(s.MaxCollectionVectorSizeBytes, s.MaxCollectionPayloadSizeBytes, s.MaxPointsCount); err != nil {
			return err
		}
		for i := range op.Points {
			for name, v := range op.Points[i].Vectors {
				if err := s.admitVector(name, v); err != nil {
					return err
				}
			}
		}
		return nil
	case SetPayload, OverwritePayload:
		return c.admitGrowth(nil, s.MaxCollectionPayloadSizeBytes, nil)
	default:
		return nil
	}
}

func (s *StrictMode) admitVector(name string, v Vector) error {
	switch v := v.(type) {
	case Multi:
		if most := s.Multivector[name].MaxVectors; most != nil && uint64(v.Len()) > *most {
			return errorf(BadRequest, "Multivector '%s' has a limit of %d vectors, but %d were provided!", name, *most, v.Len())
		}
	case Sparse:
		if most := s.Sparse[name].MaxLength; most != nil && uint64(len(v.Indices)) > *most {
			return errorf(BadRequest, "Sparse vector '%s' has a limit of %d indices, but %d were provided!", name, *most, len(v.Indices))
		}
	}
	return nil
}

// admitGrowth tells whether the collection is smaller than the limits.
func (c *Collection) admitGrowth(vectors, payload, points *uint64) error {
	if vectors == nil && payload == nil && points == nil {
		return nil
	}
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	switch {
	case vectors != nil && uint64(c.vectorBytes(v)) >= *vectors:
		return errorf(BadRequest, "Max vector storage size limit of %sMB reached!", megabytes(*vectors))
	case payload != nil && uint64(v.payloadBytes) >= *payload:
		return errorf(BadRequest, "Max payload storage size limit of %sMB reached!", megabytes(*payload))
	case points != nil && uint64(v.points) >= *points:
		return errorf(BadRequest, "Max points count limit of %d reached!", *points)
	default:
		return nil
	}
}

// vectorBytes returns about how many bytes the vectors of a view take.
func (c *Collection) vectorBytes(v *view) int {
	bytes := 0
	for _, g := range v.set.graphs {
		bytes += min(g.Len(), v.points) * g.Config().Dim * 4
	}
	for _, x := range v.set.sparse {
		bytes += int(x.Bytes())
	}
	for _, x := range v.set.multi {
		bytes += int(x.Bytes())
	}
	return bytes
}

func megabytes(bytes uint64) string {
	return strconv.FormatFloat(float64(float32(bytes)/(1<<20)), 'f', -1, 32)
}

// admitIndex tells whether there may be an index of another field.
func (c *Collection) admitIndex(field string) error {
	s := c.strict()
	cfg := c.Config()
	if _, exists := cfg.Indexes[field]; exists || s.MaxPayloadIndexCount == nil || uint64(len(cfg.Indexes)) < *s.MaxPayloadIndexCount {
		return nil
	}
	return strictError("Please delete an existing index before creating a new one.",
		"Collection already has the maximum number of payload indices (%d)", *s.MaxPayloadIndexCount)
}
