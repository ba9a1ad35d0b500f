package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// Examine asks the brokers for the topics of the sources, and for a record of each, as the
// sources would. Nothing is consumed and nothing is changed. An error says that it did not
// come to its end; what is wrong is reported.
func Examine(ctx context.Context, cfg Config, report server.Report) error {
	if len(cfg.Sources) == 0 {
		report.Fine("sources", "none is configured, so that no brokers are asked")
		return nil
	}
	for i := range cfg.Sources {
		sc := cfg.Sources[i]
		s := &source{
			cfg: sc, topics: sc.subscription(func(string, string, ...any) {}), kafka: cfg.Kafka,
			log: slog.New(slog.DiscardHandler), refresh: time.Second,
		}
		err := s.look(ctx, func(l *look) error { return examineTopics(ctx, l, report) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report.Wrong(sourceText(&sc), adviceOn(err, &cfg, i), "%v", cause(err))
		}
	}
	return nil
}

func sourceText(s *Source) string { return fmt.Sprintf("source %s of %s", s.Name, s.Collection) }

// cause returns what happened, which clients of the API are not told.
func cause(err error) error {
	var known *server.Error
	if errors.As(err, &known) && known.Err != nil {
		return fmt.Errorf("%s: %w", known.Text, known.Err)
	}
	return err
}

func adviceOn(err error, cfg *Config, i int) string {
	switch {
	case errors.Is(err, errNoTopic):
		return fmt.Sprintf("make the topic, or correct sources[%d].topics", i)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "give the user of kafka.* the rights Describe and Read on the topics"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "correct kafka.sasl.*"
	default:
		return fmt.Sprintf("see that the brokers run and can be reached at kafka.bootstrap.servers (%s) from here, and that kafka.security.protocol (%s) is theirs", cfg.Kafka.BootstrapServers, cfg.Kafka.SecurityProtocol)
	}
}

// examineTopics says what there is of the topics, and reads a record of each that has any.
func examineTopics(ctx context.Context, l *look, report server.Report) error {
	what := sourceText(&l.source.cfg)
	topics, records := map[string]bool{}, int64(0)
	from := map[partition]int64{}
	unread := map[string]bool{}
	for p, b := range l.logs {
		topics[p.topic] = true
		records += b.end - b.start
		if b.start < b.end && !unread[p.topic] {
			unread[p.topic] = true
			from[p] = b.start
		}
	}
	for _, name := range l.source.topics.names {
		if !topics[name] {
			report.Wrong(what, "make the topic, or leave it out", "there is no topic %q", name)
		}
	}
	err := l.read(ctx, from, func(r *kgo.Record) (bool, error) {
		delete(unread, r.Topic)
		return len(unread) > 0, nil
	})
	if err != nil {
		return err
	}
	report.Fine(what, "%d topics with %d partitions and %d records can be read", len(topics), len(l.logs), records)
	return nil
}
