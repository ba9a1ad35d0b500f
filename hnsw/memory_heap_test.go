//go:build !linux || race

package hnsw

import "testing"

const countedVectors = 150 // there is nothing to learn from more

// resident is what the rows in use take: a Go heap does not tell more.
func resident(_ *testing.T, a *arena) int { return int(a.bytes()) }

func fixedBytes(*arena) float64 { return 0 }
