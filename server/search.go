package server

import (
	"cmp"
	"context"
	"errors"
	"math"

	"freshet/hnsw"
	"freshet/server/payload"
	"freshet/server/point"
	"freshet/storage"
)

// defaultEf is hnsw_ef where a request does not set it.
const defaultEf = 128

func (r *SearchRequest) ef() int { return cmp.Or(r.Ef, defaultEf) }

// Search returns the points nearest to the request's vector, best first, ties
// by slot.
func (c *Collection) Search(ctx context.Context, r SearchRequest) ([]ScoredPoint, error) {
	found, err := c.SearchBatch(ctx, []SearchRequest{r})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func searchError(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return deadline(ctx)
	}
	return err
}

// search is one search on one view.
type search struct {
	c     *Collection
	v     *view
	r     *SearchRequest
	graph *hnsw.Graph
	query hnsw.Query
	self  uint32 // slot of the point the query was taken from, not returned

	selection *selection // of a search with a filter
}

func (s *search) run(ctx context.Context) ([]hnsw.Hit, error) {
	if s.v.sparse[s.r.Using] != nil {
		return s.runSparse(ctx)
	}
	if s.v.set.multi[s.r.Using] != nil {
		return s.runMulti(ctx)
	}
	vector, err := s.vector()
	if err != nil {
		return nil, err
	}
	k := saturatingAdd(s.r.Limit, s.r.Offset)
	if s.self != noSlot {
		k = saturatingAdd(k, 1)
	}
	s.query = hnsw.Query{
		Vector: vector, K: min(k, s.v.points), Ef: min(s.r.ef(), s.v.points), View: s.v.slots,
		Vectors: s.c.vectorReader(s.v, s.r.Using), IgnoreCodes: s.r.Codes.Ignore, CodeScores: s.r.Codes.NoRescore,
	}
	s.query.Rescore = int(min(math.Ceil(float64(s.query.K)*s.r.Codes.Oversampling), float64(s.v.points)))
	if s.query.K <= 0 {
		return nil, nil
	}
	if !s.r.Exact {
		s.v.set.recall[s.r.Using].leave(s)
	}
	var hits []hnsw.Hit
	switch {
	case s.selection != nil:
		hits, err = s.filtered(ctx)
	case s.r.Exact:
		hits, err = s.graph.Exact(ctx, s.query, nil)
	default:
		hits, err = s.graph.Search(ctx, s.query, nil)
		// Many copies of one vector can leave some out of the graph's reach.
		if err == nil && len(hits) < s.query.K {
			hits, err = s.graph.Exact(ctx, s.query, nil)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.cut(hits), nil
}

// given returns the vector to search for, and sets self if it is a point's.
func (s *search) given() (Vector, error) {
	c, r := s.c, s.r
	if r.ID.IsZero() {
		return r.Vector, s.v.set.checkVector(r.Using, r.Vector)
	}
	slot, ok := c.ids.visible(r.ID.AppendKey(nil), s.v.slots)
	if !ok {
		return nil, noPoint(r.ID)
	}
	vector, err := c.vector(s.v, r.Using, slot)
	if err == nil && vector == nil {
		err = errorf(NotFound, "Vector with name %q for point not found", r.Using)
	}
	s.self = slot
	return vector, err
}

// vector returns the query as the graph wants it, and sets graph and self.
func (s *search) vector() ([]float32, error) {
	if s.graph = s.v.set.graphs[s.r.Using]; s.graph == nil {
		return nil, noVector(s.r.Using)
	}
	given, err := s.given()
	if err != nil {
		return nil, err
	}
	dense, _ := given.(Dense)
	if s.self != noSlot {
		return s.v.set.params[s.r.Using].compared(dense), nil
	}
	return s.v.set.params[s.r.Using].query(dense), nil
}

// cut drops the query's own point, what is beyond the threshold, and the
// offset.
func (s *search) cut(hits []hnsw.Hit) []hnsw.Hit {
	return s.cutBy(hits, s.graph.Config().Metric.Ascending())
}

// cutBy is cut for scores of which the smaller ones are better, or the larger ones.
func (s *search) cutBy(hits []hnsw.Hit, ascending bool) []hnsw.Hit {
	kept := hits[:0]
	for _, h := range hits {
		if h.Slot == s.self {
			continue
		}
		h.Score = representable(h.Score)
		if t := s.r.ScoreThreshold; t != nil && (ascending && h.Score >= *t || !ascending && h.Score <= *t) {
			break
		}
		kept = append(kept, h)
	}
	if s.r.Offset >= len(kept) {
		return nil
	}
	kept = kept[s.r.Offset:]
	return kept[:min(len(kept), s.r.Limit)]
}

// representable returns the score that stands for one that has no JSON form: beyond
// float32 its limit, and for a sum of infinities of both signs the lowest.
func representable(score float32) float32 {
	if math.IsNaN(float64(score)) {
		return -math.MaxFloat32
	}
	return min(max(score, -math.MaxFloat32), math.MaxFloat32)
}

// points adds to the hits what the request wants to see of their points.
func (s *search) points(ctx context.Context, hits []hnsw.Hit) ([]ScoredPoint, error) {
	if err := takeRoom(ctx, len(hits), 0, 0); err != nil {
		return nil, err
	}
	points := make([]ScoredPoint, len(hits))
	for i, h := range hits {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		record, err := s.c.record(s.v, h.Slot, s.r.WithPayload, s.r.WithVector)
		if err != nil {
			return nil, err
		}
		if err := takeRecord(ctx, &record); err != nil {
			return nil, err
		}
		points[i] = ScoredPoint{Record: record, Score: h.Score}
	}
	return points, nil
}

// record reads the point of a slot that the view sees.
func (c *Collection) record(v *view, slot uint32, withPayload payload.Selector, withVector VectorSelector) (Record, error) {
	key, operation := c.ids.written(slot)
	id, err := point.FromKey(key)
	if err != nil {
		return Record{}, err
	}
	if operation != unread && operation != rewritten && withPayload.None() {
		vectors, err := c.vectors(v, slot, withVector)
		return Record{ID: id, Version: operation, Vectors: vectors}, err
	}
	value, err := v.snapshot.Get(nil, storage.AppendKey(nil, storage.Point, c.space, key))
	if err != nil {
		return Record{}, err
	}
	s, err := decodeStored(value)
	if err != nil {
		return Record{}, err
	}
	if operation == unread {
		c.ids.learn(slot, s.operation)
	}
	return c.shape(v, id, slot, s, withPayload, withVector)
}

// shape makes a record of what is stored. It keeps s.payload.
func (c *Collection) shape(v *view, id point.ID, slot uint32, s stored, withPayload payload.Selector, withVector VectorSelector) (Record, error) {
	vectors, err := c.vectors(v, slot, withVector)
	record := Record{ID: id, Version: s.operation, Vectors: vectors, Expires: s.expires}
	if err != nil || withPayload.None() {
		return record, err
	}
	raw := s.payload
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	record.Payload, err = withPayload.Apply(raw)
	return record, err
}

func saturatingAdd(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}
