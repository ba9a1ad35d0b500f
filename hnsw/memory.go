package hnsw

// Memory is what a graph takes, in bytes, by kind of content. Chunks are
// reserved beyond it, but what is not written to takes no memory.
type Memory struct {
	Vectors int64 // 4 bytes a dimension; 0 where they are read from elsewhere
	Codes   int64
	Links   int64
}

// Total is all of it.
func (m Memory) Total() int64 { return m.Vectors + m.Codes + m.Links }

// Add adds what another graph takes.
func (m *Memory) Add(other Memory) {
	m.Vectors += other.Vectors
	m.Codes += other.Codes
	m.Links += other.Links
}

// Memory returns what the graph takes. Codes whose place others have taken are
// not counted: they go with their last reader.
func (g *Graph) Memory() Memory {
	m := Memory{Links: g.base.bytes() + g.nodes.bytes() + g.upper.bytes()}
	if g.vectors != nil {
		m.Vectors = g.vectors.bytes()
	}
	if c := g.codes.Load(); c != nil {
		for _, rows := range c.arenas() {
			m.Codes += rows.bytes()
		}
	}
	return m
}
