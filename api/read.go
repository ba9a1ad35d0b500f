package api

import (
	"cmp"
	"strconv"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/object"
	"freshet/server/payload"
	"freshet/server/point"
)

func getPoint(r *request) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	id, err := r.pointID()
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(server.Demand{}); err != nil {
		return nil, err
	}
	if asked, err := r.flag("with_source", false); err != nil {
		return nil, err
	} else if asked {
		return pointWithSource(c, id)
	}
	records, err := c.Retrieve(r.ctx, []point.ID{id}, payload.All(), server.VectorSelector{All: true})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, noPoint(id)
	}
	return encoded(appendRecord(nil, &records[0])), nil
}

func noPoint(id point.ID) error {
	return &server.Error{Kind: server.NotFound, Text: "Point with id " + id.String() + " does not exists!"}
}

// pointWithSource says of a point also which record it is of.
func pointWithSource(c *server.Collection, id point.ID) (any, error) {
	record, from, err := c.Written(id)
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, noPoint(id)
	}
	out := appendRecord(nil, record)
	out = appendOrigin(out[:len(out)-len("}")], from)
	return encoded(append(out, '}')), nil
}

// appendOrigin writes what a point has been written by: null for a request over REST.
func appendOrigin(dst []byte, from server.Origin) []byte {
	dst = append(dst, `,"source":`...)
	if s := from.Stream; s == (server.Stream{}) {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(append(dst, `{"name":`...), s.Source)
		dst = appendString(append(dst, `,"topic":`...), s.Topic)
		dst = strconv.AppendInt(append(dst, `,"partition":`...), int64(s.Partition), 10)
		dst = strconv.AppendInt(append(dst, `,"offset":`...), from.Offset, 10)
		dst = strconv.AppendInt(append(dst, `,"timestamp":`...), cmp.Or(from.Timestamp, from.Time), 10)
		dst = strconv.AppendInt(append(dst, `,"version":`...), from.Time, 10)
		dst = append(dst, '}')
	}
	return appendExpiry(dst, from.Expires)
}

// appendExpiry says when a point ends, if it does.
func appendExpiry(dst []byte, expires int64) []byte {
	if expires != 0 {
		dst = strconv.AppendInt(append(dst, `,"expires_at":`...), expires, 10)
	}
	return dst
}

// appendExpiring writes a record with when it ends.
func appendExpiring(dst []byte, r *server.Record) []byte {
	dst = appendRecord(dst, r)
	return append(appendExpiry(dst[:len(dst)-len("}")], r.Expires), '}')
}

// maxRetrieve bounds the points that one request may ask for by id.
const maxRetrieve = 100_000

func retrievePoints(r *request) (any, error) {
	var (
		ids         []point.ID
		withPayload payload.Selector
		withVector  server.VectorSelector
	)
	c, err := r.reading(func(o *object.Reader) error {
		vectors := func() error { return readVectorSelector(o, &withVector) }
		return fields(o, map[string]func() error{
			"ids":          func() error { return readIDs(o, &ids) },
			"with_payload": func() error { return readPayloadSelector(o, &withPayload) },
			"with_vector":  vectors,
			"with_vectors": vectors,
			"shard_key":    func() error { return readSharding(o) },
		}, "ids")
	})
	switch {
	case err != nil:
		return nil, err
	case len(ids) > maxRetrieve:
		return nil, badRequest("one request may ask for %d points by id", maxRetrieve)
	}
	if err := c.AdmitReads(server.Demand{Cost: len(ids)}); err != nil {
		return nil, err
	}
	found, err := c.Retrieve(r.ctx, ids, withPayload, withVector)
	if err != nil {
		return nil, err
	}
	return pieces(func(s *sender) { s.records(found, appendRecord) }), nil
}

func scrollPoints(r *request) (any, error) {
	withExpiry, err := r.flag("with_expiry", false)
	if err != nil {
		return nil, err
	}
	scroll := server.ScrollRequest{Limit: defaultLimit, WithPayload: payload.All()}
	c, err := r.reading(func(o *object.Reader) error {
		const path = "scroll_request"
		vectors := func() error { return readVectorSelector(o, &scroll.WithVector) }
		return fields(o, map[string]func() error{
			"filter":       func() error { return readFilter(o, path+".filter", &scroll.Filter) },
			"limit":        func() error { return readLimit(o, path, &scroll.Limit) },
			"offset":       func() error { return readID(o, &scroll.Offset) },
			"with_payload": func() error { return readPayloadSelector(o, &scroll.WithPayload) },
			"with_vector":  vectors,
			"with_vectors": vectors,
			"order_by":     func() error { return readOrderBy(o, &scroll.Order) },
			"shard_key":    func() error { return readSharding(o) },
		})
	})
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(server.Demand{Limit: scroll.Limit, Filter: scroll.Filter}); err != nil {
		return nil, err
	}
	page, err := c.Scroll(r.ctx, scroll)
	if err != nil {
		return nil, err
	}
	write := appendRecord
	if withExpiry {
		write = appendExpiring
	}
	return pieces(func(s *sender) {
		s.text(`{"points":`)
		s.records(page.Records, write)
		s.text(`,"next_page_offset":`)
		if page.Next.IsZero() {
			s.text("null")
		} else {
			s.buf = page.Next.AppendJSON(s.buf)
		}
		s.text("}")
	}), nil
}

// countPoints counts exactly, asked to or not.
func countPoints(r *request) (any, error) {
	var f *filter.Filter
	exact := true
	c, err := r.reading(func(o *object.Reader) error {
		return fields(o, map[string]func() error{
			"filter":    func() error { return readFilter(o, "count_request.filter", &f) },
			"exact":     func() error { return readBool(o, &exact) },
			"shard_key": func() error { return readSharding(o) },
		})
	})
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(server.Demand{Filter: f, Exact: exact}); err != nil {
		return nil, err
	}
	n, err := c.Count(r.ctx, f)
	return map[string]int{"count": n}, err
}
