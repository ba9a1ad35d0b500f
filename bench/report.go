package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// section is what one part of the benchmark found on one set of data. It is kept
// in a file, so that the document can be put together from runs of their own.
type section struct {
	Part, Data  string // identify it
	Dim, Size   int    // of the data
	Title, Lead string
	Notes       []string
	Engines     []string // and their versions
	Tables      []table
	Plot        *plot
	Summary     []string // a row under summaryHead
	Machine     machine
	Revision    string
	Date        string
}

// table is a table of text.
type table struct {
	Caption string
	Head    []string
	Rows    [][]string
}

// plot is recall against rate, drawn by bench/plot.
type plot struct {
	Title, X, Y string
	Lines       []line
}

type line struct {
	Name   string
	Points [][2]float64
}

const resultsDir = ".cache/bench-results"

// finish dates a section, prints it and keeps it.
func (s *section) finish(w io.Writer) error {
	s.Machine, s.Revision, s.Date = thisMachine(), commit, time.Now().UTC().Format(time.DateOnly)
	if _, err := io.WriteString(w, s.markdown("")); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(resultsDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(resultsDir, s.Part+"-"+s.Data+".json"), text, 0o644)
}

// markdown is the section; image is where its plot is, "" for nowhere.
func (s *section) markdown(image string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", s.Title, s.Lead)
	if image != "" {
		fmt.Fprintf(&b, "![%s](%s)\n\n", s.Title, image)
	}
	for _, t := range s.Tables {
		b.WriteString(t.markdown())
	}
	for _, note := range s.Notes {
		fmt.Fprintf(&b, "* %s\n", note)
	}
	if len(s.Notes) > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s, commit %s.", s.Date, s.Revision)
	if len(s.Engines) > 0 {
		fmt.Fprintf(&b, " %s.", strings.Join(s.Engines, "; "))
	}
	b.WriteString("\n\n")
	return b.String()
}

func (t table) markdown() string {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	if t.Caption != "" {
		fmt.Fprintf(&b, "%s:\n\n", t.Caption)
	}
	write := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s |", cell, pad)
			} else {
				fmt.Fprintf(&b, " %s%s |", pad, cell)
			}
		}
		b.WriteString("\n")
	}
	write(t.Head)
	for i, width := range widths {
		if i == 0 {
			fmt.Fprintf(&b, "|%s|", strings.Repeat("-", width+2))
		} else {
			fmt.Fprintf(&b, "%s:|", strings.Repeat("-", width+1))
		}
	}
	b.WriteString("\n")
	for _, row := range t.Rows {
		write(row)
	}
	b.WriteString("\n")
	return b.String()
}

// readSections returns what was kept, in the order of the document.
func readSections() ([]*section, error) {
	paths, err := filepath.Glob(filepath.Join(resultsDir, "*.json"))
	if err != nil {
		return nil, err
	}
	var sections []*section
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s := &section{}
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		sections = append(sections, s)
	}
	if len(sections) == 0 {
		return nil, errors.New("nothing was measured yet")
	}
	slices.SortStableFunc(sections, func(a, b *section) int {
		place := func(s *section) int { return slices.IndexFunc(allParts, func(p part) bool { return p.name == s.Part }) }
		return cmp.Or(place(a)-place(b), a.Dim-b.Dim, a.Size-b.Size)
	})
	return sections, nil
}

const documentHead = `# Benchmarks

Written by ` + "`make bench`" + ` (see [bench/README.md](../bench/README.md)); nothing here is edited by hand.
Ratios hold within one run on one machine: what is compared was measured in turns.
Rates on one thread are per second of CPU time, which other load on the machine
disturbs less than the clock; what is about two threads or latency is on the clock.

`

// document puts the sections together; image names the plot of a section.
func document(sections []*section, image func(s *section) string) (string, error) {
	var b strings.Builder
	b.WriteString(documentHead)
	m := sections[0].Machine
	summary := table{Caption: "Freshet as a multiple of hnswlib: queries per second at equal recall, vectors per second of the build, memory", Head: summaryHead}
	for _, s := range sections {
		if s.Machine != m {
			return "", fmt.Errorf("%s of %s was measured on another machine: delete it from %s", s.Part, s.Data, resultsDir)
		}
		if s.Summary != nil {
			summary.Rows = append(summary.Rows, s.Summary)
		}
	}
	fmt.Fprintf(&b, "Machine: %s; %d cores; %s; %s; memory %s; %s, %s.\n\n", m.CPU, m.Cores, m.Flags, m.Caches, m.Memory, m.System, m.Go)
	if len(summary.Rows) > 0 {
		b.WriteString(summary.markdown())
	}
	for _, s := range sections {
		b.WriteString(s.markdown(image(s)))
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// count writes a rate or an amount with three digits that count, or all before
// the point.
func count(x float64) string {
	digits := 0
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "–"
	case x >= 100:
	case x < 1:
		digits = 3
	case x < 10:
		digits = 2
	case x < 100:
		digits = 1
	}
	if digits == 0 {
		return grouped(int(math.Round(x)))
	}
	return fmt.Sprintf("%.*f", digits, x)
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// micros writes seconds as microseconds.
func micros(seconds float64) string { return count(seconds * 1e6) }
