package maxsim

import (
	"sync/atomic"
	"unsafe"

	"freshet/hnsw"
	"freshet/hnsw/kernels"
)

// Index holds the multivectors of one name by slot. Put and Free are for one writer,
// the rest for anyone. It says nothing of which slots a view sees: a multivector is put
// before the view that shows it, and freed when none shows it any more.
type Index struct {
	dim    int
	metric hnsw.Metric
	pages  atomic.Pointer[[]*page]
	bytes  atomic.Int64
}

// pageSlots is how many slots a page has.
const pageSlots = 1 << 10

type page [pageSlots]atomic.Pointer[rows]

// rows is a multivector, each row padded with zeros to a multiple of kernels.Block
// numbers. It is never changed.
type rows struct {
	values []float32
	count  int
}

// New returns an empty index of rows of dim numbers. Under Cosine these are to be of
// length 1, in queries as well.
func New(dim int, metric hnsw.Metric) *Index {
	x := &Index{dim: dim, metric: metric}
	x.pages.Store(&[]*page{})
	return x
}

// Dim returns the length of a row.
func (x *Index) Dim() int { return x.dim }

// Ascending says whether a smaller score is a better one.
func (x *Index) Ascending() bool { return x.metric.Ascending() }

// Bytes returns the memory that the rows and the table of slots take.
func (x *Index) Bytes() int64 { return x.bytes.Load() }

// Put stores a copy of a slot's rows, which follow one another in values.
func (x *Index) Put(slot uint32, values []float32) {
	pages := *x.pages.Load()
	for int(slot/pageSlots) >= len(pages) {
		pages = append(pages[:len(pages):len(pages)], new(page))
		x.bytes.Add(int64(unsafe.Sizeof(page{})))
	}
	x.pages.Store(&pages)
	r := x.pad(values)
	x.bytes.Add(r.bytes())
	if old := pages[slot/pageSlots][slot%pageSlots].Swap(r); old != nil {
		x.bytes.Add(-old.bytes())
	}
}

// Free forgets the rows of slots.
func (x *Index) Free(slots []uint32) {
	pages := *x.pages.Load()
	for _, slot := range slots {
		if int(slot/pageSlots) >= len(pages) {
			continue
		}
		if old := pages[slot/pageSlots][slot%pageSlots].Swap(nil); old != nil {
			x.bytes.Add(-old.bytes())
		}
	}
}

// Has says whether a slot has rows.
func (x *Index) Has(slot uint32) bool { return x.at(slot) != nil }

func (x *Index) at(slot uint32) *rows {
	pages := *x.pages.Load()
	if int(slot/pageSlots) >= len(pages) {
		return nil
	}
	return pages[slot/pageSlots][slot%pageSlots].Load()
}

// blocks is how many kernels.Block numbers a row takes.
func (x *Index) blocks() int { return (x.dim + kernels.Block - 1) / kernels.Block }

func (x *Index) pad(values []float32) *rows {
	stride := x.blocks() * kernels.Block
	r := &rows{count: len(values) / x.dim}
	r.values = make([]float32, r.count*stride)
	for i := range r.count {
		copy(r.values[i*stride:], values[i*x.dim:(i+1)*x.dim])
	}
	return r
}

func (r *rows) bytes() int64 { return int64(4*len(r.values)) + int64(unsafe.Sizeof(*r)) }
