//go:build !linux || race

package hnsw

// chunkBytes is the least size of a chunk.
const chunkBytes = 256 << 10

func allocate(n int) ([]byte, error) { return alignedBytes(n), nil }

func hugePages([]byte, bool) {}

// giveBack keeps what the heap cannot give back in parts.
func giveBack([]byte) error { return nil }

func release([]byte) error { return nil }
