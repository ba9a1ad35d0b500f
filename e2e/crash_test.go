//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKilledInMidBatch kills the server again and again while kafka-python
// fills two topics, one with keys and tombstones, one without keys, and while
// a client writes by REST. In the end exactly the right points are there, at
// their newest versions; every record took effect once; nothing acknowledged
// is missing.
func TestKilledInMidBatch(t *testing.T) {
	t.Parallel()
	const (
		records = 20_000
		rate    = 2_500
		kills   = 6
	)
	brokers := startKafka(t)
	topics := []struct{ name, mode, env string }{{"keyed", "keyed", "newest"}, {"unkeyed", "unkeyed", "article"}}
	for _, topic := range topics {
		createTopic(t, brokers, topic.name, 4)
	}
	f := startFreshet(t, fmt.Sprintf(`
kafka: {bootstrap.servers: %q}
sources:
  - {name: keyed, topics: [keyed], format: upsert-kafka, on_create: {auto: true}}
  - {name: unkeyed, topics: [unkeyed], on_create: {auto: true}}
`, brokers))
	if err := f.call("PUT", "/collections/rest", nil, map[string]any{"vectors": map[string]any{"size": 2, "distance": "Dot"}}, nil); err != nil {
		t.Fatal(err)
	}

	var producers sync.WaitGroup
	expected := make([]map[string]int, len(topics))
	for i, topic := range topics {
		producers.Go(func() {
			var out bytes.Buffer
			cmd := python(topic.env, "producer.py", brokers, topic.name, topic.mode, strconv.Itoa(records), strconv.Itoa(rate))
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := cmd.Run(); err != nil {
				t.Errorf("%s: %v", topic.name, err)
			} else if err := json.Unmarshal(out.Bytes(), &expected[i]); err != nil {
				t.Errorf("%s: %v", topic.name, err)
			}
		})
	}

	// The client tries each point once; what was not acknowledged may be there
	// or not.
	stopWriting := make(chan struct{})
	var writer sync.WaitGroup
	acknowledged := map[int]bool{}
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopWriting:
				return
			default:
			}
			body := map[string]any{"points": []any{map[string]any{"id": i, "vector": []int{1, i}}}}
			if f.call("PUT", "/collections/rest/points?wait=true", nil, body, nil) == nil {
				acknowledged[i] = true
			}
			time.Sleep(time.Millisecond)
		}
	})

	inTheMiddle := 0
	for i := range kills {
		time.Sleep(time.Duration(400+rand.IntN(600)) * time.Millisecond)
		if done := operations(t, f)["keyed"]; done > 0 && done < records {
			inTheMiddle++
		}
		f.kill()
		f.start()
		_, produced := endOffsets(t, brokers, "keyed")
		t.Logf("kill %d: %d records produced, %v applied", i+1, produced, operations(t, f))
	}
	if inTheMiddle == 0 {
		t.Error("no kill came in the middle of the log")
	}
	producers.Wait()
	close(stopWriting)
	writer.Wait()
	if t.Failed() {
		return
	}

	for i, topic := range topics {
		demand, produced := endOffsets(t, brokers, topic.name)
		if produced != records {
			t.Errorf("%s: %d records in the log, %d sent", topic.name, produced, records)
		}
		header := http.Header{"X-Freshet-Min-Offsets": {demand}}
		if diff := cmp.Diff(expected[i], pointNumbers(t, f, topic.name, header)); diff != "" {
			t.Errorf("%s (-expected +found)\n%s", topic.name, diff)
		}
		if n := operations(t, f)[topic.name]; n != produced {
			t.Errorf("%s: %d operations for %d records", topic.name, n, produced)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("nothing written by REST was acknowledged")
	}
	var ids []int
	for id := range acknowledged {
		ids = append(ids, id)
	}
	var found []struct{ ID int }
	if err := f.call("POST", "/collections/rest/points", nil, map[string]any{"ids": ids}, &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(ids) {
		t.Errorf("%d points were acknowledged, %d are there", len(ids), len(found))
	}
	before := operations(t, f)
	f.end()
	f.start()
	if diff := cmp.Diff(before, operations(t, f)); diff != "" {
		t.Errorf("an orderly restart changed something (-before +after)\n%s", diff)
	}
}

// pointNumbers returns the member n of all points by id.
func pointNumbers(t *testing.T, f *freshet, collection string, header http.Header) map[string]int {
	t.Helper()
	numbers := map[string]int{}
	var offset any
	for {
		var page struct {
			Points []struct {
				ID      string
				Payload struct{ N int }
			}
			Next any `json:"next_page_offset"`
		}
		body := map[string]any{"limit": 1000, "offset": offset}
		if err := f.call("POST", "/collections/"+collection+"/points/scroll?timeout=120", header, body, &page); err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Points {
			numbers[p.ID] = p.Payload.N
		}
		if page.Next == nil {
			return numbers
		}
		offset = page.Next
	}
}

var operationsLine = regexp.MustCompile(`(?m)^freshet_operations_total\{collection="([^"]+)"\} ([0-9.e+]+)$`)

// operations returns how many operations each collection has seen in its life.
func operations(t *testing.T, f *freshet) map[string]int64 {
	t.Helper()
	res, err := http.Get(f.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for _, line := range operationsLine.FindAllStringSubmatch(text.String(), -1) {
		n, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[line[1]] = int64(n)
	}
	return all
}
