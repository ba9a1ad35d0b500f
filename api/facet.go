package api

import (
	"strconv"

	"freshet/server"
	"freshet/server/index"
	"freshet/server/object"
)

// facetPoints counts exactly, asked to or not.
func facetPoints(r *request) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	raw, err := r.body()
	if err != nil {
		return nil, err
	}
	facet := server.FacetRequest{Limit: defaultLimit}
	err = parse(raw, func(o *object.Reader) error {
		const path = "facet_request"
		hasKey, exact := false, true
		err := fields(o, map[string]func() error{
			"key": func() error {
				hasKey = true
				return readPath(o, &facet.Key)
			},
			"filter":    func() error { return readFilter(o, path, &facet.Filter) },
			"limit":     func() error { return readLimit(o, path, &facet.Limit) },
			"exact":     func() error { return readBool(o, &exact) },
			"shard_key": func() error { return readSharding(o) },
		})
		if err == nil && !hasKey {
			err = badFormat("missing field `key`")
		}
		return err
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
