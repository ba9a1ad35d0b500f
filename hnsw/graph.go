package hnsw

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Defaults and limits of a Config.
const (
	DefaultM           = 16
	DefaultEfConstruct = 128
	MaxDim             = 65536
	MinM               = 2
	MaxM               = 1024
	MaxEf              = 1 << 20
)

// Config describes a graph. M is the number of neighbours a new node is linked
// to at each level, and the most a node has above level 0 (twice that at level
// 0); EfConstruct is how many candidates they are chosen from.
//
// With Vectors the graph holds codes and no vectors, and reads them there where it
// learns anew about them; a Query then brings a reader of its own. Where there are
// no codes the vectors are held all the same, and Vectors is left out.
type Config struct {
	Dim         int
	Metric      Metric
	M           int // default DefaultM
	EfConstruct int // default DefaultEfConstruct
	Codes       Codes
	Vectors     VectorReader
}

// Codes says which codes a graph keeps.
type Codes uint8

// The choices of codes.
const (
	AutoCodes Codes = iota // of 8 bits, and of 4 where they would be shorter
	ByteCodes              // of 8 bits
	NoCodes                // none: the graph is built and searched on the vectors
)

// coded says whether there are codes.
func (c *Config) coded() bool {
	return c.Dim >= codedFrom && c.Metric != Manhattan && c.Codes != NoCodes
}

func (c *Config) complete() error {
	if c.M == 0 {
		c.M = DefaultM
	}
	if c.EfConstruct == 0 {
		c.EfConstruct = DefaultEfConstruct
	}
	switch {
	case c.Dim < 1 || c.Dim > MaxDim:
		return fmt.Errorf("hnsw: dimension %d is not from 1 to %d", c.Dim, MaxDim)
	case c.M < MinM || c.M > MaxM:
		return fmt.Errorf("hnsw: m %d is not from %d to %d", c.M, MinM, MaxM)
	case c.EfConstruct < 1 || c.EfConstruct > MaxEf:
		return fmt.Errorf("hnsw: ef_construct %d is not from 1 to %d", c.EfConstruct, MaxEf)
	case int(c.Metric) >= len(metricNames):
		return fmt.Errorf("hnsw: unknown metric %d", c.Metric)
	case c.Codes > NoCodes:
		return fmt.Errorf("hnsw: unknown codes %d", c.Codes)
	}
	if !c.coded() {
		c.Vectors = nil
	}
	return nil
}

// Graph is one HNSW graph. See the package comment for who may call what.
type Graph struct {
	cfg   Config
	slots *Slots

	vectors *arena // per slot: the vector, padded with zeros; nil if Config.Vectors has them
	base    *arena // per slot: neighbours at level 0, see list
	nodes   *arena // per slot: level+1 (0: not in the graph), index of the first upper list (0: none yet)
	upper   *arena // lists above level 0, those of a node one after the other
	dist    distances
	codes   atomic.Pointer[codes] // nil before the first vector, and where there are none
	drift   drift                 // the writer's

	entry atomic.Uint64 // level<<32 | slot+1 of the node a search begins at; 0: empty
	count atomic.Int64  // nodes, dead ones included

	// What follows is the writer's.
	lists   uint32   // the next upper list to give out
	grown   int      // nodes linked since a connection last began
	doomed  bitset   // slots that no list may name any more, while they are taken out
	ordered bitset   // those of them whose lists are sorted by nearness
	mended  []uint8  // per slot: neighbours replaced since they were last stored
	stale   []uint32 // slots of which too many were

	scratch sync.Pool // *searcher
}

// New returns an empty graph over the slots.
func New(cfg Config, slots *Slots) (*Graph, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	g := &Graph{
		cfg:   cfg,
		slots: slots,
		base:  newArena(4*2*cfg.M, 64),
		nodes: newArena(8, 8),
		upper: newArena(4*cfg.M, 64),
		lists: 1,
	}
	if cfg.Vectors == nil {
		g.vectors = newArena(4*cfg.Dim, 64)
	}
	g.dist = newDistances(cfg.Metric, g.vectors)
	g.scratch.New = func() any { return newSearcher(g) }
	return g, nil
}

// Config returns the configuration with its defaults filled in.
func (g *Graph) Config() Config { return g.cfg }

// Len is the number of nodes, those of retired slots included.
func (g *Graph) Len() int { return int(g.count.Load()) }

// Close gives the memory back. There must be no more readers.
func (g *Graph) Close() error {
	err := errors.Join(g.base.free(), g.nodes.free(), g.upper.free())
	if g.vectors != nil {
		err = errors.Join(err, g.vectors.free())
	}
	if c := g.codes.Swap(nil); c != nil {
		err = errors.Join(err, c.free())
	}
	return err
}

// Has says whether the slot has a vector in this graph.
func (g *Graph) Has(slot uint32) bool { return g.level(slot) >= 0 }

// Vector returns the vector of a slot, nil if it has none or the graph holds none.
// It must not be changed, nor used after Close.
func (g *Graph) Vector(slot uint32) []float32 {
	if g.vectors == nil || !g.Has(slot) {
		return nil
	}
	return unsafe.Slice((*float32)(g.vectors.row(slot)), g.cfg.Dim)
}

// level is the highest level of the slot's node, -1 if it has none.
func (g *Graph) level(slot uint32) int {
	if !g.nodes.has(slot) {
		return -1
	}
	return int(atomic.LoadUint32(&g.nodes.words(slot, 2)[0])) - 1
}

// list returns the neighbours of a node at a level: slot+1 each, ended by a 0
// if it is not full. The words are used atomically.
func (g *Graph) list(slot uint32, level int) []uint32 {
	if level == 0 {
		return g.base.words(slot, 2*g.cfg.M)
	}
	first := atomic.LoadUint32(&g.nodes.words(slot, 2)[1])
	return g.upper.words(first+uint32(level)-1, g.cfg.M)
}

// setList replaces a list, from its end: a reader meanwhile sees neighbours from before
// and after, but none of what an earlier, longer list has left behind the end, slots that
// have been taken out since.
func setList(list, neighbours []uint32) {
	if len(neighbours) < len(list) {
		atomic.StoreUint32(&list[len(neighbours)], 0)
	}
	for i, slot := range slices.Backward(neighbours) {
		atomic.StoreUint32(&list[i], slot+1)
	}
}

const noLimit = ^uint32(0)

// readList appends the neighbours in a list to dst, those below limit.
func readList(dst, list []uint32, limit uint32) []uint32 {
	for i := range list {
		slot := atomic.LoadUint32(&list[i])
		if slot == 0 {
			break
		}
		if slot--; slot < limit {
			dst = append(dst, slot)
		}
	}
	return dst
}

// start returns the entry node and its level; false for an empty graph.
func (g *Graph) start() (slot uint32, level int, ok bool) {
	e := g.entry.Load()
	return uint32(e) - 1, int(e >> 32), e != 0
}

// levelOf draws the level of a slot's node: at least l with probability M^-l
// (section 4.1 of the paper), from a hash of the slot, so that the same inserts
// give the same graph.
func (g *Graph) levelOf(slot uint32) int {
	h := (uint64(slot) + 1) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	level := 0
	for level < maxLevel {
		high, low := bits.Mul64(h, uint64(g.cfg.M))
		if high != 0 {
			break
		}
		h = low
		level++
	}
	return level
}

// maxLevel is beyond what 2^32 nodes reach with M at least 4.
const maxLevel = 15
