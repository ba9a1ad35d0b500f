package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/sources"
)

func TestValidate(t *testing.T) {
	r := newBare(t, 3)
	r.create(1)
	r.run()
	client := r.client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	defer client.Close()
	for i := range 30 {
		rec := &kgo.Record{Topic: "t", Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1],"n":%d}`, i, i)}
		if i == 7 {
			rec.Value = []byte("nonsense")
		}
		if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	validate := func(description string, limit int) sources.Validation {
		t.Helper()
		v, err := r.manager.Validate(t.Context(), "c", []byte(description), limit)
		if err != nil {
			t.Fatalf("%s: %v", description, err)
		}
		return v
	}
	v := validate(`{"topics":["t"],"payload":{"include":["n"]}}`, 1000)
	if v.Valid || v.Records != 30 || len(v.Points) != 29 || len(v.Errors) != 1 || v.Errors[0].Reason != "undecodable" ||
		v.Partitioner != "murmur2" || v.Keys["text"] != 30 || v.Formats["json"] != 30 || len(v.Logs) != 3 || len(v.Problems) != 0 {
		t.Errorf("%+v", v)
	}
	if p := v.Points[0]; p.Operation != "upsert" || len(p.IDs) != 1 || p.Vectors[""] != 1 || !strings.HasPrefix(string(p.Payload), `{"n":`) {
		t.Errorf("%+v", p)
	}
	if v := validate(`{"topics":["t"],"start":"latest"}`, 3); v.Records != 3 {
		t.Errorf("the newest: %+v", v)
	}
	// A mapping that names a missing field is found before anything is consumed.
	for field, settings := range map[string]string{
		"id":              `"id":"value.missing"`,
		"vectors":         `"vectors":{"":"value.missing"}`,
		"version":         `"version":"value.missing"`,
		"ttl":             `"ttl":"header.missing"`,
		"operation":       `"operation":{"from":"value.missing","delete":["d"],"upsert":["c"]}`,
		"payload.include": `"payload":{"include":["missing"]}`,
		"topics":          `"topics":["none"]`,
	} {
		topics := `"topics":["t"],`
		if field == "topics" {
			topics = ""
		}
		v := validate(`{`+topics+settings+`}`, 6)
		if v.Valid || len(v.Problems) != 1 || v.Problems[0].Field != field {
			t.Errorf("%s: %+v", settings, v)
		}
	}
	for path, description := range map[string]string{"formatt": `{"topics":["t"],"formatt":"json"}`, "limit": `{"topics":["t"]}`} {
		limit := map[string]int{"formatt": 1}[path]
		_, err := r.manager.Validate(t.Context(), "c", []byte(description), limit)
		var e *server.Error
		if !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := len(r.points()); n != 0 {
		t.Errorf("%d points were made", n)
	}
	if list, err := r.manager.List("c"); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
