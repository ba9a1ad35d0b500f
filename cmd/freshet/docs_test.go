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

// TestReadmeLeadsToAllDocuments looks for what a reader would not find.
func TestReadmeLeadsToAllDocuments(t *testing.T) {
	texts := documents(t)
	readme := texts[filepath.Join("..", "..", "README.md")]
	for path := range texts {
		if dir, name := filepath.Split(path); filepath.Base(dir) == "docs" && !strings.Contains(readme, "](docs/"+name+")") {
			t.Errorf("nothing leads to docs/%s", name)
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

// TestTestsOfDocuments looks for the tests that the document of security names.
func TestTestsOfDocuments(t *testing.T) {
	named := regexp.MustCompile("`([a-z0-9/]+)` `((?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(documents(t)[filepath.Join("..", "..", "docs", "security.md")], -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		files, err := filepath.Glob(filepath.Join("..", "..", m[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("%s has no %s", m[1], m[2])
		}
	}
}
