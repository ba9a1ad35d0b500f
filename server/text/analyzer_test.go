package text

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for _, c := range []struct{ params, text, tokens, query string }{
		{`{}`, "The quick, brown fox-trot ’42", "the quick brown fox trot 42", ""},
		{`{"lowercase":false}`, "The Fox", "The Fox", ""},
		{`{"tokenizer":"whitespace"}`, "fox-trot  A.", "fox-trot a.", ""},
		{`{"min_token_len":2,"max_token_len":4}`, "a an ant ants antsy", "an ant ants", ""},
		{`{"tokenizer":"prefix","min_token_len":2,"max_token_len":3}`, "a an ants Änder", "an an ant än änd", "an ant änd"},
		{`{"tokenizer":"prefix"}`, "abc", "a ab abc", "abc"},
		{`{"tokenizer":"multilingual"}`, "can't stop 世界 мир!", "can't stop 世 界 мир", ""},
		{`{"ascii_folding":true}`, "Café Ångström", "cafe angstrom", ""},
		{`{"stopwords":{"custom":["The","a"]}}`, "the a Theme", "theme", ""},
		{`{}`, "!!! ... ", "", ""},
		{`{"tokenizer":"word","stemmer":null,"stopwords":null,"on_disk":true}`, "x", "x", ""},
	} {
		var a Analyzer
		if err := json.Unmarshal([]byte(c.params), &a); err != nil {
			t.Fatalf("%s: %v", c.params, err)
		}
		if got := strings.Join(a.Tokens(c.text), " "); got != c.tokens {
			t.Errorf("%s: tokens of %q are %q, want %q", c.params, c.text, got, c.tokens)
		}
		want := c.query
		if want == "" {
			want = c.tokens
		}
		if got := strings.Join(a.QueryTokens(c.text), " "); got != want {
			t.Errorf("%s: query tokens of %q are %q, want %q", c.params, c.text, got, want)
		}
	}
}

func TestParameterErrors(t *testing.T) {
	for params, want := range map[string]string{
		`{"tokenizer":"letters"}`:                             "tokenizer: unknown variant `letters`",
		`{"min_token_len":-1}`:                                "min_token_len: value -1 invalid",
		`{"max_token_len":5000}`:                              "max_token_len: value 5000 invalid",
		`{"min_token_len":3,"max_token_len":2}`:               "min_token_len: value 3 invalid, must be at most max_token_len, 2",
		`{"stopwords":"english"}`:                             "stopwords: ",
		`{"stopwords":{"languages":["french"]}}`:              "stopwords: ",
		`{"stemmer":{"type":"snowball","language":"german"}}`: "stemmer: ",
	} {
		var a Analyzer
		if err := json.Unmarshal([]byte(params), &a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", params, err, want)
		}
	}
}

func TestConsecutive(t *testing.T) {
	tokens := []string{"a", "b", "a", "c"}
	for phrase, want := range map[string]bool{"a b": true, "a c": true, "b c": false, "a b a c": true, "a b a c d": false, "c": true} {
		if got := Consecutive(tokens, strings.Fields(phrase)); got != want {
			t.Errorf("%q: %v", phrase, got)
		}
	}
}

// Whatever the text, a query for it finds it: its tokens are among those of the
// text.
func FuzzTokens(f *testing.F) {
	for _, p := range []string{`{}`, `{"tokenizer":"prefix","min_token_len":2,"max_token_len":5}`, `{"tokenizer":"multilingual","ascii_folding":true}`, `{"tokenizer":"whitespace"}`} {
		f.Add(p, "The quick brown fox, ÄÖÜ 世界 \xff")
		f.Add(p, strings.Repeat("ä", 3000))
	}
	f.Fuzz(func(t *testing.T, params, text string) {
		var a Analyzer
		if json.Unmarshal([]byte(params), &a) != nil {
			return
		}
		tokens := a.Tokens(text)
		for _, token := range a.QueryTokens(text) {
			if len(token) > MaxTokenBytes || token == "" || !slices.Contains(tokens, token) {
				t.Fatalf("%q is not a token of %q: %q", token, text, tokens)
			}
		}
	})
}
