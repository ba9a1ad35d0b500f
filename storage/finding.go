package storage

import (
	"fmt"
	"strings"
)

// Level is how bad something is that was found.
type Level string

// The levels.
const (
	Fine    Level = "ok"
	Warning Level = "warning" // all works, but somebody should know
	Problem Level = "problem"
)

// Finding is something that an examination has found.
type Finding struct {
	Level  Level  `json:"level"`
	What   string `json:"what"` // a file, a collection, a part of the machine
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// Report takes what an examination finds, one after the other.
type Report func(Finding)

// Fine reports what is as it should be.
func (r Report) Fine(what, format string, args ...any) { r.add(Fine, what, "", format, args) }

// Warn reports what somebody should know.
func (r Report) Warn(what, advice, format string, args ...any) {
	r.add(Warning, what, advice, format, args)
}

// Wrong reports what is wrong.
func (r Report) Wrong(what, advice, format string, args ...any) {
	r.add(Problem, what, advice, format, args)
}

func (r Report) add(level Level, what, advice, format string, args []any) {
	// Pebble's errors have lines that carry what only its own code reads.
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n<corruption detail carrier>", "")
	text = strings.ReplaceAll(text, "\n", "; ")
	r(Finding{Level: level, What: what, Text: text, Advice: advice})
}
