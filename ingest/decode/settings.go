package decode

import "strings"

// Settings say what the records of a source mean.
type Settings struct {
	Collection string // that the source feeds
	Route      string // makes the collection's name of each record's topic or fields; "" for Collection
	Format     Format
	ID         string            // key, key.<field>, value.<field>, header.<name>; "" by format
	Vectors    map[string]string // vector name → value.<field>; none: value.embedding or value.vector
	Payload    Payload
	Schema     string    // of plain Avro values, JSON
	KeySchema  string    // of plain Avro keys, JSON
	Registry   *Registry // nil: none
	Version    string    // timestamp, offset, value.<field>
	// Operation says where records tell what they do; nil where all write a point, but
	// for null values and what the format has.
	Operation *Operation
	// TTL is how long points live, a duration, or where the record says it, value.<field>
	// or header.<name>; "" for ever.
	TTL string
	// Embedded says that vectors are made of texts later: no default field has one.
	Embedded bool
}

// Format says how records are read.
type Format string

// The formats.
const (
	Auto        Format = "auto"          // json, and a null value deletes what its key names
	JSON        Format = "json"          // an object; the id is in it, or else in the key
	UpsertKafka Format = "upsert-kafka"  // an object; the id is in the key, and a null value deletes
	Debezium    Format = "debezium-json" // change events, with or without their schema, or flattened
	Qdrant      Format = "qdrant"        // as Qdrant's Kafka Connect sink takes them
	OpenSearch  Format = "opensearch"    // as OpenSearch's pull-based ingestion takes them
	Avro        Format = "avro"          // with the schema configured, or named by each record
	Protobuf    Format = "protobuf"      // with the schema that each record names
	JSONSchema  Format = "json_schema"   // the same
	Float32     Format = "float32"       // the vector alone, little-endian
)

// hasSchema says whether records are written with a schema.
func (f Format) hasSchema() bool { return f == Avro || f == Protobuf || f == JSONSchema }

// NeedsRegistry says whether the records name their schemas.
func (s *Settings) NeedsRegistry() bool { return s.Format.hasSchema() && s.Schema == "" }

// Formats lists them.
var Formats = []Format{Auto, JSON, UpsertKafka, Debezium, Qdrant, OpenSearch, Float32, Avro, Protobuf, JSONSchema}

// FormatNames returns the list as a text.
func FormatNames() string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// Payload says which members of the value become payload, by default all but
// the id and the vectors.
type Payload struct {
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
	// Headers adds the headers, which are JSON or text.
	Headers bool `yaml:"headers"`
	// Kafka adds a member _kafka that says which record made the point.
	Kafka bool `yaml:"kafka"`
}
