package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// reachable bounds how long brokers may take to answer the first time.
const reachable = 10 * time.Second

// bench is a run.
type bench struct {
	*Options
	client *kgo.Client
	admin  *kadm.Client
	values [][]byte
	began  time.Time
	report *Report
}

// Run measures. It makes topics of its own, and removes them in the end unless they are
// to be kept; if one of them is there before, or the brokers cannot be reached, nothing
// is touched. With an error the report has what was measured until then, and says so.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return &Report{}, wrongInput{err}
	}
	b := &bench{Options: &o, began: time.Now(), report: newReport(&o)}
	err := b.run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	b.report.Highest = highest(b.report.Steps)
	if err != nil {
		b.report.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return b.report, err
}

// wrongInput is an error that trying again does not help against.
type wrongInput struct{ error }

// ExitCode is that of a command line that is wrong.
func (wrongInput) ExitCode() int { return 2 }

// Unwrap returns what is wrong.
func (e wrongInput) Unwrap() error { return e.error }

func (b *bench) run(ctx context.Context) (err error) {
	if b.values, err = b.Vectors.values(); err != nil {
		return err
	}
	b.client, err = kgo.NewClient(append(b.Kafka.ClientOptions(), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err != nil {
		return err
	}
	defer b.client.Close()
	b.admin = kadm.NewClient(b.client)
	if err := b.free(ctx); err != nil {
		return err
	}
	if b.Read != nil {
		return b.read(ctx)
	}
	for i, rate := range b.Rates {
		if err := b.at(ctx, rate, i == len(b.Rates)-1); err != nil {
			return err
		}
	}
	for range maxSought {
		rate := b.next(b.report.Steps)
		if !b.Highest || rate == 0 {
			break
		}
		if err := b.at(ctx, rate, false); err != nil {
			return err
		}
	}
	if b.Backlog > 0 {
		if err := b.inTopic(ctx, "-backlog", func(n *node) error { return b.backlog(ctx, n) }); err != nil {
			return fmt.Errorf("backlog: %w", err)
		}
	}
	return nil
}

// at does a step in a topic of its own; last says that it is the last of those asked for.
func (b *bench) at(ctx context.Context, rate int, last bool) error {
	err := b.inTopic(ctx, "-"+strconv.Itoa(rate), func(n *node) error { return b.step(ctx, n, rate, last) })
	if err != nil {
		return fmt.Errorf("at %d records/s: %w", rate, err)
	}
	return nil
}

// topics are those that the run makes whatever it finds, or the one that it reads.
func (b *bench) topics() []string {
	if b.Read != nil {
		return []string{b.Topic}
	}
	var names []string
	for _, rate := range b.Rates {
		names = append(names, b.Topic+"-"+strconv.Itoa(rate))
	}
	if b.Backlog > 0 {
		names = append(names, b.Topic+"-backlog")
	}
	return names
}

// free makes sure that the brokers answer and none of the topics is there, or the one to
// be read is.
func (b *bench) free(ctx context.Context) error {
	b.Progress("asking the brokers", 0, 1)
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	there, err := b.admin.ListTopics(ctx, b.topics()...)
	if err != nil {
		return fmt.Errorf("the brokers %s cannot be reached: %w", b.Kafka.BootstrapServers, err)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if err := there[name].Err; err == nil && b.Read == nil {
			return wrongInput{fmt.Errorf("topic %s exists; --topic takes a name of which there is none, or, with --source or --source-format, one to be read. Nothing was changed", name)}
		} else if errors.Is(err, kerr.UnknownTopicOrPartition) && b.Read != nil {
			return wrongInput{fmt.Errorf("topic %s, which is to be read, does not exist", name)}
		} else if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("topic %s: %w", name, err)
		}
	}
	return nil
}
