package sources

import "encoding/json"

// Validation says what a source would make of records, without consuming any.
type Validation struct {
	Valid bool `json:"valid"` // nothing below speaks against it
	// Problems are settings that the records do not fit.
	Problems []Problem        `json:"problems"`
	Records  int              `json:"records"` // that were read
	Formats  map[string]int64 `json:"formats"` // records by the format they were read in
	// Keys counts the records by the form of their keys: none, object, text, binary.
	Keys map[string]int64 `json:"keys"`
	// Partitioner is the one that put the keys where they are: murmur2 (Java,
	// kafka-python), fnv1a (Sarama), crc32 (librdkafka); "" if that cannot be told.
	Partitioner string    `json:"partitioner"`
	Logs        []Log     `json:"logs"`
	Points      []Sample  `json:"points"`
	Errors      []Failure `json:"errors"`
}

// Problem is a setting that does not fit.
type Problem struct {
	Field string `json:"field"`
	Text  string `json:"text"`
}

// Log is a partition's log.
type Log struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Begin     int64  `json:"begin"`
	End       int64  `json:"end"`
}

// Sample is what one record would do.
type Sample struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Operation string          `json:"operation"` // upsert, delete, …
	IDs       []string        `json:"ids"`
	Vectors   map[string]int  `json:"vectors,omitempty"` // name → numbers in it
	Payload   json.RawMessage `json:"payload,omitempty"`
	// Collection is where the point goes if the source has a route.
	Collection string `json:"collection,omitempty"`
}
