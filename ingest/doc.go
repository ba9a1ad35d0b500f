// Package ingest consumes Kafka topics into collections.
//
// A source reads the partitions of its topics by its own assignment, from the
// positions that its collection stores, never from a consumer group. Records
// become operations, and a batch of them is applied together with the
// positions it reaches, in one commit: each record takes effect once, whatever
// happens in between. Records that cannot become an operation become dead
// letters and stop nothing.
//
// The parts, in the order in which a record meets them: source (what is
// consumed, and from where), package decode (record to operation), batch controller
// (how many records at once), dead letters.
package ingest
