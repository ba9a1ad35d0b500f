package hnsw

// The marks of what a search has visited are a bit set, whose words are cleared one by one as
// long as those visited are few for its size: to clear all of a graph of 10 million slots
// takes as long as a search (BenchmarkReset). noteShare is how many words are cleared at once in
// the time that one takes to be found.
const noteShare = 16

// reset forgets which nodes were visited.
func (s *searcher) reset() {
	switch words := (int(s.limit) + 63) / 64; {
	case len(s.visited) < words:
		s.visited = make([]uint64, words+words/4)
	case s.notes():
		for _, slot := range s.noted {
			s.visited[slot>>6] = 0
		}
	default:
		clear(s.visited)
	}
	s.noted = s.noted[:0]
}

// notes says whether visited slots are noted for reset: until they are too many.
func (s *searcher) notes() bool { return len(s.noted)*noteShare <= len(s.visited) }

// visit marks a slot as seen.
func (s *searcher) visit(slot uint32) {
	if slot < s.limit {
		s.visited[slot>>6] |= 1 << (slot & 63)
		s.note(slot)
	}
}

// note adds to what reset clears.
func (s *searcher) note(slots ...uint32) {
	if s.notes() {
		s.noted = append(s.noted, slots...)
	}
}

func (s *searcher) wasVisited(slot uint32) bool { return s.visited[slot>>6]&(1<<(slot&63)) != 0 }

func (s *searcher) forgetVisit(slot uint32) { s.visited[slot>>6] &^= 1 << (slot & 63) }

// visitPicked marks a node and those picked as its neighbours as seen.
func (s *searcher) visitPicked(n uint32) {
	s.visit(n)
	for _, slot := range s.picked {
		s.visit(slot)
	}
}

// forgetPicked is the reverse of visitPicked.
func (s *searcher) forgetPicked(n uint32) {
	s.forgetVisit(n)
	for _, slot := range s.picked {
		s.forgetVisit(slot)
	}
}
