package index

import (
	"cmp"
	"math"

	"freshet/server/filter"
)

// spot is a place on the globe. Spots are in the order of their cells: a cell
// is a longitude and a latitude in 32 bits each, interleaved, so that a cell of
// any size is a range.
type spot struct {
	cell     uint64
	lon, lat float64
}

func spotAt(lon, lat float64) spot {
	return spot{interleave(column(lon), row(lat)), lon, lat}
}

func compareSpots(a, b spot) int { return cmp.Compare(a.cell, b.cell) }

// column and row never fall as the degrees rise.
func column(lon float64) uint32 { return grid((lon + 180) / 360) }
func row(lat float64) uint32    { return grid((lat + 90) / 180) }

func grid(share float64) uint32 {
	if !(share > 0) {
		return 0
	}
	return uint32(min(share*(1<<32), math.MaxUint32))
}

// interleave puts the bits of x in the even places and those of y in the odd.
func interleave(x, y uint32) uint64 { return spread(x) | spread(y)<<1 }

func spread(x uint32) uint64 {
	v := uint64(x)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	v = (v | v<<1) & 0x5555555555555555
	return v
}

// window is a frame in columns and rows, its edges included.
type window struct{ west, south, east, north uint32 }

// cells is a range of cells, its ends included.
type cells struct{ first, last uint64 }

// maxCells bounds the ranges that stand for one frame: with more of them fewer
// places beside the frame are looked at.
const maxCells = 64

// cover returns ranges of cells that hold the window, in order: squares are
// taken apart, the largest first, until there are enough.
func (w window) cover() []cells {
	type square struct {
		x, y  uint32
		level uint // its sides are 1<<level
	}
	var whole []cells
	parts := []square{{0, 0, 32}}
	for len(parts) > 0 && parts[0].level > 0 && len(whole)+4*len(parts) <= maxCells {
		next := parts[:0:0]
		for _, q := range parts {
			level := q.level - 1
			side := uint32(1)<<level - 1
			for i := range uint32(4) {
				part := square{q.x + i&1<<level, q.y + i>>1<<level, level}
				east, north := part.x+side, part.y+side
				switch {
				case part.x > w.east || east < w.west || part.y > w.north || north < w.south:
				case part.x >= w.west && east <= w.east && part.y >= w.south && north <= w.north:
					whole = append(whole, cells{interleave(part.x, part.y), interleave(east, north)})
				default:
					next = append(next, part)
				}
			}
		}
		parts = next
	}
	for _, q := range parts {
		side := uint32(uint64(1)<<q.level - 1)
		whole = append(whole, cells{interleave(q.x, q.y), interleave(q.x+side, q.y+side)})
	}
	return whole
}

// While a test is answered nobody may change the index. So an area of more than manyEdges,
// for which payloads may as well be read, is not compared with spots where that were more
// than maxLooks at an edge, some 50 ms of work.
const (
	manyEdges = 1 << 10
	maxLooks  = 1 << 24
)

// spotsIn returns the slots with a spot in the area, all below universe. Where comparing
// them would take too long these are possible only.
func spotsIn(s *sorted[spot], a filter.Area, universe uint32) filter.Bounds {
	var spans []span
	n := 0
	for _, f := range a.Frames() {
		w := window{column(f.West), row(f.South), column(f.East), row(f.North)}
		if w.west > w.east || w.south > w.north {
			continue
		}
		for _, c := range w.cover() {
			r := s.between(func(p spot) bool { return p.cell < c.first }, func(p spot) bool { return p.cell > c.last })
			spans = append(spans, r)
			n += s.count(r)
		}
	}
	if edges := a.Edges(); edges > manyEdges && n*edges > maxLooks {
		return filter.Bounds{Sure: none, Possible: s.slots(universe, spans...)}
	}
	found := newCollector(n, universe)
	for _, r := range spans {
		s.each(r, func(spots []spot, slots []uint32) {
			for i, p := range spots {
				if a.Contains(p.lon, p.lat) {
					found.add(slots[i])
				}
			}
		})
	}
	return filter.Made(found.bitmap())
}
