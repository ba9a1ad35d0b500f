package api

import (
	"strconv"

	"freshet/server"
	"freshet/server/index"
	"freshet/server/object"
)

// facetPoints counts exactly, asked to or not.
func facetPoints(r *request) (any, error) {
	facet := server.FacetRequest{Limit: defaultLimit}
	c, err := r.reading(func(o *object.Reader) error {
		const path = "facet_request"
		return fields(o, map[string]func() error{
			"key":       func() error { return readPath(o, &facet.Key) },
			"filter":    func() error { return readFilter(o, path+".filter", &facet.Filter) },
			"limit":     func() error { return readLimit(o, path, &facet.Limit) },
			"exact":     func() error { return readBool(o, new(bool)) },
			"shard_key": func() error { return readSharding(o) },
		}, "key")
	})
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(facet.Demand()); err != nil {
		return nil, err
	}
	hits, err := c.Facet(r.ctx, facet)
	if err != nil {
		return nil, err
	}
	return appendFacet(nil, hits), nil
}

func appendFacet(dst encoded, hits []index.ValueCount) encoded {
	dst = append(dst, `{"hits":[`...)
	for i, hit := range hits {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"value":`...)
		switch v := hit.Value.(type) {
		case string:
			dst = appendString(dst, v)
		case int64:
			dst = strconv.AppendInt(dst, v, 10)
		case bool:
			dst = strconv.AppendBool(dst, v)
		}
		dst = append(dst, `,"count":`...)
		dst = append(strconv.AppendInt(dst, int64(hit.Points), 10), '}')
	}
	return append(dst, `]}`...)
}
