package filter

import (
	"slices"
	"strings"

	"freshet/server/text"
)

// TextOp is what a condition wants of a text.
type TextOp uint8

// The operators on texts.
const (
	AllWords TextOp = iota
	AnyWord
	Phrase
	Prefix
)

// Text is a test of a text. Without an Analyzer it looks for substrings, case
// and all; with the one of the field's text index it compares Tokens.
type Text struct {
	Op       TextOp
	Query    string
	Analyzer *text.Analyzer
	Tokens   []string // of the query
}

// analyzed returns the test as it is on a field with a text index.
func (t Text) analyzed(a *text.Analyzer) Text {
	if t.Op != Prefix {
		t.Analyzer, t.Tokens = a, a.QueryTokens(t.Query)
	}
	return t
}

// Holds implements Test.
func (t Text) Holds(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	if t.Analyzer != nil {
		return t.holdsTokens(t.Analyzer.Tokens(s))
	}
	switch t.Op {
	case AnyWord:
		for w := range strings.FieldsSeq(t.Query) {
			if strings.Contains(s, w) {
				return true
			}
		}
		return false
	case Prefix:
		return strings.HasPrefix(s, t.Query)
	default:
		return strings.Contains(s, t.Query)
	}
}

// holdsTokens says whether a text of these tokens passes. A query without
// tokens finds nothing.
func (t Text) holdsTokens(tokens []string) bool {
	if len(t.Tokens) == 0 {
		return false
	}
	switch {
	case t.Op == AnyWord:
		return slices.ContainsFunc(t.Tokens, func(w string) bool { return slices.Contains(tokens, w) })
	case t.Consecutive():
		return text.Consecutive(tokens, t.Tokens)
	default:
		return !slices.ContainsFunc(t.Tokens, func(w string) bool { return !slices.Contains(tokens, w) })
	}
}

// Consecutive says whether the tokens must stand one after the other.
func (t Text) Consecutive() bool { return t.Op == Phrase && t.Analyzer.Phrases() }

// Bind returns the filter as it is on a collection with text indexes: analyzer
// returns that of a path's (see payload.Path.Key), nil where there is none.
func (f *Filter) Bind(analyzer func(path string) *text.Analyzer) *Filter {
	return f.bind("", analyzer)
}

func (f *Filter) bind(prefix string, analyzer func(string) *text.Analyzer) *Filter {
	bound := &Filter{minCount: f.minCount}
	for _, list := range []struct{ from, to *[]condition }{
		{&f.must, &bound.must},
		{&f.should, &bound.should},
		{&f.mustNot, &bound.mustNot},
		{&f.minShould, &bound.minShould},
	} {
		for _, c := range *list.from {
			*list.to = append(*list.to, bindCondition(c, prefix, analyzer))
		}
	}
	return bound
}

func bindCondition(c condition, prefix string, analyzer func(string) *text.Analyzer) condition {
	switch c := c.(type) {
	case *Filter:
		return c.bind(prefix, analyzer)
	case *nested:
		return &nested{path: c.path, filter: c.filter.bind(prefix+c.path.Key()+"[].", analyzer)}
	case *field:
		a := analyzer(prefix + c.path.Key())
		if a == nil {
			return c
		}
		bound := *c
		bound.tests = slices.Clone(c.tests)
		for i, test := range bound.tests {
			if t, ok := test.(Text); ok {
				bound.tests[i] = t.analyzed(a)
			}
		}
		return &bound
	default:
		return c
	}
}
