// Package server is the database: collections of points, what is written to
// them and what is read from them.
//
// There is one way to write. A list of operations, from REST or from Kafka,
// becomes a Batch; Collection.Apply gives it to the collection's one writer,
// which decides what is newer, commits points, payloads, versions and Kafka
// positions together, links the vectors into the graph, and only then makes
// all of it visible at once by publishing a view. A read takes the current view
// and sees exactly that state for as long as it lasts; it never waits for a
// writer.
package server
