// Package pipeline measures the way of embeddings from a producer over the user's own
// brokers to the searches that find them: where the time goes at chosen rates, what rate
// can be kept up, and how many of the true neighbours searches find.
package pipeline
