package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"freshet/server"
	"freshet/server/point"
)

// TestPointWithSource checks what is told of the record that made a point.
func TestPointWithSource(t *testing.T) {
	s := start(t)
	c := s.collection()
	write := func(id uint64, v server.Version, expires int64) {
		v.Stream = server.Stream{Source: "docs", Topic: "t\n", Partition: 2}
		_, err := c.Apply(context.Background(), server.Batch{Ops: []server.Op{{Kind: server.Upsert, Version: v, Points: []server.Point{
			{ID: point.Number(id), Vectors: server.Vectors{"": server.Dense{1}}, Expires: expires},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	write(1, server.Version{Offset: 7, Time: 1700000000000}, 0)
	write(2, server.Version{Offset: 8, Time: 8, Timestamp: 1700000000001}, 9000000000000)
	s.do("PUT", "/collections/c/points?wait=true", `{"points":[{"id":3,"vector":[1]}]}`)
	for path, want := range map[string]string{
		"1":                   `{"id":1,"payload":{},"vector":[1]}`,
		"1?with_source=false": `{"id":1,"payload":{},"vector":[1]}`,
		"1?with_source=true":  `{"id":1,"payload":{},"vector":[1],"source":{"name":"docs","topic":"t\n","partition":2,"offset":7,"timestamp":1700000000000,"version":1700000000000}}`,
		"2?with_source=true":  `{"id":2,"payload":{},"vector":[1],"source":{"name":"docs","topic":"t\n","partition":2,"offset":8,"timestamp":1700000000001,"version":8},"expires_at":9000000000000}`,
		"3?with_source=true":  `{"id":3,"payload":{},"vector":[1],"source":null}`,
	} {
		s.expect("GET", "/collections/c/points/"+path, ``, want)
	}
	if w := s.do("GET", "/collections/c/points/4?with_source=true", ``); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "does not exists!") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.do("GET", "/collections/c/points/1?with_source=1", ``); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
