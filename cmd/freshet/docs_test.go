package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// documents returns what the project's documents say, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md", "examples/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
	}
	if len(texts) < 10 {
		t.Fatalf("only %d documents were found", len(texts))
	}
	return texts
}

// TestConfigurationsOfDocuments reads the configurations that a user is told to copy.
func TestConfigurationsOfDocuments(t *testing.T) {
	texts := documents(t)
	found := 0
	for _, name := range []string{"README.md", "docs/topics.md", "docs/quickstart.md"} {
		for _, block := range yamlBlock.FindAllStringSubmatch(texts[filepath.Join("..", "..", name)], -1) {
			found++
			file := block[1]
			if !strings.Contains(file, "kafka:") {
				file += "kafka: {bootstrap.servers: 'localhost:9092'}\n"
			}
			if _, err := load(t, file, nil); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, block[1])
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d configurations were found", found)
	}
}

// TestLinksOfDocuments follows the links between the documents, to headings too.
func TestLinksOfDocuments(t *testing.T) {
	texts := documents(t)
	for path, text := range texts {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", path, m[1])
			} else if anchor != "" && !hasHeading(texts[target], anchor) {
				t.Errorf("%s: %s has no such heading", path, m[1])
			}
		}
	}
}

func hasHeading(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		slug := strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if slug == anchor {
			return true
		}
	}
	return false
}
