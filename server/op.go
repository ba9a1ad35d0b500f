package server

import (
	"encoding/json"
	"time"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// Point is a whole point as a client or a record gives it. Payload is a JSON
// object or nil.
type Point struct {
	ID      point.ID
	Vectors Vectors
	Payload json.RawMessage
	// Expires is when an upserted point ends, in Unix milliseconds; 0 for never.
	Expires int64
}

// OpKind says what an Op does.
type OpKind uint8

// The operations, each with the members of Op it reads.
const (
	Upsert           OpKind = iota // Points: each replaces the whole point; Mode, Where
	Delete                         // Select
	UpdateVectors                  // Points: replaces the vectors given, keeps the rest; Payload is ignored; Where
	DeleteVectors                  // Select, Names
	SetPayload                     // Select, Payload, Path (optional)
	OverwritePayload               // Select, Payload
	DeletePayload                  // Select, Keys
	ClearPayload                   // Select
)

// Select names the points an Op works on: a list of ids, or all that match
// Filter when IDs is nil.
type Select struct {
	IDs    []point.ID
	Filter *filter.Filter
}

// Op is one operation on a collection, from REST or from a Kafka record alike.
type Op struct {
	Kind    OpKind
	Points  []Point
	Select  Select
	Payload map[string]any
	Path    *payload.Path
	Keys    []payload.Path
	Names   []string
	Mode    UpdateMode
	Where   *filter.Filter // points that exist are written only if they match before
	// Version orders the operation against others (see Version). The zero
	// Version stands for a REST write: it is given the time of its commit.
	Version Version
}

// Stream is one partition as one source consumes it: the unit of order. The
// zero Stream stands for REST.
type Stream struct {
	Source    string
	Topic     string
	Partition int32
}

// Version orders the writes of a point. Within one Stream the Offset decides;
// between streams, and between Kafka and REST, Time does (Unix milliseconds,
// or whatever number the source's version setting takes), ties going by
// stream and offset. A write never overwrites a newer version: it is counted
// as stale.
type Version struct {
	Stream Stream
	Offset int64
	Time   int64
	// Timestamp is the record's own (Unix milliseconds) where Time is something else,
	// 0 where it is the same. It orders nothing.
	Timestamp int64

	// log is 0 for the stream's present log; earlier ones count from 1 (see
	// Position.NewLog). Offsets are compared within one log only.
	log int
}

// Position is how far a stream has been applied: Next is the offset of the
// first record not yet applied. Control records and records that made no
// point count as applied.
type Position struct {
	Stream Stream
	Next   int64
	// TopicID is that of the topic whose log Next is in; the zero TopicID leaves the
	// one that is known.
	TopicID TopicID
	// Epoch is that of the leader which wrote the record before Next, counted from 1, 0 if
	// it is not known. It tells a log that was cut and has grown again.
	Epoch int32
	// NewLog says that offsets begin anew with this position, because the topic
	// was made anew or its log was cut: what the stream wrote before is ordered by
	// time against what it writes from now on.
	NewLog bool
}

// TopicID tells a topic from another one of the same name, before or after it.
// Brokers before Kafka 2.8 have none.
type TopicID [16]byte

// TopicIDFrom returns the id that the bytes are, and the zero one, not known, for any other
// number of them.
func TopicIDFrom(raw []byte) (id TopicID) {
	if len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}

// CanBe says whether two ids can be of one topic; zero is not known.
func (id TopicID) CanBe(other TopicID) bool {
	var none TopicID
	return id == other || id == none || other == none
}

// DeadLetter is a record that could not become an operation, with the reason.
type DeadLetter struct {
	Stream  Stream    `json:"stream"`
	Offset  int64     `json:"offset"`
	Time    time.Time `json:"time"`   // the record's timestamp
	Reason  string    `json:"reason"` // a short code, the label of the metric
	Detail  string    `json:"detail"` // one sentence for people
	Key     []byte    `json:"key"`
	Value   []byte    `json:"value"`
	Headers []Header  `json:"headers,omitempty"`
	// TopicID is that of the topic in whose log Offset is, none if it is not known.
	TopicID []byte `json:"topic_id,omitempty"`
	// Truncated says that Value is only the beginning of the record's.
	Truncated bool `json:"truncated,omitempty"`
	// Number is that of the letter in the store, see Batch.Redriven.
	Number uint64 `json:"-"`
}

// Header is one header of a Kafka record.
type Header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// Batch is what one Apply changes, in one commit: operations in order, the
// positions they bring their streams to, and the dead letters found on the way.
type Batch struct {
	Ops         []Op
	Positions   []Position
	DeadLetters []DeadLetter
	// Redriven are the numbers of dead letters that the operations make good: they
	// are removed.
	Redriven []uint64
	// Lenient makes operations pass over points that do not exist.
	Lenient bool
	// Sync makes Apply return only after the commit is on stable storage.
	// Without it the log the records came from is the redo log.
	Sync bool
}

// Applied reports what a Batch did.
type Applied struct {
	Operation uint64 // number of the batch's last operation
	Upserted  int    // points written
	Deleted   int    // points removed
	Stale     int    // points left alone because they were newer
	// Crossed counts the writes of points that another partition of the same topic
	// had written before: the topic's keys do not keep a point in one partition.
	Crossed int
	// Commit is the time to the storage commit, Index the rest of the way to
	// visibility.
	Commit, Index time.Duration
}
