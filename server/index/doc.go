// Package index answers tests on one payload field from memory: for each value
// the points that have it, points being known by their slots.
//
// An index holds no payload and no list of what a point has: to take a point
// out, it is given the entry that it was put in with. It answers with bounds (see
// filter.Bounds), exactly where it knows enough; what it answers never
// contradicts what the test says of the payload.
package index
