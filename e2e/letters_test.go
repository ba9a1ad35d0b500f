//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKilledAmongDeadLetters kills the server while it makes its collection from a log
// that begins with bad records, and goes on having them: each good record takes effect
// once, each bad one is a dead letter once.
func TestKilledAmongDeadLetters(t *testing.T) {
	t.Parallel()
	const records, kills = 2400, 5
	brokers := startKafka(t)
	createTopic(t, brokers, "t", 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	good := 0
	for n := range records {
		value := fmt.Appendf(nil, `{"id":"k%d","embedding":[1,%d]}`, n, n)
		if n < records/10 || n%3 == 0 {
			value = fmt.Appendf(nil, `{"id":"k%d","embedding":null}`, n)
		} else {
			good++
		}
		client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", n, err)
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	f := startFreshet(t, fmt.Sprintf(`
kafka: {bootstrap.servers: %q}
sources: [{name: docs, topics: [t], batch: {max: 20}, on_create: {auto: true, distance: Dot}}]
`, brokers))
	for range kills {
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		f.kill()
		f.start()
		t.Logf("after a kill %d operations", operations(t, f)["docs"])
	}
	demand, _ := endOffsets(t, brokers, "t")
	var found struct{ Count int }
	eventually(t, timeoutOfTests, func() error { // there may be no collection yet
		return f.call("POST", "/collections/docs/points/count?timeout=30", http.Header{"X-Freshet-Min-Offsets": {demand}}, map[string]any{}, &found)
	})
	if found.Count != good {
		t.Errorf("%d points for %d good records", found.Count, good)
	}
	if n := operations(t, f)["docs"]; n != int64(good) {
		t.Errorf("%d operations for %d good records", n, good)
	}
	var page struct {
		Records []struct{ Offset int64 }
	}
	if err := f.call("GET", "/collections/docs/sources/docs/dlq?limit=1000", nil, nil, &page); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]int{}
	for _, l := range page.Records {
		seen[l.Offset]++
	}
	if len(page.Records) != records-good || len(seen) != records-good {
		t.Errorf("%d dead letters of %d records, %d records are bad", len(page.Records), len(seen), records-good)
	}
}
