package text

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/arabic"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/tamil"
	"github.com/blevesearch/snowballstem/turkish"

	"freshet/server/text/snowball/armenian"
	"freshet/server/text/snowball/greek"
)

// stemmer reduces the word that an environment holds to its stem, by the algorithm of
// Snowball for a language.
type stemmer func(*snowballstem.Env) bool

var stemmers = map[string]stemmer{
	"arabic": arabic.Stem, "armenian": armenian.Stem, "danish": danish.Stem, "dutch": dutch.Stem,
	"english": english.Stem, "finnish": finnish.Stem, "french": french.Stem, "german": german.Stem,
	"greek": greek.Stem, "hungarian": hungarian.Stem, "italian": italian.Stem, "norwegian": norwegian.Stem, "portuguese": portuguese.Stem,
	"romanian": romanian.Stem, "russian": russian.Stem, "spanish": spanish.Stem, "swedish": swedish.Stem,
	"tamil": tamil.Stem, "turkish": turkish.Stem,
}

// readStemmer reads the parameter `stemmer`.
func readStemmer(raw []byte) (stemmer, error) {
	if !set(raw) {
		return nil, nil
	}
	var p struct {
		Type     string `json:"type"`
		Language string `json:"language"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("stemmer: expected an object with `type` and `language`")
	}
	switch p.Type {
	case "snowball":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("stemmer.type: unknown variant `%.100s`, expected `snowball` or `none`", p.Type)
	}
	s, ok := stemmers[fullName(p.Language)]
	if !ok {
		return nil, fmt.Errorf("stemmer.language: unknown variant `%.100s`, expected one of %s", p.Language, names(stemmers))
	}
	return s, nil
}

// stem returns the stem of a word; the word itself where there is none.
func (s stemmer) stem(w string) string {
	if s == nil || !utf8.ValidString(w) {
		return w
	}
	env := snowballstem.NewEnv(w)
	s(env)
	if env.Current() == "" {
		return w
	}
	return env.Current()
}

// names lists the keys of a map as errors do.
func names[V any](of map[string]V) string {
	return "`" + strings.Join(slices.Sorted(maps.Keys(of)), "`, `") + "`"
}
