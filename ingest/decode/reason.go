package decode

import "fmt"

// Reason says in a word why a record could not become an operation. Reasons
// label a metric: there are few.
type Reason string

// The reasons.
const (
	Undecodable       Reason = "undecodable"        // not what the format says
	NoID              Reason = "no_id"              // neither value nor key has one
	NoKey             Reason = "no_key"             // it is required, as the topic has several partitions
	BadID             Reason = "bad_id"             // neither unsigned integer nor text of 1 to 1024 bytes
	NoVector          Reason = "no_vector"          // missing or null
	BadVector         Reason = "bad_vector"         // not an array of finite 32-bit floats
	WrongDimension    Reason = "wrong_dimension"    // not what the collection has
	ZeroVector        Reason = "zero_vector"        // it has no direction, which Cosine needs
	BadVersion        Reason = "bad_version"        // the version field is no integer
	BadTTL            Reason = "bad_ttl"            // neither a number of milliseconds nor a duration
	BadOperation      Reason = "bad_operation"      // neither an upsert nor a delete
	UnknownCollection Reason = "unknown_collection" // not the one that the source feeds
	TooManyDeletes    Reason = "too_many_deletes"   // of points in collections that do not exist yet
	UnknownSchema     Reason = "unknown_schema"     // the registry says that it has none of the id
	BadSchema         Reason = "bad_schema"         // it cannot be read
	TooLarge          Reason = "too_large"          // beyond MaxRecord
	NoText            Reason = "no_text"            // a vector is to be made of it, and it is missing or no text
	EmbeddingRefused  Reason = "embedding_refused"  // the embedding endpoint has no vector for the text
	Rejected          Reason = "rejected"           // by the collection, for another cause
)

// Error tells why a record is a dead letter.
type Error struct {
	Reason Reason
	Detail string
	Key    bool // it is the key that cannot be read
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// Bad returns an *Error.
func Bad(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
