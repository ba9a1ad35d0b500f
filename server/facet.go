package server

import (
	"context"

	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/payload"
)

// FacetRequest asks for the values of a field that most points have, and of how many
// points that are. A point counts once for each value it has. The field needs an index
// that can be asked for single values.
type FacetRequest struct {
	Key    payload.Path
	Filter *filter.Filter // nil: all points
	Limit  int            // of values
}

// Demand returns what the request asks for.
func (r *FacetRequest) Demand() Demand { return Demand{Limit: r.Limit, Filter: r.Filter} }

// countCost is about how many values are counted by the index while a payload is read.
const countCost = 64

// Facet counts points by the values of a field, exactly.
func (c *Collection) Facet(ctx context.Context, r FacetRequest) ([]index.ValueCount, error) {
	sel, ix, facet, err := c.countIndexed(ctx, &r)
	if err != nil {
		return nil, searchError(ctx, err)
	}
	defer sel.v.release()
	if !sel.doubts.IsEmpty() {
		root := rootsOf([]*index.Index{ix})
		err = sel.payloads(ctx, sel.doubts, func(raw []byte) error {
			doc, err := root.decode(0, raw)
			facet.Add(ix.Read(doc))
			return err
		})
	}
	if err != nil {
		return nil, searchError(ctx, err)
	}
	return facet.Top(r.Limit), nil
}

// countIndexed counts the points that the indexes know to pass. The others are the
// doubts of the selection, whose view the caller must release.
func (c *Collection) countIndexed(ctx context.Context, r *FacetRequest) (*selection, *index.Index, index.Facet, error) {
	set := c.indexes
	set.mu.RLock()
	defer set.mu.RUnlock()
	ix := set.index(r.Key.Key())
	var facet index.Facet
	if ix != nil {
		facet = ix.Facet()
	}
	if facet == nil {
		return nil, nil, nil, errorf(WrongInput, "No appropriate index for faceting: `%s`. Please create one to facet on this field. Check https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Match conditions", r.Key)
	}
	v, err := c.acquire()
	if err != nil {
		return nil, nil, nil, err
	}
	f := r.Filter
	if f == nil {
		f = everything
	}
	sel := c.evaluate(v, f)
	switch {
	case f.Empty():
		err = facet.Count(ctx, nil)
	case int(sel.sure.GetCardinality())*countCost < facet.Values():
		sel.doubts.Or(sel.sure) // few points and many values: payloads are read faster
	default:
		err = facet.Count(ctx, sel.sure)
	}
	if err != nil {
		v.release()
	}
	return sel, ix, facet, err
}
