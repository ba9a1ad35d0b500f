//go:build race

package server

// under returns a size for tests: the race detector makes them ten times as slow, and
// finds no more in larger ones.
func under(n int) int { return max(n/3, 1) }

// alone is the same for tests in which nothing is concurrent but what others test, too.
func alone(n int) int { return max(n/8, 1) }
