// Package sparse finds the sparse vectors with the largest dot products.
//
// An Index keeps an inverted list for each dimension, in segments that never change, as
// search engines do. One writer adds documents and takes them out; a reader takes a
// State and is in nobody's way. A search is exact: it skips what cannot come among the
// best by MaxScore (Turtle and Flood, Query evaluation: strategies and optimizations,
// 1995), over windows of documents.
package sparse
