package server

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// rounds returns how many rounds a random test has, FRESHET_ROUNDS or the given number.
func rounds(t *testing.T, usual int) int {
	n, err := strconv.Atoi(os.Getenv("FRESHET_ROUNDS"))
	if os.Getenv("FRESHET_ROUNDS") == "" {
		return usual
	}
	if err != nil || n < 1 {
		t.Fatalf("FRESHET_ROUNDS: %v", err)
	}
	return n
}

// firstSeed returns FRESHET_SEED, else a random one. Round n has the seed n behind it.
func firstSeed(t *testing.T) uint64 {
	text := os.Getenv("FRESHET_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("FRESHET_SEED: %v", err)
	}
	return seed
}
