package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// What an index says it takes is what it takes.
func TestBytes(t *testing.T) {
	const n = 100_000
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		schema string
		value  func(i int) any
	}{
		{`"keyword"`, func(i int) any { return fmt.Sprintf("city %d", r.IntN(100)) }},
		{`"keyword"`, func(i int) any { return fmt.Sprintf("a key of its own %d", i) }},
		{`"keyword"`, func(i int) any { return fmt.Sprintf("shared by ten %d", r.IntN(n/10)) }},
		{`"integer"`, func(i int) any { return int64(r.IntN(100)) }},
		{`"integer"`, func(i int) any { return r.Int64() }},
		{`{"type":"integer","lookup":false}`, func(i int) any { return int64(i) }},
		{`"float"`, func(i int) any { return r.Float64() }},
		{`"bool"`, func(i int) any { return i%2 == 0 }},
		{`"datetime"`, func(i int) any {
			return fmt.Sprintf("2024-01-01T00:%02d:%02d.%06dZ", r.IntN(60), r.IntN(60), r.IntN(1000000))
		}},
		{`"uuid"`, func(i int) any { return fmt.Sprintf("550e8400-e29b-41d4-a716-%012x", i) }},
		{`"geo"`, func(i int) any { return map[string]any{"lon": r.Float64()*360 - 180, "lat": r.Float64()*180 - 90} }},
		{`"text"`, func(i int) any {
			return fmt.Sprintf("ten words %d %d %d %d %d %d %d %d", r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(1000))
		}},
	} {
		before := heap()
		ix := newIndex(t, "x", c.schema)
		for slot := range n {
			ix.Add(uint32(slot), ix.Read(map[string]any{"x": c.value(slot)}))
		}
		took, says := heap()-before, ix.Bytes()
		t.Logf("%s of %v: %.1f bytes a point, says %.1f", c.schema, c.value(1), float64(took)/n, float64(says)/n)
		if float64(says) < 0.7*float64(took) || float64(says) > 1.4*float64(took) {
			t.Errorf("%s of %v: takes %d bytes, says %d", c.schema, c.value(1), took, says)
		}
		runtime.KeepAlive(ix)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
