package server

import "context"

// SearchBatch answers several searches as of the same moment, using all cores
// that are to spare. After an error it returns the first search, in their order,
// that failed.
func (c *Collection) SearchBatch(ctx context.Context, requests []SearchRequest) (found [][]ScoredPoint, failed int, err error) {
	v, err := c.acquire()
	if err != nil {
		return nil, 0, err
	}
	defer v.release()
	found = make([][]ScoredPoint, len(requests))
	failed, err = c.cores.each(len(requests), func(i int) error {
		s := search{c: c, v: v, r: &requests[i], self: noSlot}
		var err error
		found[i], err = s.answer(ctx)
		return searchError(ctx, err)
	})
	if err != nil {
		return nil, failed, err
	}
	return found, 0, nil
}

// answer finds the points and reads what is to be seen of them.
func (s *search) answer(ctx context.Context) ([]ScoredPoint, error) {
	if s.r.List {
		return s.list(ctx)
	}
	hits, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	return s.points(ctx, hits)
}

// list answers a request without a query: every point counts the same.
func (s *search) list(ctx context.Context) ([]ScoredPoint, error) {
	page, err := s.c.scroll(ctx, s.v, ScrollRequest{
		Filter: s.r.Filter, Limit: saturatingAdd(s.r.Limit, s.r.Offset),
		WithPayload: s.r.WithPayload, WithVector: s.r.WithVector,
	})
	points := []ScoredPoint{}
	for i := s.r.Offset; i < len(page.Records); i++ {
		page.Records[i].Version = 0
		points = append(points, ScoredPoint{Record: page.Records[i], Score: 1})
	}
	return points, err
}
