package api

import (
	"strconv"

	"freshet/server"
	"freshet/server/object"
)

func matrixPairs(r *request) (any, error)   { return r.matrix(appendPairs) }
func matrixOffsets(r *request) (any, error) { return r.matrix(appendOffsets) }

func (r *request) matrix(write func(dst encoded, m *server.Matrix) encoded) (any, error) {
	request := server.MatrixRequest{Sample: 10, Limit: 3}
	c, err := r.reading(func(o *object.Reader) error { return readMatrix(o, &request) })
	if err != nil {
		return nil, err
	}
	if err := c.AdmitReads(request.Demand()); err != nil {
		return nil, err
	}
	m, err := c.SearchMatrix(r.ctx, request)
	if err != nil {
		return nil, err
	}
	return write(nil, &m), nil
}

func readMatrix(o *object.Reader, dst *server.MatrixRequest) error {
	const path = "search_matrix_request"
	return fields(o, map[string]func() error{
		"filter": func() error { return readFilter(o, path+".filter", &dst.Filter) },
		"limit":  func() error { return readLimit(o, path, &dst.Limit) },
		"sample": func() error {
			if err := readUint(o, &dst.Sample); err != nil {
				return err
			}
			if dst.Sample < 2 {
				return notValid(path+".sample", "value %d invalid, must be 2 or larger", dst.Sample)
			}
			return nil
		},
		"using":     func() error { return readString(o, &dst.Using) },
		"shard_key": func() error { return readSharding(o) },
	})
}

// list appends what write writes for each neighbour as a list.
func list(dst encoded, m *server.Matrix, write func(dst encoded, row int, n server.Neighbour) encoded) encoded {
	dst = append(dst, '[')
	first := true
	for row, neighbours := range m.Rows {
		for _, n := range neighbours {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = write(dst, row, n)
		}
	}
	return append(dst, ']')
}

func appendPairs(dst encoded, m *server.Matrix) encoded {
	dst = append(dst, `{"pairs":`...)
	dst = list(dst, m, func(dst encoded, row int, n server.Neighbour) encoded {
		dst = append(dst, `{"a":`...)
		dst = m.IDs[row].AppendJSON(dst)
		dst = append(dst, `,"b":`...)
		dst = m.IDs[n.Place].AppendJSON(dst)
		dst = append(dst, `,"score":`...)
		return append(appendFloat(dst, n.Score), '}')
	})
	return append(dst, '}')
}

func appendOffsets(dst encoded, m *server.Matrix) encoded {
	dst = append(dst, `{"offsets_row":`...)
	dst = list(dst, m, func(dst encoded, row int, _ server.Neighbour) encoded {
		return strconv.AppendInt(dst, int64(row), 10)
	})
	dst = append(dst, `,"offsets_col":`...)
	dst = list(dst, m, func(dst encoded, _ int, n server.Neighbour) encoded {
		return strconv.AppendInt(dst, int64(n.Place), 10)
	})
	dst = append(dst, `,"scores":`...)
	dst = list(dst, m, func(dst encoded, _ int, n server.Neighbour) encoded { return appendFloat(dst, n.Score) })
	dst = append(dst, `,"ids":[`...)
	for i, id := range m.IDs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = id.AppendJSON(dst)
	}
	return append(dst, `]}`...)
}
