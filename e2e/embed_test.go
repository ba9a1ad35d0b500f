//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startModel runs the embedding endpoint and returns its address.
func startModel(t *testing.T) string {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	address := "http://127.0.0.1:" + port
	runBeside(t, "the model", python("embed", "embed/server.py", "--port", port))
	eventually(t, 60*time.Second, func() error {
		res, err := http.Get(address + "/v1/models")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	return address
}

// TestTextsByARealModel sends texts over Kafka and over REST and finds each by another
// text that means the same.
func TestTextsByARealModel(t *testing.T) {
	brokers, model := startKafka(t), startModel(t)
	createTopic(t, brokers, "texts", 2)
	f := startFreshet(t, fmt.Sprintf(`
embedding:
  models:
    - {name: minilm, url: %s/v1/embeddings, dimension: 384, encoding: base64}
kafka: {bootstrap.servers: %q}
sources:
  - name: texts
    collection: docs
    topics: [texts]
    embed: {"": {model: minilm, text: value.text}}
    on_create: {auto: true, distance: Cosine}
`, model, brokers))

	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic("texts"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for id, text := range map[string]string{
		"food":  "A man is eating a piece of bread.",
		"music": "Somebody plays the violin on a stage.",
		"cat":   "The kitten sleeps on the sofa.",
	} {
		value, err := json.Marshal(map[string]string{"id": id, "text": text})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(context.Background(), &kgo.Record{Key: []byte(id), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, timeoutOfTests, func() error {
		var answer struct{ Count int }
		if err := f.call("POST", "/collections/docs/points/count", nil, struct{}{}, &answer); err != nil {
			return err
		}
		if answer.Count != 3 {
			return fmt.Errorf("%d points, want 3", answer.Count)
		}
		return nil
	})
	document := func(text string) map[string]string { return map[string]string{"text": text, "model": "minilm"} }
	points := []map[string]any{
		{"id": "weather", "vector": document("It rains heavily in the mountains.")},
		{"id": "money", "vector": document("The bank raised its interest rates.")},
	}
	if err := f.call("PUT", "/collections/docs/points?wait=true", nil, map[string]any{"points": points}, nil); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"someone has a meal":          "food",
		"a concert":                   "music",
		"a pet takes a nap":           "cat",
		"a storm is coming":           "weather",
		"loans become more expensive": "money",
	} {
		var answer struct{ Points []struct{ ID string } }
		if err := f.call("POST", "/collections/docs/points/query", nil, map[string]any{"query": document(text), "limit": 1}, &answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Points) != 1 || answer.Points[0].ID != want {
			t.Errorf("%q: found %+v, want %s", text, answer.Points, want)
		}
	}
}
