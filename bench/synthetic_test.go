package main

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The same vectors come out on any number of cores, and queries are others.
func TestGenerate(t *testing.T) {
	for _, shape := range []string{clusteredShape, gaussianShape} {
		base, queries := generate(shape, 10, 3000)
		before := runtime.GOMAXPROCS(1)
		again, _ := generate(shape, 10, 3000)
		runtime.GOMAXPROCS(before)
		if !slices.Equal(base.data, again.data) {
			t.Errorf("%s: other vectors on one core", shape)
		}
		if base.rows != 3000 || queries.rows != queryCount || slices.Equal(base.row(0), queries.row(0)) || slices.Equal(base.row(0), base.row(blockRows)) {
			t.Errorf("%s: %d vectors, %d queries; the first of each are %v and %v", shape, base.rows, queries.rows, base.row(0), queries.row(0))
		}
	}
}

func TestCheckSource(t *testing.T) {
	for _, c := range []struct {
		source
		err string
	}{
		{source{}, ""},
		{source{base: "a", queries: "b"}, ""},
		{source{base: "a"}, "go together"},
		{source{base: "a", queries: "b", shape: gaussianShape}, "exclude"},
		{source{shape: gaussianShape, dim: 4, size: 1000}, ""},
		{source{shape: "round", dim: 4, size: 1000}, `"round"`},
		{source{shape: gaussianShape, dim: 0, size: 1000}, "--dim 0"},
		{source{shape: gaussianShape, dim: 4, size: 10}, "--size 10"},
	} {
		err := c.check()
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: %v, want %q", c.source, err, c.err)
		}
	}
}
