package table

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"freshet/server"
)

// Queries reads the vectors of an Arrow IPC stream, one in each row and at most limit of
// them, and the name that their column has. Other columns are ignored.
func Queries(stream []byte, limit int, room Room) (name string, vectors []server.Vector, err error) {
	index, column := -1, ""
	err = batches(stream, room, func(s *arrow.Schema) error {
		for i, f := range s.Fields() {
			n, ok := VectorName(f.Name)
			if !ok {
				continue
			}
			if index >= 0 {
				return wrong("both %.100q and %.100q are columns of vectors; a query has one", column, f.Name)
			}
			index, column, name = i, f.Name, n
		}
		if index < 0 {
			return wrong("there is no column `vector` or `vector.NAME`")
		}
		return nil
	}, func(batch arrow.RecordBatch, before int) error {
		read, err := readerOf(batch.Column(index), room)
		if err != nil {
			return inColumn(column, "%w", err)
		}
		for i := range int(batch.NumRows()) {
			if before+i == limit {
				return tooMany(limit)
			}
			v, err := read(i)
			if err == nil && v == nil {
				err = errors.New("null is no vector")
			}
			if err != nil {
				return at(before+i, column, err)
			}
			vectors = append(vectors, v)
		}
		return nil
	})
	return name, vectors, err
}

func tooMany(limit int) error { return wrong("there are more than %d rows", limit) }
