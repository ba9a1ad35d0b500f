package ingest_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
)

// TestExamineSources checks what is said of brokers and topics.
func TestExamineSources(t *testing.T) {
	r := newBare(t, 3)
	r.produce(value("1"), value("2"))
	for _, x := range []struct {
		name    string
		prepare func(cfg *ingest.Config)
		level   server.Finding
	}{
		{"all is there", func(*ingest.Config) {}, server.Finding{
			Level: server.Fine, What: "source src of c", Text: "1 topics with 3 partitions and 2 records can be read",
		}},
		{"one topic is missing", func(cfg *ingest.Config) { cfg.Sources[0].Topics = []string{"t", "u"} }, server.Finding{
			Level: server.Problem, What: "source src of c", Text: `there is no topic "u"`, Advice: "make the topic",
		}},
		{"all topics are missing", func(cfg *ingest.Config) { cfg.Sources[0].Topics = []string{"u"} }, server.Finding{
			Level: server.Problem, What: "source src of c", Text: "none of the topics exists", Advice: "make the topic, or correct sources[0].topics",
		}},
		{"no broker answers", func(cfg *ingest.Config) { cfg.Kafka.BootstrapServers = "127.0.0.1:1" }, server.Finding{
			Level: server.Problem, What: "source src of c", Text: "connection refused", Advice: "see that the brokers run and can be reached at kafka.bootstrap.servers (127.0.0.1:1)",
		}},
		{"no source", func(cfg *ingest.Config) { cfg.Sources = nil }, server.Finding{
			Level: server.Fine, What: "sources", Text: "none is configured",
		}},
		{"the topic may not be read", func(*ingest.Config) {
			r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				r.cluster.KeepControl()
				return refused(req.(*kmsg.FetchRequest)), nil, true
			})
		}, server.Finding{
			Level: server.Problem, What: "source src of c", Text: "TOPIC_AUTHORIZATION_FAILED", Advice: "give the user of kafka.* the rights",
		}},
	} {
		cfg := ingest.Config{
			Kafka:   ingest.Kafka{BootstrapServers: strings.Join(r.cluster.ListenAddrs(), ",")},
			Sources: []ingest.Source{{Name: "src", Collection: "c", Topics: []string{"t"}}},
		}
		x.prepare(&cfg)
		cfg.SetDefaults()
		var found []server.Finding
		if err := ingest.Examine(t.Context(), cfg, func(f server.Finding) { found = append(found, f) }); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		if len(found) == 0 || found[0].Level != x.level.Level || found[0].What != x.level.What ||
			!strings.Contains(found[0].Text, x.level.Text) || !strings.Contains(found[0].Advice, x.level.Advice) {
			t.Errorf("%s: %+v", x.name, found)
		}
	}
}

// refused answers that none of the topics may be read.
func refused(req *kmsg.FetchRequest) kmsg.Response {
	answer := req.ResponseKind().(*kmsg.FetchResponse)
	for _, asked := range req.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
		for _, p := range asked.Partitions {
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}
