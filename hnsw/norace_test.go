//go:build !race

package hnsw

func under(n int) int      { return n }
func alone(n int) int      { return n }
func sequential(n int) int { return n }

const raced = false
