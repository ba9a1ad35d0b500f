package kernels

import "sync/atomic"

const (
	// gatheredLines bounds the lines of a row that are requested ahead: more would
	// push out of the cache what the first rows need.
	gatheredLines = 12
	// requestedLines is how many lines RequestRows asks for, so that the second cache keeps
	// them: a quarter of 1 MiB.
	requestedLines = 4096
)

// Gather reads a list of slots, each plus one, up to its end or a zero. It skips
// those from limit on and those whose bit in visited is set, sets the bit of the
// others, stores them in out and returns how many they are. Where it can, it
// requests their rows from memory, and their terms if there are any. The list may be
// written meanwhile, word by word; out is at least as long as the list, and visited has
// limit bits.
func Gather(l Level, list []uint32, visited []uint64, limit uint32, rows, terms *Rows, out []uint32) int {
	if len(list) == 0 || len(rows.Table) == 0 {
		return 0
	}
	_ = out[len(list)-1]
	return gather(l, list, visited, limit, rows, terms, out)
}

// Request requests the rows of the slots, and their terms, from memory.
func Request(l Level, rows, terms *Rows, slots []uint32) {
	if l > Plain && len(slots) > 0 {
		request(rows, terms, slots, gatheredLines)
	}
}

// RequestRows requests the rows of the slots from memory, the beginnings of long ones.
func RequestRows(l Level, rows *Rows, slots []uint32) {
	if l > Plain && len(slots) > 0 {
		request(rows, nil, slots, max(requestedLines/len(slots), 1))
	}
}

func plainGather(list []uint32, visited []uint64, limit uint32, out []uint32) int {
	n := 0
	for i := range list {
		slot := atomic.LoadUint32(&list[i])
		if slot == 0 {
			break
		}
		slot--
		if slot >= limit {
			continue
		}
		word, bit := slot>>6, uint64(1)<<(slot&63)
		if visited[word]&bit != 0 {
			continue
		}
		visited[word] |= bit
		out[n] = slot
		n++
	}
	return n
}
