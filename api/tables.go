package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"freshet/api/table"
	"freshet/server"
	"freshet/server/object"
	"freshet/server/point"
)

// Bodies that are tables instead of JSON.
const (
	arrowStream = "application/vnd.apache.arrow.stream"
	npyArray    = "application/x-npy"
)

// maxTable bounds what one table becomes in memory, in bytes.
const maxTable = 3 * MaxBody

// media returns the type of the body.
func (r *request) media() string {
	header := r.Request().Header.Get("Content-Type")
	if header == "application/json" {
		return header
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "" // as good as none: it is read as JSON
	}
	return media
}

func isTable(media string) bool { return media == arrowStream || media == npyArray }

// tableOr makes a handler of writes of points that come as a table, and of others.
func tableOr(kind server.OpKind, others handler) handler {
	return func(r *request) (any, error) {
		if !isTable(r.media()) {
			return others(r)
		}
		return r.apply(func(_ *vectorReader, ops *[]server.Op) error {
			op, err := r.tableWrite(kind)
			*ops = append(*ops, op)
			return err
		}, func(results []updateResult) any { return results[0] })
	}
}

// tableWrite reads the points of a table. What else an operation says is in the URL.
func (r *request) tableWrite(kind server.OpKind) (server.Op, error) {
	op := server.Op{Kind: kind}
	c, err := r.collection()
	if err != nil {
		return op, err
	}
	var texts []string
	if kind == server.Upsert {
		texts = append(texts, "update_mode")
	}
	err = r.parameters([]string{"update_filter"}, texts, func(o *object.Reader) map[string]func() error {
		return map[string]func() error{
			"update_filter": func() error { return readFilter(o, "update_filter", &op.Where) },
			"update_mode":   func() error { return readUpdateMode(o, &op.Mode) },
		}
	})
	if err != nil {
		return op, err
	}
	raw, err := r.content()
	if err != nil {
		return op, err
	}
	if r.media() == npyArray {
		op.Points, err = r.arrayPoints(raw)
	} else {
		op.Points, err = table.Points(raw, r.room())
	}
	if err != nil {
		return op, r.inTable(err)
	}
	for i := range op.Points {
		if err := c.Check(&server.Op{Kind: kind, Points: op.Points[i : i+1]}); err != nil {
			return op, r.inTable(blame(c, kind, i, &op.Points[i], err))
		}
	}
	return op, nil
}

// blame says which row and column an error of a point is about.
func blame(c *server.Collection, kind server.OpKind, row int, p *server.Point, err error) error {
	for name, v := range p.Vectors {
		one := server.Point{ID: p.ID, Vectors: server.Vectors{name: v}}
		if c.Check(&server.Op{Kind: kind, Points: []server.Point{one}}) != nil {
			return &table.Error{Row: row, Column: table.ColumnOf(name), Err: err}
		}
	}
	return &table.Error{Row: row, Err: err}
}

// arrayPoints reads an array of vectors. Their ids count from a parameter.
func (r *request) arrayPoints(raw []byte) ([]server.Point, error) {
	first, given, err := r.uint("first_id")
	if err != nil || !given {
		return nil, badQuery("first_id: want the id of the first row, an unsigned integer; the others count from it")
	}
	using, _, err := r.query("using")
	if err != nil {
		return nil, err
	}
	vectors, err := table.Vectors(raw, MaxBody, r.room())
	if err != nil {
		return nil, err
	}
	if first+uint64(len(vectors)) < first {
		return nil, badQuery("first_id: %d and %d rows are more ids than there are", first, len(vectors))
	}
	points := make([]server.Point, len(vectors))
	for i, v := range vectors {
		points[i] = server.Point{ID: point.Number(first + uint64(i)), Vectors: server.Vectors{using: v}}
	}
	return points, nil
}

// tableSearch reads a table of one query.
func (r *request) tableSearch() (server.SearchRequest, error) {
	searches, err := r.tableSearches()
	if err == nil && len(searches) != 1 {
		err = badRequest("the table has %d rows, want one; …/points/query/batch takes more", len(searches))
	}
	if err != nil {
		return server.SearchRequest{}, err
	}
	return searches[0], nil
}

// tableSearches reads a table of queries, one in each row. What else they say is in the
// URL and the same for all.
func (r *request) tableSearches() ([]server.SearchRequest, error) {
	s := &searchReader{vectorReader: vectorReader{r: r, query: true}, collections: r.lookedUp}
	search := server.SearchRequest{Limit: defaultLimit}
	others := []string{"filter", "params", "score_threshold", "limit", "offset", "with_payload", "with_vector"}
	err := r.parameters(others, []string{"using"}, func(o *object.Reader) map[string]func() error {
		known := s.common(o, "", &search)
		known["using"] = func() error { return readString(o, &search.Using) }
		return known
	})
	if err != nil {
		return nil, err
	}
	raw, err := r.content()
	if err != nil {
		return nil, err
	}
	var vectors []server.Vector
	if r.media() == npyArray {
		vectors, err = table.Vectors(raw, maxSearches, r.room())
	} else {
		var column string
		column, vectors, err = table.Queries(raw, maxSearches, r.room())
		if err == nil && column != "" && r.params.Has("using") && search.Using != column {
			err = badQuery("using: the table has the column %q", table.ColumnOf(column))
		}
		if column != "" {
			search.Using = column
		}
	}
	if err != nil {
		return nil, r.inTable(err)
	}
	searches := make([]server.SearchRequest, len(vectors))
	for i, v := range vectors {
		searches[i] = search
		searches[i].Vector = v
	}
	return searches, nil
}

// parameters reads what a body of JSON would have as members from the parameters of the
// URL: values, which are JSON, and texts. known reads members.
func (r *request) parameters(values, texts []string, known func(o *object.Reader) map[string]func() error) error {
	read := func(name string, value []byte) error {
		return inParameter(name, parse(value, func(o *object.Reader) error {
			if o.Kind() == 'n' {
				return o.Skip() // as good as absent
			}
			return known(o)[name]()
		}))
	}
	for _, name := range values {
		text, given, err := r.query(name)
		if err != nil {
			return err
		}
		if !given {
			continue
		}
		value := jsontext.Value(text)
		if !value.IsValid() {
			return badQuery("%s: %.100q is not JSON", name, value)
		}
		if err := read(name, value); err != nil {
			return err
		}
	}
	for _, name := range texts {
		text, given, err := r.query(name)
		if err != nil {
			return err
		}
		if !given {
			continue
		}
		value, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return err
		}
		if err := read(name, value); err != nil {
			return err
		}
	}
	return nil
}

// inParameter returns an error of what is in a parameter of the URL, where it would
// otherwise be told of a member of the body.
func inParameter(name string, err error) error {
	var known *statusError
	if errors.As(err, &known) {
		return badQuery("%s: %s", name, strings.TrimPrefix(known.text, formatError))
	}
	var own *server.Error
	if errors.As(err, &own) && own.Kind == server.Invalid {
		return invalidQuery("%s: %s", strings.TrimPrefix(own.Path, "."), own.Text)
	}
	return err
}

// room returns what bounds the memory of a table. All but the first bytes count as those
// of a large body do.
func (r *request) room() table.Room {
	used := 0
	return func(n int) error {
		if n > maxTable-used {
			return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Payload too large: a table may take %d bytes once it is read", maxTable)}
		}
		used += n
		return r.large.step(int64(used-n), int64(used))
	}
}

// inTable returns an error of a table as clients see it.
func (r *request) inTable(err error) error {
	var wrong *table.Error
	if !errors.As(err, &wrong) {
		return err
	}
	if r.media() == npyArray {
		return badRequest(".npy array: %v", err)
	}
	return badRequest("Arrow stream: %v", err)
}
