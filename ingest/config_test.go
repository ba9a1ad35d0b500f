package ingest

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Config)
		want   string // the error, "" for none
	}{
		{"defaults", func(*Config) {}, ""},
		{"no brokers", func(c *Config) { c.Kafka.BootstrapServers = "" }, "kafka.bootstrap.servers: is needed"},
		{"isolation", func(c *Config) { c.Kafka.IsolationLevel = "dirty" }, "kafka.isolation.level: \"dirty\" is not"},
		{"no name", func(c *Config) { c.Sources[0].Name = "" }, "sources[0].name: needs 1 to 200 bytes"},
		{"same name", func(c *Config) { c.Sources = append(c.Sources, c.Sources[0]) }, "sources[1].name: \"s\" is the name of another source of the collection too"},
		{"collection", func(c *Config) { c.Sources[0].Collection = "a/b" }, "sources[0].collection: "},
		{"no topics", func(c *Config) { c.Sources[0].Topics = nil }, "sources[0].topics: needs at least one topic"},
		{"empty topic", func(c *Config) { c.Sources[0].Topics = []string{"t", ""} }, "sources[0].topics[1]: \"\" is not the name of a topic"},
		{"topic with a blank", func(c *Config) { c.Sources[0].Topics = []string{"a b"} }, "sources[0].topics[0]: \"a b\" is not the name"},
		{"long topic", func(c *Config) { c.Sources[0].Topics = []string{strings.Repeat("a", 250)} }, "sources[0].topics[0]: \"aaa"},
		{"topic twice", func(c *Config) { c.Sources[0].Topics = []string{"a", "a"} }, "sources[0].topics[1]: \"a\" is there twice"},
		{"many topics", func(c *Config) { c.Sources[0].Topics = make([]string, 1001) }, "sources[0].topics: has 1001 topics, more than 1000"},
		{"topics and pattern", func(c *Config) { c.Sources[0].TopicsRegex = "a" }, "sources[0].topics.regex: cannot be given together with topics"},
		{"pattern", func(c *Config) { c.Sources[0].Topics, c.Sources[0].TopicsRegex = nil, "a(" }, "sources[0].topics.regex: \"a(\" is not a regular expression"},
		{"half a pattern", func(c *Config) { c.Sources[0].Topics, c.Sources[0].TopicsRegex = nil, "a)|(?:b" }, "sources[0].topics.regex: \"a)|(?:b\" is not"},
		{"long pattern", func(c *Config) { c.Sources[0].Topics, c.Sources[0].TopicsRegex = nil, strings.Repeat("a", 1001) }, "sources[0].topics.regex: has 1001 bytes, more than 1000"},
		{"a pattern that fits", func(c *Config) { c.Sources[0].Topics, c.Sources[0].TopicsRegex = nil, `docs\..*|notes` }, ""},
		{"collection by record", func(c *Config) { c.Sources[0].Collection = "${topic}" }, "sources[0].collection: \"${topic}\": the collection where the source lives"},
		{"route", func(c *Config) { c.Sources[0].Route, c.Sources[0].OnCreate.MaxCollections = "a-${topic}-${field:x}", 1 }, ""},
		{"route to one", func(c *Config) { c.Sources[0].Route, c.Sources[0].OnCreate.MaxCollections = "a", 1 }, "sources[0].route: \"a\" has no ${topic}"},
		{"route to nothing", func(c *Config) { c.Sources[0].Route, c.Sources[0].OnCreate.MaxCollections = "${field:}", 1 }, "sources[0].route: \"${field:}\" has a ${ that is not"},
		{"collections", func(c *Config) { c.Sources[0].Route, c.Sources[0].OnCreate.MaxCollections = "${topic}", 10_001 }, "sources[0].on_create.max_collections: 10001 is not between 1 and 10000"},
		{"collections without a route", func(c *Config) { c.Sources[0].OnCreate.MaxCollections = 1 }, "sources[0].on_create.max_collections: is for a source with a route"},
		{"own dead letters", func(c *Config) { c.Sources[0].DeadLetterTopic = "t" }, "sources[0].errors.deadletterqueue.topic.name: \"t\" is consumed by the source itself"},
		{"format", func(c *Config) { c.Sources[0].Format = "xml" }, "sources[0].format: \"xml\" is not one of auto, json, upsert-kafka"},
		{"id", func(c *Config) { c.Sources[0].ID = "values.id" }, "sources[0].id: \"values.id\" is not key, key.<field>"},
		{"vectors", func(c *Config) { c.Sources[0].Vectors = map[string]string{"": "key"} }, "sources[0].vectors[\"\"]: \"key\" is not value.<field>"},
		{"vectors twice", func(c *Config) { c.Sources[0].Vectors = map[string]string{"a": "value.v", "b": "value.v"} }, "sources[0].vectors[\"b\"]: \"value.v\" is the vector \"a\" already"},
		{"version", func(c *Config) { c.Sources[0].Version = "latest" }, "sources[0].version: \"latest\" is not timestamp"},
		{"distance", func(c *Config) { c.Sources[0].OnCreate.Distance = "cosine" }, "sources[0].on_create.distance: \"cosine\" is not one of"},
		{"start", func(c *Config) { c.Sources[0].Start = "timestamp:-1" }, "sources[0].start: \"timestamp:-1\" is not earliest"},
		{"start at offsets", func(c *Config) { c.Sources[0].Start = "offsets:{0: 10,1:5}" }, ""},
		{"start at an offset below", func(c *Config) { c.Sources[0].Start = "offsets:{0:-1}" }, "sources[0].start: \"offsets:{0:-1}\" is not earliest"},
		{"start at two offsets", func(c *Config) { c.Sources[0].Start = "offsets:{0:1,0:2}" }, "sources[0].start: \"offsets:{0:1,0:2}\" is not"},
		{"start at no offsets", func(c *Config) { c.Sources[0].Start = "offsets:{}" }, "sources[0].start: \"offsets:{}\" is not"},
		{"start at half of them", func(c *Config) { c.Sources[0].Start = "offsets:{0:1" }, "sources[0].start: \"offsets:{0:1\" is not"},
		{"start at offsets of two topics", func(c *Config) { c.Sources[0].Topics, c.Sources[0].Start = []string{"a", "b"}, "offsets:{0:1}" }, "sources[0].start: offsets are those of one topic"},
		{"batch bounds", func(c *Config) { c.Sources[0].Batch.Min = 501 }, "sources[0].batch: min 501 and max 500"},
		{"shrink", func(c *Config) { c.Sources[0].Batch.Shrink = 1 }, "sources[0].batch.shrink: 1 has to be"},
		{"grow", func(c *Config) { c.Sources[0].Batch.Grow = 1 }, "sources[0].batch.grow: 1 has to be"},
		{"thresholds", func(c *Config) { c.Sources[0].Batch.GrowBelowMs = 101 }, "sources[0].batch: grow_below_ms 101"},
		{"buffer", func(c *Config) { c.Sources[0].Buffer.TotalBytes = 1 }, "sources[0].buffer: partition_bytes"},
		{"gap", func(c *Config) { c.Sources[0].OnGap = "guess" }, "sources[0].on_gap: \"guess\" is not one of fail, skip"},
		{"key policy", func(c *Config) { c.Sources[0].KeyPolicy = "ignore" }, "sources[0].key_policy: \"ignore\" is not one of warn, require"},
		{"tolerance", func(c *Config) { c.Sources[0].ErrorsTolerance = "some" }, "sources[0].errors.tolerance: \"some\" is not one of all, none"},
	} {
		c := Config{Kafka: Kafka{BootstrapServers: "localhost:9092"}, Sources: []Source{{Name: "s", Topics: []string{"t"}}}}
		c.SetDefaults()
		x.change(&c)
		err := c.Validate()
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.HasPrefix(err.Error(), x.want)) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "1048576": 1 << 20, "512KiB": 512 << 10, "1MiB": 1 << 20, "2 GiB": 2 << 30} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q: %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "9999999999999GiB", "x"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %d", text, b)
		}
	}
}
