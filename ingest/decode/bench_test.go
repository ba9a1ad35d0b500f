package decode

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"freshet/server"
)

// BenchmarkJSON reads records of 384 floats and a few members besides.
func BenchmarkJSON(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, 384)
	for i := range v {
		v[i] = float32(random.NormFloat64()) / 20
	}
	value, err := json.Marshal(map[string]any{"id": "doc-123456", "embedding": v, "title": "how do I reset my password?", "n": 3, "lang": "en"})
	if err != nil {
		b.Fatal(err)
	}
	for _, format := range []Format{JSON, Auto} {
		b.Run(string(format), func(b *testing.B) {
			m := mappingOf(b, Settings{Format: format})
			r := record(none, string(value))
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Decode(context.Background(), server.Stream{}, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
