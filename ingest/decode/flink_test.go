package decode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// sample is a record that Flink SQL wrote; see testdata/README.md.
type sample struct {
	Topic      string
	Offset     int64
	Key, Value *sampleBytes
	Headers    map[string]string
}

type sampleBytes struct {
	Text   string
	Base64 []byte
}

func (b *sampleBytes) bytes() []byte {
	switch {
	case b == nil:
		return nil
	case b.Base64 != nil:
		return b.Base64
	default:
		return []byte(b.Text)
	}
}

// samples returns the records of the topics whose names begin with prefix.
func samples(t testing.TB, prefix string) []*kgo.Record {
	t.Helper()
	raw, err := os.ReadFile("testdata/flink.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.Topic, prefix) {
			continue
		}
		r := &kgo.Record{Topic: s.Topic, Offset: s.Offset, Timestamp: time.UnixMilli(1700000000123), Key: s.Key.bytes(), Value: s.Value.bytes()}
		for name, value := range s.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		records = append(records, r)
	}
	return records
}

// story is what records come to, a line each.
func story(t testing.TB, m *Mapping, records []*kgo.Record) string {
	t.Helper()
	var out strings.Builder
	for _, r := range records {
		d, err := m.Decode(context.Background(), server.Stream{}, r)
		if err != nil {
			fmt.Fprintf(&out, "%v\n", err)
			continue
		}
		fmt.Fprintln(&out, summary(d.Op))
	}
	return out.String()
}

func TestFlinkSamples(t *testing.T) {
	const doc = `{"id":"doc-0","vectors":{"":[36,0.25,0.0000123,-1,10000000000]}}` + "\n"
	for topic, x := range map[string]struct {
		format Format
		want   string
	}{
		"f-key-raw":  {JSON, doc},
		"f-key-json": {JSON, doc},
		"f-upsert": {UpsertKafka, `{"id":"a","vectors":{"":[3,0.25]}}
{"id":"b","vectors":{"":[3,0.25]}}
{"id":"a","vectors":{"":[5,0.25]}}
{"delete":["b"]}
{"id":"c","vectors":{"":[5,0.25]}}
`},
		"f-upsert-raw": {UpsertKafka, `{"id":"a","vectors":{"":[3,0.25]}}
{"id":"b","vectors":{"":[3,0.25]}}
{"id":"a","vectors":{"":[5,0.25]}}
{"delete":["b"]}
{"id":"c","vectors":{"":[5,0.25]}}
`},
		"f-debezium": {Debezium, `{"id":"a","vectors":{"":[3,0.25]}}
{"id":"b","vectors":{"":[3,0.25]}}
{"delete":["a"]}
{"id":"a","vectors":{"":[5,0.25]}}
{"delete":["b"]}
{"id":"c","vectors":{"":[5,0.25]}}
`},
		"f-odd-ignorenull": {JSON, `no_vector: the value has no vector in ["embedding" "vector"]` + "\n"},
		"f-decimal":        {JSON, `{"id":42,"vectors":{"":[0.000123]}}` + "\n"},
		"f-meta2":          {JSON, `{"id":"doc-0","payload":{"payload":{"title":"how do I reset my password number 0?","n":3,"tags":["a","b"]},"attrs":{"lang":"en"},"d":[0.1,1.0E-7]},"vectors":{"":[36,0.25]}}` + "\n"},
		"f-tx":             {JSON, `{"id":"doc-0","payload":{"t":"2026-01-02 03:04:05.678","tz":"2023-11-14 22:13:20.123Z","b":"YWJj","dt":"2026-01-02"},"vectors":{"":[36,0.25]}}` + "\n"},
	} {
		for _, format := range []Format{x.format, Auto} {
			var records []*kgo.Record
			for _, r := range samples(t, topic) {
				if r.Topic == topic {
					records = append(records, r)
				}
			}
			if got := story(t, mappingOf(t, Settings{Format: format}), records); got != x.want {
				t.Errorf("%s as %s: got\n%swant\n%s", topic, format, got, x.want)
			}
		}
	}
}
