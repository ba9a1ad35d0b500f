// Package text takes texts apart into tokens, as a text index and the
// conditions on it do.
package text

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// Analyzer says what the tokens of a text are. The zero Analyzer is that of a
// text index declared without parameters.
type Analyzer struct {
	tokenizer    tokenizer
	shortest     int // characters
	longest      int // characters, 0 for any
	keepCase     bool
	foldASCII    bool
	stopwords    map[string]struct{}
	stemmer      stemmer
	phraseSearch bool
}

type tokenizer uint8

const (
	word tokenizer = iota
	whitespace
	prefix
	multilingual
)

var tokenizers = map[string]tokenizer{"word": word, "whitespace": whitespace, "prefix": prefix, "multilingual": multilingual}

// MaxTokenBytes bounds a token; what is longer is cut there, in texts and
// queries alike.
const MaxTokenBytes = 1024

// maxPrefixes bounds the tokens that the prefix tokenizer makes of one word.
const maxPrefixes = 64

// UnmarshalJSON reads the parameters of a text index. Members that are not
// about tokens are left alone.
func (a *Analyzer) UnmarshalJSON(raw []byte) error {
	var p struct {
		Tokenizer *string         `json:"tokenizer"`
		Shortest  *int            `json:"min_token_len"`
		Longest   *int            `json:"max_token_len"`
		Lowercase *bool           `json:"lowercase"`
		FoldASCII *bool           `json:"ascii_folding"`
		Phrases   *bool           `json:"phrase_matching"`
		Stopwords json.RawMessage `json:"stopwords"`
		Stemmer   json.RawMessage `json:"stemmer"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	*a = Analyzer{keepCase: p.Lowercase != nil && !*p.Lowercase, foldASCII: isTrue(p.FoldASCII), phraseSearch: isTrue(p.Phrases)}
	if p.Tokenizer != nil {
		t, ok := tokenizers[*p.Tokenizer]
		if !ok {
			return fmt.Errorf("tokenizer: unknown variant `%.100s`, expected one of `prefix`, `whitespace`, `word`, `multilingual`", *p.Tokenizer)
		}
		a.tokenizer = t
	}
	for _, n := range []struct {
		name  string
		value *int
		dst   *int
	}{{"min_token_len", p.Shortest, &a.shortest}, {"max_token_len", p.Longest, &a.longest}} {
		switch {
		case n.value == nil:
		case *n.value < 0 || *n.value > MaxTokenBytes:
			return fmt.Errorf("%s: value %d invalid, must be from 0 to %d", n.name, *n.value, MaxTokenBytes)
		default:
			*n.dst = *n.value
		}
	}
	if a.longest > 0 && a.shortest > a.longest {
		return fmt.Errorf("min_token_len: value %d invalid, must be at most max_token_len, %d", a.shortest, a.longest)
	}
	var err error
	if a.stemmer, err = readStemmer(p.Stemmer); err != nil {
		return err
	}
	return a.readStopwords(p.Stopwords)
}

func isTrue(b *bool) bool { return b != nil && *b }

func set(raw []byte) bool { return len(raw) > 0 && string(raw) != "null" }

// Tokens returns the tokens of a text, in order, with repetitions.
func (a *Analyzer) Tokens(s string) []string {
	var tokens []string
	a.split(s, func(w string) {
		if a.tokenizer != prefix {
			tokens = append(tokens, w)
			return
		}
		characters, first := 0, len(tokens)
		for end := range w {
			if characters >= max(a.shortest, 1) && len(tokens)-first < maxPrefixes {
				tokens = append(tokens, w[:end])
			}
			characters++
		}
		if len(tokens)-first < maxPrefixes {
			tokens = append(tokens, w)
		}
	})
	return tokens
}

// QueryTokens returns the tokens that a query asks for: those of Tokens, but of
// prefixes only the longest.
func (a *Analyzer) QueryTokens(s string) []string {
	if a.tokenizer != prefix {
		return a.Tokens(s)
	}
	var tokens []string
	a.split(s, func(w string) { tokens = append(tokens, cut(w, max(a.shortest, 1)+maxPrefixes-1)) })
	return tokens
}

// Phrases says whether a phrase is matched by its tokens, one after the other.
func (a *Analyzer) Phrases() bool { return a.phraseSearch }

// split calls yield for the words that count, ready for comparison.
func (a *Analyzer) split(s string, yield func(w string)) {
	a.words(s, func(w string) {
		w = a.fold(w)
		n := utf8.RuneCountInString(w)
		if n < max(a.shortest, 1) {
			return
		}
		if a.longest > 0 && n > a.longest {
			if a.tokenizer != prefix {
				return
			}
			w = cut(w, a.longest)
		}
		if _, stop := a.stopwords[w]; !stop {
			yield(a.stemmer.stem(w))
		}
	})
}

// words calls yield for the words of a text as they stand there.
func (a *Analyzer) words(s string, yield func(w string)) {
	switch a.tokenizer {
	case whitespace:
		for w := range strings.FieldsSeq(s) {
			yield(w)
		}
	case multilingual:
		for state, rest := -1, s; rest != ""; {
			var w string
			w, rest, state = uniseg.FirstWordInString(rest, state)
			if strings.ContainsFunc(w, isWord) {
				yield(w)
			}
		}
	default:
		for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !isWord(r) }) {
			yield(w)
		}
	}
}

// isWord tells whether a character is of a word: a number, or alphabetic as Unicode
// defines it, which is what Qdrant goes by. That includes the vowel signs of Indian
// scripts, which are no letters by their category.
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Other_Alphabetic, r)
}

// fold brings a word to the form in which words are compared.
func (a *Analyzer) fold(w string) string {
	if !a.keepCase {
		w = strings.ToLower(w)
	}
	if a.foldASCII {
		w = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(w))
	}
	if len(w) <= MaxTokenBytes {
		return w
	}
	end := MaxTokenBytes
	for !utf8.RuneStart(w[end]) {
		end--
	}
	return w[:end]
}

// cut returns the first n characters of w.
func cut(w string, n int) string {
	for end := range w {
		if n--; n < 0 {
			return w[:end]
		}
	}
	return w
}

// Consecutive says whether the tokens of phrase stand in tokens one after the
// other.
func Consecutive(tokens, phrase []string) bool {
	for from := 0; from+len(phrase) <= len(tokens); from++ {
		if slices.Equal(tokens[from:from+len(phrase)], phrase) {
			return true
		}
	}
	return false
}
