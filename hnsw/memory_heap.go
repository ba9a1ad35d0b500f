//go:build !linux || race

package hnsw

// allocate takes the memory from the Go heap: elsewhere than on Linux, and
// under the race detector, which sees only that.
func allocate(n int, _ bool) ([]byte, error) { return alignedBytes(n), nil }

func release([]byte) error { return nil }
