package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
)

// Options say what is measured.
type Options struct {
	Kafka      ingest.Kafka
	Topic      string // what the names of the topics begin with; each rate has its own
	Partitions int
	Replicas   int // of the topics; -1 for the brokers' default
	Keep       bool
	Vectors    Vectors
	Distance   server.Distance
	Rates      []int         // records per second
	Duration   time.Duration // at each rate
	Backlog    int           // records that are there before they are consumed; 0 for none
	// Read is the source of a topic that is there, which is read and nothing else, in place
	// of topics of the run's own; at most Records of it, 0 for all. Registry has its schemas,
	// Models make vectors of its texts.
	Read     *ingest.Source
	Records  int
	Registry decode.RegistrySettings
	Models   *embed.Models
	Highest  bool   // seek the highest rate that is kept up with, beyond Rates, too
	Dir      string // where databases are made, and removed
	// Progress is told how far something is; one call comes after the other.
	Progress func(doing string, done, of int64)
	// Settling bounds the wait for records that were produced to be found.
	Settling time.Duration
}

// The bounds of the options.
const (
	maxRate       = 100_000
	maxPartitions = 1_000
	maxReplicas   = 100
	maxRecords    = 10_000_000 // at one rate, and of the backlog
)

// validate names the flag that is wrong.
func (o *Options) validate() error {
	if o.Kafka.BootstrapServers == "" {
		return fmt.Errorf("--brokers or --config has to name the brokers")
	}
	if o.Topic == "" || len(o.Topic) > 200 || strings.ContainsFunc(o.Topic, notInTopic) {
		return fmt.Errorf("--topic %q is not 1 to 200 of the characters a-z A-Z 0-9 . _ -", o.Topic)
	}
	if o.Duration < time.Second || o.Duration > time.Hour {
		return fmt.Errorf("--duration %v is not between 1s and 1h", o.Duration)
	}
	if o.Read != nil {
		return o.validateRead()
	}
	if o.Partitions < 1 || o.Partitions > maxPartitions {
		return fmt.Errorf("--partitions %d is not from 1 to %d", o.Partitions, maxPartitions)
	}
	if o.Replicas != -1 && (o.Replicas < 1 || o.Replicas > maxReplicas) {
		return fmt.Errorf("--replicas %d is neither -1 nor from 1 to %d", o.Replicas, maxReplicas)
	}
	if len(o.Rates) == 0 && o.Backlog == 0 {
		return fmt.Errorf("--rates and --backlog leave nothing to measure")
	}
	for i, rate := range o.Rates {
		if rate < 1 || rate > maxRate {
			return fmt.Errorf("--rates: %d is not from 1 to %d records per second", rate, maxRate)
		}
		if slices.Contains(o.Rates[:i], rate) {
			return fmt.Errorf("--rates: %d is there twice", rate)
		}
		if records := float64(rate) * o.Duration.Seconds(); records > maxRecords {
			return fmt.Errorf("--rates and --duration: %.0f records at %d per second are more than %d", records, rate, maxRecords)
		}
	}
	if o.Backlog < 0 || o.Backlog > maxRecords {
		return fmt.Errorf("--backlog %d is not from 0 to %d", o.Backlog, maxRecords)
	}
	return nil
}

func notInTopic(r rune) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return !strings.ContainsRune(allowed, r)
}
