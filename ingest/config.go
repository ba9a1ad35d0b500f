package ingest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/sources"
)

// Config is what the configuration file says about Kafka.
type Config struct {
	Kafka   Kafka    `yaml:"kafka"`
	Sources []Source `yaml:"sources"`
	// SchemaRegistry is where records' schemas are to be had.
	SchemaRegistry decode.RegistrySettings `yaml:"schema_registry"`
}

// Source describes topics to consume and what their records mean.
type Source struct {
	Name       string   `yaml:"name"`
	Collection string   `yaml:"collection"` // default: the name
	Topics     []string `yaml:"topics"`
	// Route makes the name of a record's collection of ${topic} and ${field:<name>}; "":
	// all records are for Collection.
	Route string `yaml:"route,omitempty"`
	// TopicsRegex is matched with whole names of topics, in place of Topics; those that
	// come to be later are consumed, too.
	TopicsRegex string            `yaml:"topics.regex,omitempty"`
	Format      decode.Format     `yaml:"format"`  // default auto
	ID          string            `yaml:"id"`      // key, key.<field>, value.<field>, header.<name>; default by format
	Vectors     map[string]string `yaml:"vectors"` // vector name → value.<field>; default: value.embedding or value.vector
	Payload     decode.Payload    `yaml:"payload"`
	Schema      string            `yaml:"schema"`     // of plain Avro values; none: each record names its schema
	KeySchema   string            `yaml:"key_schema"` // of plain Avro keys
	Version     string            `yaml:"version"`    // timestamp (default), offset, value.<field>
	// Operation says where records tell what they do; default: by their format.
	Operation *decode.Operation `yaml:"operation,omitempty"`
	// TTL is how long points live, a duration, or value.<field> or header.<name>, where
	// the record says it; default for ever.
	TTL      string   `yaml:"ttl,omitempty"`
	OnCreate OnCreate `yaml:"on_create"`
	// Embed says which vectors, by name, are made of texts; without vectors beside them
	// the value has to have none.
	Embed  map[string]Embedding `yaml:"embed,omitempty"`
	Start  string               `yaml:"start"` // earliest (default), latest, timestamp:<ms>, offsets:{<partition>: <offset>, …}; where no position is stored
	Batch  Batch                `yaml:"batch"`
	Buffer Buffer               `yaml:"buffer"`
	OnGap  string               `yaml:"on_gap"` // fail (default), skip or replay

	// KeyPolicy is warn (default): records without a key in several partitions are
	// reported; or require: such a record is a dead letter.
	KeyPolicy string `yaml:"key_policy"`

	// ErrorsTolerance is all (default): a bad record becomes a dead letter; or
	// none: it stops its partition.
	ErrorsTolerance string `yaml:"errors.tolerance"`
	// DeadLetterTopic receives the dead letters; without it the collection keeps
	// the newest of them.
	DeadLetterTopic string `yaml:"errors.deadletterqueue.topic.name"`
}

// key is what the source is told from all others by.
func (s *Source) key() sources.Key { return sources.Key{Collection: s.Collection, Name: s.Name} }

// settings returns the part of the description that tells what records mean.
func (s *Source) settings() decode.Settings {
	return decode.Settings{Collection: s.Collection, Route: s.Route, Format: s.Format, ID: s.ID, Vectors: s.Vectors, Embedded: len(s.Embed) > 0, Payload: withTexts(s.Payload, s.textFields()), Schema: s.Schema, KeySchema: s.KeySchema, Version: s.Version, TTL: s.TTL, Operation: s.Operation}
}

// OnCreate allows a source to make its collection from the first record, which
// tells the vectors' dimensions.
type OnCreate struct {
	Auto        bool            `yaml:"auto"`
	Distance    server.Distance `yaml:"distance"` // default Cosine
	M           int             `yaml:"m"`
	EfConstruct int             `yaml:"ef_construct"`
	// MaxCollections bounds how many collections a source with a route may come to feed
	// by making them; default 100.
	MaxCollections int `yaml:"max_collections,omitempty"`
}

// Batch holds the law by which the size of batches adapts.
type Batch struct {
	TargetP99Ms int     `yaml:"target_p99_ms"` // above it the limit shrinks; default 100
	GrowBelowMs int     `yaml:"grow_below_ms"` // below it the limit grows; default 50
	Min         int     `yaml:"min"`           // records; default 1
	Max         int     `yaml:"max"`           // records; default 500
	Shrink      float64 `yaml:"shrink"`        // default 0.8
	Grow        float64 `yaml:"grow"`          // default 1.1
}

// Buffer bounds what is fetched and not applied.
type Buffer struct {
	PartitionBytes Bytes `yaml:"partition_bytes"` // of one partition in one fetch; default 1 MiB
	TotalBytes     Bytes `yaml:"total_bytes"`     // in all; default 64 MiB
}

// Bytes is a size that is written as a number or with a unit: 1048576, 512KiB, 1MiB.
type Bytes int64

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, factor := string(text), int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if cut, ok := strings.CutSuffix(s, unit); ok {
			s, factor = strings.TrimSpace(cut), 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("%q is not a size such as 1048576, 512KiB or 1MiB", text)
	}
	*b = Bytes(n * factor)
	return nil
}

// Limits of a configuration.
const (
	maxName        = 200
	minBufferBytes = 16 << 10
	maxBufferBytes = 1 << 30
	maxBatch       = 100_000
)

// SetDefaults completes what was left out.
func (c *Config) SetDefaults() {
	c.Kafka.setDefaults()
	for i := range c.Sources {
		s := &c.Sources[i]
		fallback(&s.Collection, s.Name)
		fallback(&s.Format, decode.Auto)
		fallback(&s.Version, "timestamp")
		fallback(&s.OnCreate.Distance, server.Cosine)
		if s.Route != "" {
			fallback(&s.OnCreate.MaxCollections, 100)
		}
		fallback(&s.Start, "earliest")
		fallback(&s.Batch.TargetP99Ms, 100)
		fallback(&s.Batch.GrowBelowMs, 50)
		fallback(&s.Batch.Min, 1)
		fallback(&s.Batch.Max, 500)
		fallback(&s.Batch.Shrink, 0.8)
		fallback(&s.Batch.Grow, 1.1)
		fallback(&s.Buffer.PartitionBytes, 1<<20)
		fallback(&s.Buffer.TotalBytes, 64<<20)
		fallback(&s.OnGap, gapFail)
		fallback(&s.KeyPolicy, keyWarn)
		fallback(&s.ErrorsTolerance, "all")
	}
}

func fallback[T comparable](dst *T, value T) {
	var zero T
	if *dst == zero {
		*dst = value
	}
}

// Validate reports every setting that cannot work, by its path. It expects
// SetDefaults to have been called.
func (c *Config) Validate() error {
	var errs []error
	report := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if len(c.Sources) > 0 && c.Kafka.BootstrapServers == "" {
		report("kafka.bootstrap.servers", "is needed for the sources, as host:port,…")
	}
	errs = append(errs, c.Kafka.problems()...)
	if err := c.SchemaRegistry.Validate(); err != nil {
		report("schema_registry", "%v", err)
	}
	names := map[sources.Key]bool{}
	for i := range c.Sources {
		s := &c.Sources[i]
		path := fmt.Sprintf("sources[%d]", i)
		key := s.key()
		if names[key] {
			report(path+".name", "%q is the name of another source of the collection too", s.Name)
		}
		names[key] = true
		if settings := s.settings(); settings.NeedsRegistry() && c.SchemaRegistry.URL == "" {
			report(path+".format", "%s needs schema_registry.url%s", s.Format, orSchema(s.Format))
		}
		s.validate(func(field, format string, args ...any) { report(path+"."+field, format, args...) })
	}
	return errors.Join(errs...)
}

// orSchema says what else would do.
func orSchema(f decode.Format) string {
	if f == decode.Avro {
		return ", or the schema of its records"
	}
	return ""
}

func (s *Source) validate(report func(field, format string, args ...any)) {
	oneOf := func(field, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			report(field, "%q is not one of %s", value, strings.Join(allowed, ", "))
		}
	}
	if s.Name == "" || len(s.Name) > maxName {
		report("name", "needs 1 to %d bytes", maxName)
	}
	if strings.Contains(s.Collection, "${") {
		report("collection", "%.200q: the collection where the source lives does not depend on the record; route says which one a record goes to", s.Collection)
	} else if err := server.CheckName(s.Collection); err != nil {
		report("collection", "%v", err)
	}
	switch limit := s.OnCreate.MaxCollections; {
	case s.Route == "" && limit != 0:
		report("on_create.max_collections", "is for a source with a route")
	case s.Route != "" && (limit < 1 || limit > maxCollections):
		report("on_create.max_collections", "%d is not between 1 and %d", limit, maxCollections)
	}
	s.subscription(report)
	if !slices.Contains(decode.Formats, s.Format) {
		report("format", "%q is not one of %s", s.Format, decode.FormatNames())
	}
	oneOf("on_gap", s.OnGap, gapFail, gapSkip, gapReplay)
	oneOf("key_policy", s.KeyPolicy, keyWarn, keyRequire)
	oneOf("errors.tolerance", s.ErrorsTolerance, "all", "none")
	_, known := s.OnCreate.Distance.Metric()
	if !known {
		report("on_create.distance", "%q is not one of Cosine, Dot, Euclid, Manhattan", s.OnCreate.Distance)
	}
	example := s.OnCreate.config(server.Vectors{"": server.Dense{1}})
	if err := example.Validate(); s.OnCreate.Auto && known && err != nil {
		report("on_create", "no collection can be made so: %v", err)
	}
	var wrong *decode.FieldError
	if _, err := decode.New(s.settings()); errors.As(err, &wrong) {
		report(wrong.Field, "%s", wrong.Text)
	}
	s.validateEmbed(report)
	switch begin, err := parseStart(s.Start); {
	case err != nil:
		report("start", "%v", err)
	case begin.offsets != nil && len(s.Topics) != 1:
		report("start", "offsets are those of one topic, which topics has to name alone")
	}
	b := &s.Batch
	switch {
	case b.Min < 1 || b.Max < b.Min || b.Max > maxBatch:
		report("batch", "min %d and max %d have to satisfy 1 ≤ min ≤ max ≤ %d", b.Min, b.Max, maxBatch)
	case b.Shrink <= 0 || b.Shrink >= 1:
		report("batch.shrink", "%g has to be between 0 and 1", b.Shrink)
	case b.Grow <= 1 || b.Grow > 10:
		report("batch.grow", "%g has to be above 1 and at most 10", b.Grow)
	case b.GrowBelowMs < 1 || b.TargetP99Ms < b.GrowBelowMs:
		report("batch", "grow_below_ms %d and target_p99_ms %d have to satisfy 1 ≤ grow_below_ms ≤ target_p99_ms", b.GrowBelowMs, b.TargetP99Ms)
	}
	if s.Buffer.PartitionBytes < minBufferBytes || s.Buffer.TotalBytes < s.Buffer.PartitionBytes || s.Buffer.TotalBytes > maxBufferBytes {
		report("buffer", "partition_bytes %d and total_bytes %d have to satisfy %d ≤ partition_bytes ≤ total_bytes ≤ %d",
			s.Buffer.PartitionBytes, s.Buffer.TotalBytes, minBufferBytes, maxBufferBytes)
	}
}

func (b *Batch) target() time.Duration    { return time.Duration(b.TargetP99Ms) * time.Millisecond }
func (b *Batch) growBelow() time.Duration { return time.Duration(b.GrowBelowMs) * time.Millisecond }
