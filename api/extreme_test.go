package api_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

// TestExtremeVectors checks that vectors without length, and those whose squares
// float32 does not hold, give finite scores and are found.
func TestExtremeVectors(t *testing.T) {
	for _, metric := range []string{"Cosine", "Dot", "Euclid", "Manhattan"} {
		s := start(t)
		s.result("PUT", "/collections/c", fmt.Sprintf(`{"vectors":{"size":4,"distance":%q}}`, metric))
		vectors := []string{"[0,0,0,0]", "[1e-30,0,0,0]", "[3e38,3e38,3e38,3e38]", "[1e-40,0,0,0]", "[-3e38,3e38,-3e38,3e38]", "[-0.0,0,0,1]"}
		for i, v := range vectors {
			s.result("PUT", "/collections/c/points", fmt.Sprintf(`{"points":[{"id":%d,"vector":%s}]}`, i, v))
		}
		for _, query := range append(vectors, "[1,2,3,4]", "0", "2") {
			for _, params := range []string{`{}`, `{"exact":true}`, `{"quantization":{"ignore":true}}`, `{"quantization":{"rescore":false}}`} {
				found := s.result("POST", "/collections/c/points/query", fmt.Sprintf(`{"query":%s,"params":%s,"with_vector":true}`, query, params))
				points := found.(map[string]any)["points"].([]any)
				want := len(vectors)
				if query == "0" || query == "2" {
					want-- // a point is not its own neighbour
				}
				if len(points) != want {
					t.Errorf("%s, query %s, %s: %d points of %d", metric, query, params, len(points), want)
				}
				for _, p := range points {
					if score := p.(map[string]any)["score"].(float64); math.IsInf(float64(float32(score)), 0) || metric == "Cosine" && math.Abs(score) > 1.0001 {
						t.Errorf("%s, query %s, %s: score %v", metric, query, params, score)
					}
				}
			}
		}
		if metric != "Cosine" {
			continue
		}
		got, err := json.Marshal(s.result("POST", "/collections/c/points", `{"ids":[0,1,2],"with_vector":true}`))
		want := `[{"id":0,"vector":[0,0,0,0]},{"id":1,"vector":[1,0,0,0]},{"id":2,"vector":[0.5,0.5,0.5,0.5]}]`
		if err != nil || string(got) != want {
			t.Errorf("stored are %s (%v), want %s", got, err, want)
		}
	}
}
