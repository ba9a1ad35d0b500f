package ingest_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"freshet/ingest"
	"freshet/ingest/decode"
)

// badRecords has for each reason a record that a source turns away for it, into a
// collection with two dimensions, compared by Cosine.
var badRecords = map[decode.Reason]struct {
	source ingest.Source
	value  string
	good   string // in place of a good record in JSON
}{
	decode.Undecodable:       {value: `nonsense`},
	decode.NoID:              {value: `{"embedding":[1,2]}`},
	decode.BadID:             {value: `{"id":-1,"embedding":[1,2]}`},
	decode.NoKey:             {source: ingest.Source{KeyPolicy: "require"}, value: `{"id":1,"embedding":[1,2]}`},
	decode.NoVector:          {value: `{"id":1,"embedding":null}`},
	decode.BadVector:         {value: `{"id":1,"embedding":[1,null]}`},
	decode.WrongDimension:    {value: `{"id":1,"embedding":[1,2,3]}`},
	decode.ZeroVector:        {value: `{"id":1,"embedding":[0,0]}`},
	decode.BadVersion:        {source: ingest.Source{Version: "value.v"}, value: `{"id":1,"embedding":[1,2],"v":"x"}`},
	decode.BadTTL:            {source: ingest.Source{TTL: "value.ttl"}, value: `{"id":1,"embedding":[1,2],"ttl":"soon"}`},
	decode.BadOperation:      {source: ingest.Source{Operation: &decode.Operation{From: "value.op", Delete: []string{"d"}, Upsert: []string{""}}}, value: `{"id":1,"embedding":[1,2],"op":"x"}`},
	decode.UnknownCollection: {value: `{"collection_name":"other","id":1,"vector":[1,2],"payload":{}}`},
	decode.UnknownSchema:     {source: ingest.Source{Format: decode.JSONSchema}, value: "\x00\x00\x00\x00\x09{}", good: inJSONSchema},
	decode.BadSchema:         {source: ingest.Source{Format: decode.JSONSchema}, value: "\x00\x00\x00\x00\x08{}", good: inJSONSchema},
	decode.TooLarge:          {value: string(bytes.Repeat([]byte{' '}, decode.MaxRecord+1))},
	decode.NoText:            {source: ingest.Source{Embed: ofText("value.text")}, value: `{"id":1,"text":""}`},
	decode.EmbeddingRefused:  {source: ingest.Source{Embed: ofText("value.text")}, value: `{"id":1,"text":"poison"}`},
	decode.Rejected:          {value: `{"collection_name":"c","id":1,"vector":{"other":[1,2]},"payload":{}}`},
}

const inJSONSchema = "\x00\x00\x00\x00\x07" + `{"id":7,"embedding":[1,2]}`

// TestReasons has a source read a record of every kind that cannot become a point, between
// good ones: it is the one dead letter, for its reason.
func TestReasons(t *testing.T) {
	for reason, test := range badRecords {
		t.Run(string(reason), func(t *testing.T) {
			registry := srfake.New()
			t.Cleanup(registry.Close)
			registry.SeedSchema("t-value", 1, 7, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
			registry.SeedSchema("u-value", 1, 8, sr.Schema{Schema: `{"type":"no such type"}`})
			r := newRig(t, 2, test.source)
			r.cfg.SchemaRegistry = decode.RegistrySettings{URL: registry.URL()}
			r.embedding()
			r.create(2)
			r.run()
			good := func() *kgo.Record {
				rec := value(`{"id":7,"embedding":[1,2],"text":"good","v":1}`)
				if test.good != "" {
					rec = value(test.good)
				}
				rec.Topic, rec.Key = "t", []byte("7")
				return rec
			}
			bad := value(test.value)
			bad.Topic = "t"
			producer := r.client(kgo.ProducerBatchMaxBytes(decode.MaxRecord+1<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
			defer producer.Close()
			if err := producer.ProduceSync(t.Context(), good(), bad, good()).FirstErr(); err != nil {
				t.Fatal(err)
			}
			r.applied(0, 2)
			if points := r.points(); len(points) != 1 || points["7"] == "" {
				t.Errorf("the points are %v", points)
			}
			letters := r.letters()
			if len(letters) != 1 || letters[0].Reason != string(reason) || letters[0].Detail == "" || letters[0].Offset != 1 || !bytes.HasPrefix(bad.Value, letters[0].Value) {
				for i := range letters {
					letters[i].Value = letters[i].Value[:min(len(letters[i].Value), 100)]
				}
				t.Errorf("the dead letters are %+v", letters)
			}
			r.eventually(func() string { // metrics come after the commit
				if n := lettersCounted(t, r.metrics); fmt.Sprint(n) != fmt.Sprint(map[string]float64{string(reason): 1}) {
					return fmt.Sprintf("the metrics count %v", n)
				}
				return ""
			})
		})
	}
}

// lettersCounted returns the dead letters that the metrics count, by reason.
func lettersCounted(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "freshet_source_records_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["outcome"] == "dead_letter" {
				counted[labels["reason"]] += m.GetCounter().GetValue()
			}
		}
	}
	return counted
}

var (
	reasonRow  = regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\|")
	reasonName = regexp.MustCompile("`([a-z_]+)`")
	reasonCode = regexp.MustCompile(`Reason += "([a-z_]+)"`)
)

// TestReasonsAreDocumented compares the reasons that there are with those that are tested
// and those that are documented.
func TestReasonsAreDocumented(t *testing.T) {
	code, err := os.ReadFile("decode/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	var defined, documented []string
	tested := []string{string(decode.TooManyDeletes)} // by TestTooManyEarlyDeletes
	for _, m := range reasonCode.FindAllSubmatch(code, -1) {
		defined = append(defined, string(m[1]))
	}
	for reason := range badRecords {
		tested = append(tested, string(reason))
	}
	page, err := os.ReadFile("../docs/ingestion.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := bytes.Cut(page, []byte("| reason | |"))
	table, _, _ = bytes.Cut(table, []byte("\n\n"))
	if !found {
		t.Fatal("docs/ingestion.md has no table of reasons")
	}
	for _, row := range reasonRow.FindAllSubmatch(table, -1) {
		for _, name := range reasonName.FindAllSubmatch(row[1], -1) {
			documented = append(documented, string(name[1]))
		}
	}
	for _, list := range [][]string{defined, tested, documented} {
		slices.Sort(list)
	}
	if !slices.Equal(defined, tested) || !slices.Equal(defined, documented) {
		t.Errorf("defined    %v\ntested     %v\ndocumented %v", defined, tested, documented)
	}
}
