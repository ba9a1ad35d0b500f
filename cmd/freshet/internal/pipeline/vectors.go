package pipeline

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"freshet/api/table"
)

// Vectors are those that are produced, again from the first one when they are used up,
// and others to search with.
type Vectors struct {
	Name    string
	Rows    [][]float32
	Queries [][]float32
}

// maxQueries is how many vectors are set aside to search with, of at least ten times
// as many.
const maxQueries = 200

// asideFrom sets some of the rows aside.
func asideFrom(name string, rows [][]float32) Vectors {
	n := min(maxQueries, len(rows)/10)
	return Vectors{Name: name, Rows: rows[:len(rows)-n], Queries: rows[len(rows)-n:]}
}

func (v *Vectors) dim() int {
	if len(v.Rows) == 0 {
		return 0
	}
	return len(v.Rows[0])
}

// Generate makes vectors that resemble embeddings a little: around centers, since
// without any structure nothing is nearer than the rest.
func Generate(dim, count int, seed uint64) (Vectors, error) {
	if dim < 1 || dim > 65536 {
		return Vectors{}, fmt.Errorf("--dim %d is not from 1 to 65536", dim)
	}
	if count < 10 || count > 1_000_000 {
		return Vectors{}, fmt.Errorf("--generate %d is not from 10 to 1000000", count)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	centers := make([][]float32, max(1, count/50))
	for i := range centers {
		centers[i] = normal(random, make([]float32, dim), 1)
	}
	rows := make([][]float32, count)
	for i := range rows {
		rows[i] = append([]float32(nil), centers[random.IntN(len(centers))]...)
		normal(random, rows[i], 0.7)
	}
	return asideFrom(fmt.Sprintf("%d generated vectors of %d dimensions, seed %d", count, dim, seed), rows), nil
}

// normal adds normally distributed numbers to v.
func normal(random *rand.Rand, v []float32, deviation float64) []float32 {
	for k := range v {
		v[k] += float32(random.NormFloat64() * deviation)
	}
	return v
}

// ReadNPY reads the vectors of an .npy file, at most a million of them.
func ReadNPY(path string) (Vectors, error) {
	array, values, err := table.ReadMatrix(path, 1_000_000)
	if err != nil {
		return Vectors{}, err
	}
	if array.Rows < 10 {
		return Vectors{}, fmt.Errorf("%s: has %d rows, at least 10 are needed", path, array.Rows)
	}
	return asideFrom(path, slices.Collect(slices.Chunk(values, array.Dim))), nil
}

// values are the records' values, one for each vector. The id is in the key.
func (v *Vectors) values() ([][]byte, error) {
	values := make([][]byte, len(v.Rows))
	for i, row := range v.Rows {
		var err error
		if values[i], err = json.Marshal(map[string]any{"embedding": row}); err != nil {
			return nil, fmt.Errorf("vector %d: %w", i, err)
		}
	}
	return values, nil
}
