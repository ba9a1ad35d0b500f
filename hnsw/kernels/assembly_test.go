package kernels

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A kernel for AVX2 has no registers but the sixteen there are: the assembler takes others
// without a word, and the instruction is one of AVX-512, of which a CPU with both says nothing.
func TestRegistersOfAVX2(t *testing.T) {
	text, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	beyond := regexp.MustCompile(`\b(?:[XY](?:1[6-9]|2\d|3[01])|Z\d+|K[0-7])\b`)
	kernels := 0
	for part := range strings.SplitSeq(string(text), "\nTEXT ·") {
		name, body, _ := strings.Cut(part, "(SB)")
		if !strings.HasSuffix(name, "AVX2") {
			continue
		}
		kernels++
		if found := beyond.FindString(body); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
	if kernels == 0 {
		t.Error("there are no kernels for AVX2")
	}
}
