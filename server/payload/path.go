package payload

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Path addresses values in a payload: keys joined by dots, each followed by any
// number of [n] (one element) or [] (every element). Keys of other characters
// than letters, digits, _ and - stand in double quotes.
type Path struct {
	text  string
	steps []step
}

type stepKind uint8

const (
	byKey stepKind = iota
	byIndex
	everyElement
)

type step struct {
	kind  stepKind
	key   string
	index int
}

// maxPathBytes bounds a path's text.
const maxPathBytes = 4096

// ParsePath reads a path.
func ParsePath(s string) (Path, error) {
	bad := fmt.Errorf("Invalid json path: '%.100s'", s)
	if s == "" || len(s) > maxPathBytes {
		return Path{}, bad
	}
	p := Path{text: s}
	rest := s
	for first := true; first || rest != ""; first = false {
		if !first {
			if rest[0] != '.' {
				return Path{}, bad
			}
			rest = rest[1:]
		}
		key, after, ok := cutKey(rest)
		if !ok {
			return Path{}, bad
		}
		p.steps = append(p.steps, step{kind: byKey, key: key})
		rest = after
		for strings.HasPrefix(rest, "[") {
			inside, after, found := strings.Cut(rest[1:], "]")
			if !found {
				return Path{}, bad
			}
			st := step{kind: everyElement}
			if inside != "" {
				n, err := strconv.ParseUint(inside, 10, 31)
				if err != nil {
					return Path{}, bad
				}
				st = step{kind: byIndex, index: int(n)}
			}
			p.steps = append(p.steps, st)
			rest = after
		}
	}
	return p, nil
}

// cutKey takes a bare or quoted key from the front of s.
func cutKey(s string) (key, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		key, rest, ok = strings.Cut(s[1:], `"`)
		return key, rest, ok && key != ""
	}
	end := strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-'
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], end > 0
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// Key returns the path in the one form that all its spellings have in common.
func (p Path) Key() string {
	var b strings.Builder
	for i, st := range p.steps {
		switch st.kind {
		case byKey:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteByte('"')
			b.WriteString(st.key)
			b.WriteByte('"')
		case byIndex:
			fmt.Fprintf(&b, "[%d]", st.index)
		case everyElement:
			b.WriteString("[]")
		}
	}
	return b.String()
}

// Root returns the key that the path begins with.
func (p Path) Root() string { return p.steps[0].key }

// Raw calls yield for every value at the path, until yield returns false. An
// array is one value.
func (p Path) Raw(doc any, yield func(v any) bool) { raw(doc, p.steps, yield) }

func raw(v any, steps []step, yield func(any) bool) bool {
	if len(steps) == 0 {
		return yield(v)
	}
	switch st := steps[0]; st.kind {
	case byKey:
		if m, ok := v.(map[string]any); ok {
			if e, ok := m[st.key]; ok {
				return raw(e, steps[1:], yield)
			}
		}
	case byIndex:
		if a, ok := v.([]any); ok && st.index < len(a) {
			return raw(a[st.index], steps[1:], yield)
		}
	case everyElement:
		if a, ok := v.([]any); ok {
			for _, e := range a {
				if !raw(e, steps[1:], yield) {
					return false
				}
			}
		}
	}
	return true
}

// Values calls yield for the values a condition tests: those at the path, with
// the elements of an array in place of the array.
func (p Path) Values(doc any, yield func(v any) bool) {
	p.Raw(doc, func(v any) bool {
		a, ok := v.([]any)
		if !ok {
			return yield(v)
		}
		for _, e := range a {
			if !yield(e) {
				return false
			}
		}
		return true
	})
}

// Set merges value into doc; a null member removes its key.
func Set(doc, value map[string]any) {
	for k, v := range value {
		if v == nil {
			delete(doc, k)
		} else {
			doc[k] = v
		}
	}
}

// CheckDepth returns an error if a payload that has value at the path is nested deeper than
// MaxDepth.
func (p Path) CheckDepth(value map[string]any) error {
	if len(p.steps)+depth(value) > MaxDepth {
		return errDepth
	}
	return nil
}

func depth(v any) int {
	below := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			below = max(below, depth(e))
		}
	case []any:
		for _, e := range v {
			below = max(below, depth(e))
		}
	default:
		return 0
	}
	return 1 + below
}

// maxCopies is how many bytes the copies of a value may take that SetAt puts into the
// elements of arrays.
const maxCopies = 64 << 20

// SetAt merges value into the objects at the path, making them where they are
// missing and putting them in the place of what is no object.
func SetAt(doc map[string]any, p Path, value map[string]any) error {
	if n := places(doc, p.steps); n > 1 {
		raw, err := Encode(value)
		if err != nil {
			return err
		}
		if len(raw) > maxCopies/n {
			return fmt.Errorf("%d bytes at each of %d places are more than an update may add to a payload", len(raw), n)
		}
	}
	update(doc, p.steps, value)
	return nil
}

// places counts the objects that update merges into.
func places(v any, steps []step) int {
	if len(steps) == 0 {
		return 1
	}
	st := steps[0]
	if st.kind == byKey {
		m, _ := v.(map[string]any)
		return places(m[st.key], steps[1:])
	}
	a, _ := v.([]any)
	n := 0
	for i, e := range a {
		if st.kind == everyElement || st.index == i {
			n += places(e, steps[1:])
		}
	}
	return n
}

func update(v any, steps []step, value map[string]any) any {
	if len(steps) == 0 {
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		Set(m, value)
		return m
	}
	st := steps[0]
	if st.kind == byKey {
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		m[st.key] = update(m[st.key], steps[1:], value)
		return m
	}
	a, ok := v.([]any)
	if !ok {
		return []any{}
	}
	for i := range a {
		if st.kind == everyElement || st.index == i {
			a[i] = update(a[i], steps[1:], value)
		}
	}
	return a
}

// Delete removes what is at the path, if anything is.
func Delete(doc map[string]any, p Path) { remove(doc, p.steps) }

// remove returns v without what is at the steps.
func remove(v any, steps []step) any {
	st, last := steps[0], len(steps) == 1
	switch v := v.(type) {
	case map[string]any:
		if st.kind != byKey {
			return v
		}
		if last {
			delete(v, st.key)
		} else if e, ok := v[st.key]; ok {
			v[st.key] = remove(e, steps[1:])
		}
		return v
	case []any:
		switch {
		case st.kind == byKey || st.kind == byIndex && st.index >= len(v):
			return v
		case last && st.kind == everyElement:
			return []any{}
		case last:
			return append(v[:st.index:st.index], v[st.index+1:]...)
		}
		for i := range v {
			if st.kind == everyElement || st.index == i {
				v[i] = remove(v[i], steps[1:])
			}
		}
		return v
	}
	return v
}
