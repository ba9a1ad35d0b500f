//go:build race && amd64 && !purego

package kernels

// raced is set under the race detector, which does not see that assembly reads a
// list after its writer wrote it, and would report what the list leads to.
const raced = true
