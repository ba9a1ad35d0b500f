package decode

import "strings"

// Placeholders reads a text with ${name} in it from left to right: literal gets what
// stands between, and take each name, which it may refuse. It returns how many names
// there are; false if one was refused or does not end.
func Placeholders(s string, literal func(text string), take func(name string) bool) (n int, ok bool) {
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "${")
		if text != "" {
			literal(text)
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed || !take(name) {
			return n, false
		}
		n++
		rest = after
	}
	return n, true
}
