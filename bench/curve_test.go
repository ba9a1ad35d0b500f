package main

import (
	"math"
	"testing"
)

func TestAt(t *testing.T) {
	curve := []reached{{10, 0.90, 1000}, {20, 0.96, 100}, {30, 0.96, 90}, {40, 0.98, 50}}
	for _, c := range []struct {
		recall, want float64
		ok           bool
	}{
		{0.90, 1000, true},
		{0.93, math.Sqrt(1000 * 100), true}, // half-way: the geometric mean
		{0.96, 100, true},                   // the faster of two
		{0.98, 50, true},
		{0.89, 0, false},
		{0.99, 0, false},
	} {
		got, ok := at(curve, c.recall)
		if ok != c.ok || math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("%.2f: %v %v, want %v %v", c.recall, got, ok, c.want, c.ok)
		}
	}
	if _, ok := at(nil, 0.9); ok {
		t.Error("nothing was measured, and there is a rate")
	}
	// A curve may dip: what counts is the first place that reaches a recall.
	dip := []reached{{10, 0.90, 100}, {20, 0.95, 80}, {30, 0.94, 60}, {40, 0.99, 40}}
	if got, ok := at(dip, 0.95); !ok || math.Abs(got-80) > 1e-9 {
		t.Errorf("with a dip: %v %v, want 80", got, ok)
	}
}

func TestRateAt(t *testing.T) {
	peer := &measured{curve: []reached{{10, 0.8, 1000}, {20, 0.99, 500}}}
	m := &measured{curve: []reached{{10, 0.95, 4000}, {20, 0.97, 3000}}}
	for recall, want := range map[float64]string{0.90: "ef 10 has 0.950", 0.98: "not reached", 0.97: "3,000 (5.58 ×)"} {
		if got := rateAt(m, peer, recall); got != want {
			t.Errorf("%.2f: %q, want %q", recall, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if values[0] != 5 {
		t.Error("the values were sorted in place")
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}
