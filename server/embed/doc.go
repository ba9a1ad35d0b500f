// Package embed turns texts into vectors by endpoints that speak the protocol of
// OpenAI's POST /v1/embeddings. It serves the sources, which embed what they
// consume, and the requests that carry a text in place of a vector.
package embed
