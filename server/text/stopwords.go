package text

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// The lists are those of stop-words 2018.7.23 on PyPI and, for the languages that it lacks,
// of stopwords-iso 1.1.0 on npm and of advertools 0.18.0 (Azerbaijani, Kazakh, Nepali) and
// tajiknlp 1.2.0 (Tajik) on PyPI, the last two without their phrases: a text is compared word
// by word. Their licenses are beside them.
//
//go:embed stopwords/*.txt
var stopwordLists embed.FS

// stopwordLanguages are the languages that have a list, with its name.
var stopwordLanguages = func() map[string]string {
	files, err := stopwordLists.ReadDir("stopwords")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	languages := make(map[string]string, len(files))
	for _, f := range files {
		languages[strings.TrimSuffix(f.Name(), ".txt")] = path.Join("stopwords", f.Name())
	}
	return languages
}()

// readStopwords reads the parameter `stopwords`: a language, or languages and words.
func (a *Analyzer) readStopwords(raw []byte) error {
	if !set(raw) {
		return nil
	}
	var p struct {
		Languages []string `json:"languages"`
		Custom    []string `json:"custom"`
	}
	var language string
	if json.Unmarshal(raw, &language) == nil {
		p.Languages = []string{language}
	} else if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("stopwords: expected a language, or an object with `languages` and `custom`")
	}
	stopwords := map[string]struct{}{}
	for _, language := range p.Languages {
		name, ok := stopwordLanguages[fullName(language)]
		if !ok {
			return fmt.Errorf("stopwords: unknown language `%.100s`, expected one of %s", language, names(stopwordLanguages))
		}
		list, err := stopwordLists.ReadFile(name)
		if err != nil {
			return err
		}
		for w := range strings.Lines(string(list)) {
			a.addStopword(stopwords, strings.TrimSpace(w))
		}
	}
	for _, w := range p.Custom {
		stopwords[a.fold(w)] = struct{}{}
	}
	a.stopwords = stopwords
	return nil
}

// addStopword adds a word of a list, taken apart as texts are: some tokenizers make two of
// "don't". Where one takes letters for words, as that of Chinese and Japanese does, a word
// is left out of which it makes several: they would be stopwords within all other words.
func (a *Analyzer) addStopword(stopwords map[string]struct{}, w string) {
	var parts []string
	a.words(w, func(part string) { parts = append(parts, part) })
	if len(parts) > 1 && !strings.ContainsFunc(w, func(r rune) bool { return !isWord(r) }) {
		return
	}
	for _, part := range parts {
		stopwords[a.fold(part)] = struct{}{}
	}
}
