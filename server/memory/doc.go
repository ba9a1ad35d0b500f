// Package memory finds out how much memory the process may take, and says when that is
// nearly used up.
package memory
