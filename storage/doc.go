// Package storage keeps everything Freshet must not lose in one Pebble
// instance: the catalog, points, versions and Kafka positions. What a batch
// changes becomes durable together or not at all. The package knows key spaces
// and bytes; what a vector or a payload means is the business of its callers.
//
// The key layout is described byte by byte in docs/storage.md.
package storage
