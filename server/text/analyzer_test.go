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
		{`{"stopwords":"english"}`, "Don’t go to the house, it isn't THERE", "go house", ""},
		{`{"stopwords":"english","tokenizer":"multilingual"}`, "I don't see the isn't", "see", ""},
		{`{"stopwords":{"languages":["english","german"],"custom":["Haus"]}}`, "the house und das Haus", "house", ""},
		{`{"stopwords":"french","ascii_folding":true}`, "été à Paris", "paris", ""},
		{`{"stemmer":{"type":"snowball","language":"english"}}`, "Running runners ran easily", "run runner ran easili", ""},
		{`{"stemmer":{"type":"snowball","language":"german"},"stopwords":"german"}`, "Die Häuser der Katzen", "haus katz", ""},
		{`{"stemmer":{"type":"snowball","language":"russian"}}`, "книги книгами", "книг книг", ""},
		// What Snowball's own program makes of these words.
		{
			`{"stemmer":{"type":"snowball","language":"greek"}}`,
			"άνθρωπος άνθρωποι ανθρώπων βιβλίο βιβλία σπίτια γυναίκες γυναικών θάλασσας πόλεις τρέχει έτρεχε γράφοντας καλύτερος ΜΕΓΆΛΟΣ",
			"ανθρωπ ανθρωπ ανθρωπ βιβλι βιβλ σπιτ γυναικ γυναικ θαλασσ πολ τρεχ ετρεχ γραφ καλ μεγαλ", "",
		},
		{
			`{"stemmer":{"type":"snowball","language":"hy"}}`,
			"գրքերը մարդ մարդիկ մարդկանց քաղաք քաղաքներ քաղաքում տներ լեզու գեղեցիկ խոսում",
			"գրքերը մարդ մարդ մարդկ քաղ քաղ քաղա տներ լեզ գեղեց խոս", "",
		},
		{`{"stemmer":{"type":"snowball","language":"english"},"tokenizer":"prefix"}`, "cats", "c ca cat", "cat"},
		{`{"stemmer":{"type":"none"},"stopwords":"en"}`, "the houses", "houses", ""},
		{`{"stemmer":{"type":"snowball","language":"de"},"stopwords":{"languages":["de"]}}`, "die Häuser", "haus", ""},
		{`{}`, "नेपाली भाषा, বাংলা ভাষা, தமிழ்", "नेपाली भाषा বাংলা ভাষা தமிழ", ""},
		{`{"stopwords":"bengali"}`, "অথচ বাংলা", "বাংলা", ""},
		{`{"stopwords":"greek"}`, "ένας άνθρωποι", "άνθρωποι", ""},
		{`{"stopwords":"slovene"}`, "hiša ali april", "hiša", ""},
		{`{"stopwords":"hebrew"}`, "אבל שלום", "שלום", ""},
		{`{"stopwords":"basque"}`, "etxe eta baina", "etxe", ""},
		{`{"stopwords":"azerbaijani"}`, "kitab və həmişə dəniz", "kitab dəniz", ""},
		{`{"stopwords":"kk"}`, "алма бірнеше арс-ұрс кітап", "алма кітап", ""},
		{`{"stopwords":"nepali"}`, "तत्काल किताब तपाईको", "किताब", ""},
		{`{"stopwords":"tajik"}`, "китоб ва дарё барои ҳамин", "китоб дарё", ""},
		{`{"stopwords":"chinese","tokenizer":"whitespace"}`, "因为 世界", "世界", ""},
		// No list has its words cut in pieces that are parts of others.
		{`{"stopwords":"chinese","tokenizer":"multilingual"}`, "的 首先", "首 先", ""},
		{`{"stopwords":"jp","tokenizer":"multilingual"}`, "あそこ", "あ そ こ", ""},
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
		`{"stopwords":"klingon"}`:                             "stopwords: unknown language `klingon`, expected one of `arabic`, ",
		`{"stopwords":"hinglish"}`:                            "stopwords: unknown language `hinglish`, expected one of",
		`{"stopwords":{"languages":["french","x"]}}`:          "stopwords: unknown language `x`",
		`{"stopwords":7}`:                                     "stopwords: expected a language",
		`{"stemmer":{"type":"snowball","language":"quenya"}}`: "stemmer.language: unknown variant `quenya`, expected one of `arabic`, ",
		`{"stemmer":{"type":"porter","language":"english"}}`:  "stemmer.type: unknown variant `porter`",
		`{"stemmer":"english"}`:                               "stemmer: expected an object",
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

// No stemmer stumbles over a word, of its language or not.
func FuzzStem(f *testing.F) {
	for language := range stemmers {
		f.Add(language, "nationalization")
		f.Add(language, "Überschwänglichkeit")
		f.Add(language, "والكتاب")
		f.Add(language, "\xffx\x00")
	}
	f.Fuzz(func(t *testing.T, language, word string) {
		if s, ok := stemmers[language]; ok && s.stem(word) == "" && word != "" {
			t.Fatalf("%s: nothing is left of %q", language, word)
		}
	})
}

// Whatever the text, a query for it finds it: its tokens are among those of the
// text.
func FuzzTokens(f *testing.F) {
	for _, p := range []string{`{}`, `{"tokenizer":"prefix","min_token_len":2,"max_token_len":5}`, `{"tokenizer":"multilingual","ascii_folding":true}`, `{"tokenizer":"whitespace"}`, `{"stopwords":"english","stemmer":{"type":"snowball","language":"english"}}`} {
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
