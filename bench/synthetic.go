package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/viterin/vek/vek32"

	"freshet/hnsw"
)

// Two shapes of data are generated.
//
// "clustered" resembles text embeddings: a mean that all vectors share, topics of
// very unequal size that lie in groups, few directions that most of the variance
// is in, each less important than the one before, and a little noise in all
// dimensions.
//
// "gaussian" has no structure at all, so that all points are about equally far
// from each other: the hardest data for any graph.
const (
	clusteredShape = "clustered"
	gaussianShape  = "gaussian"
)

const (
	shapeVersion = 1 // of what is generated; a cache of another is not used
	shapeSeed    = 20261123
	queryCount   = 1000
	blockRows    = 1024 // rows with a generator of random numbers of their own
	latentDim    = 48
	groupCount   = 40
	topicCount   = 2000
)

// How far the parts of a clustered vector reach, in standard deviations of one
// latent direction.
const (
	groupSpread  = 1.0
	topicSpread  = 0.8
	withinTopic  = 0.9
	commonPart   = 0.35 // of the mean, as a share of the whole's length
	noisePart    = 0.30 // likewise
	spectrumFall = 0.4  // direction i has a deviation of (i+1)^-spectrumFall
)

func checkShape(s source) error {
	switch {
	case s.shape != clusteredShape && s.shape != gaussianShape:
		return fmt.Errorf("--synthetic %q: want %s or %s", s.shape, clusteredShape, gaussianShape)
	case s.dim < 1 || s.dim > hnsw.MaxDim:
		return fmt.Errorf("--dim %d: want 1 to %d", s.dim, hnsw.MaxDim)
	case s.size < 1000 || s.size > 100_000_000:
		return fmt.Errorf("--size %d: want 1,000 to 100,000,000", s.size)
	}
	return nil
}

// generate returns the same vectors for the same arguments on any number of cores.
func generate(shape string, dim, size int) (base, queries *matrix) {
	progress("%s-%d: generating %d vectors", shape, dim, size)
	row := func(r *rand.Rand, dst []float32) {
		for i := range dst {
			dst[i] = float32(r.NormFloat64())
		}
	}
	if shape == clusteredShape {
		row = newTopics(dim).row
	}
	base, queries = &matrix{rows: size, dim: dim}, &matrix{rows: queryCount, dim: dim}
	base.fill(1, row)
	queries.fill(2, row)
	return base, queries
}

// fill draws the rows; stream tells apart what is drawn with the same seed.
func (m *matrix) fill(stream uint64, row func(r *rand.Rand, dst []float32)) {
	m.data = make([]float32, m.rows*m.dim)
	blocks := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for block := range blocks {
				r := rand.New(rand.NewPCG(shapeSeed, stream<<32|uint64(block)))
				for i := block * blockRows; i < min((block+1)*blockRows, m.rows); i++ {
					row(r, m.row(i))
				}
			}
		})
	}
	for block := range (m.rows + blockRows - 1) / blockRows {
		blocks <- block
	}
	close(blocks)
	workers.Wait()
}

// topics is the distribution of clustered vectors.
type topics struct {
	mean      []float32   // of the dimensions
	frame     [][]float32 // latentDim directions in them
	deviation []float32   // of each
	centres   [][]float32 // of the topics, in the latent space
	shares    []float64   // cumulated
}

func newTopics(dim int) *topics {
	r := rand.New(rand.NewPCG(shapeSeed, 0))
	normal := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(scale * r.NormFloat64())
		}
		return v
	}
	t := &topics{mean: normal(dim, 1), deviation: make([]float32, latentDim)}
	for i := range latentDim {
		t.frame = append(t.frame, normal(dim, 1/math.Sqrt(float64(dim))))
		t.deviation[i] = float32(math.Pow(float64(i+1), -spectrumFall))
	}
	var groups [][]float32
	for range groupCount {
		groups = append(groups, normal(latentDim, groupSpread))
	}
	var sum float64
	for topic := range topicCount {
		centre := normal(latentDim, topicSpread)
		vek32.Add_Inplace(centre, groups[r.IntN(groupCount)])
		t.centres = append(t.centres, centre)
		sum += 1 / math.Sqrt(float64(topic+1))
		t.shares = append(t.shares, sum)
	}
	return t
}

// row draws a vector.
func (t *topics) row(r *rand.Rand, dst []float32) {
	topic, _ := slices.BinarySearch(t.shares, r.Float64()*t.shares[topicCount-1])
	clear(dst)
	scaled := make([]float32, len(dst))
	for i, direction := range t.frame {
		weight := t.deviation[i] * (t.centres[topic][i] + withinTopic*float32(r.NormFloat64()))
		vek32.MulNumber_Into(scaled, direction, weight)
		vek32.Add_Inplace(dst, scaled)
	}
	hnsw.Normalize(dst)
	common := commonPart / float32(math.Sqrt(float64(len(dst))))
	noise := noisePart / math.Sqrt(float64(len(dst)))
	for i := range dst {
		dst[i] += common*t.mean[i] + float32(noise*r.NormFloat64())
	}
}
