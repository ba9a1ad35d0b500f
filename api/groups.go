package api

import (
	"strconv"

	"freshet/server"
	"freshet/server/object"
	"freshet/server/payload"
)

// defaultGroupSize is the number of points of a group where the request does not say.
const defaultGroupSize = 3

func queryGroups(r *request) (any, error) {
	return r.groups(form{read: (*searchReader).query, name: "search_group_request"}, false)
}

func searchGroups(r *request) (any, error) {
	return r.groups(form{read: (*searchReader).search, name: "search_group_request"}, true)
}

func recommendGroups(r *request) (any, error) {
	return r.groups(form{read: (*searchReader).recommend, name: "recommend_group_request"}, true)
}

// groups answers a search of a form whose points are wanted in groups; sized says
// whether the form has to say how large these are.
func (r *request) groups(f form, sized bool) (any, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	var request server.GroupRequest
	err = r.searches(func(s *searchReader, o *object.Reader) (err error) {
		request, err = s.groups(o, f, sized)
		return err
	}, func() error { return c.AdmitReads(request.Demands(nil)...) })
	if err != nil {
		return nil, err
	}
	groups, err := c.SearchGroups(r.ctx, request)
	if err != nil {
		return nil, err
	}
	return pieces(func(s *sender) { writeGroups(s, groups) }), nil
}

func (s *searchReader) groups(o *object.Reader, f form, sized bool) (server.GroupRequest, error) {
	g := server.GroupRequest{Size: defaultGroupSize}
	hasKey, hasSize := false, false
	s.own = map[string]func() error{
		"group_by": func() error {
			hasKey = true
			return readPath(o, &g.By)
		},
		"group_size": func() error {
			hasSize = true
			if err := readUint(o, &g.Size); err != nil {
				return err
			}
			if g.Size == 0 {
				return notValid(f.name+".group_size", "value 0 invalid, must be 1 or larger")
			}
			return nil
		},
		"with_lookup": func() error { return s.groupLookup(o, &g.Lookup) },
		"offset":      o.Skip, // groups have no pages
	}
	var err error
	g.Search, err = f.read(s, o, f.name)
	g.Limit = g.Search.Limit
	switch {
	case err != nil:
		return g, err
	case !hasKey:
		return g, badFormat("missing field `group_by`")
	case sized && !hasSize:
		return g, badFormat("missing field `group_size`")
	default:
		return g, nil
	}
}

// groupLookup reads the name of a collection, or an object with it.
func (s *searchReader) groupLookup(o *object.Reader, dst **server.GroupLookup) error {
	l := server.GroupLookup{WithPayload: payload.All()}
	var name string
	hasName := false
	var err error
	switch o.Kind() {
	case '"':
		hasName = true
		err = readString(o, &name)
	case '{':
		vectors := func() error { return readVectorSelector(o, &l.WithVector) }
		err = fields(o, map[string]func() error{
			"collection": func() error {
				hasName = true
				return readString(o, &name)
			},
			"with_payload": func() error { return readPayloadSelector(o, &l.WithPayload) },
			"with_vectors": vectors,
			"with_vector":  vectors,
		})
	default:
		err = o.Skip()
	}
	switch {
	case err != nil:
		return err
	case !hasName:
		return badFormat("data did not match any variant of untagged enum WithLookupInterface")
	}
	if l.Collection, err = s.collections(name); err != nil {
		return err
	}
	*dst = &l
	return nil
}

// writeGroups writes groups that are not needed afterwards.
func writeGroups(s *sender, groups []server.Group) {
	s.text(`{"groups":`)
	s.list(len(groups), func(i int) {
		g := &groups[i]
		s.text(`{"hits":`)
		s.scored(g.Hits)
		s.text(`,"id":`)
		switch key := g.Key.(type) {
		case string:
			s.buf = appendString(s.buf, key)
		case int64:
			s.buf = strconv.AppendInt(s.buf, key, 10)
		case uint64:
			s.buf = strconv.AppendUint(s.buf, key, 10)
		}
		if g.Lookup != nil {
			s.text(`,"lookup":`)
			s.buf = appendRecord(s.buf, g.Lookup)
			g.Lookup = nil
		}
		s.text("}")
	})
	s.text("}")
}
