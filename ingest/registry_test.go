package ingest_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"freshet/ingest"
	"freshet/ingest/decode"
)

// Sources read records by the registry of the configuration, and so does a dry run.
func TestSourceWithARegistry(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	r := newRig(t, 1, ingest.Source{Format: decode.JSONSchema})
	r.create(2)
	r.cfg.SchemaRegistry = decode.RegistrySettings{URL: fake.URL()}
	r.run()
	fake.SeedSchema("t-value", 1, 7, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	r.produce(&kgo.Record{Value: []byte("\x00\x00\x00\x00\x07" + `{"id":1,"embedding":[1,2]}`)})
	r.eventually(func() string {
		if n := len(r.points()); n != 1 {
			return fmt.Sprintf("%d points", n)
		}
		return ""
	})
	v, err := r.manager.Validate(t.Context(), "c", []byte(`{"topics":["t"],"format":"json_schema"}`), 10)
	if err != nil || !v.Valid || len(v.Points) != 1 || v.Formats["json_schema"] != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}
