package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"

	"freshet/server/sources"
)

// shower writes the result of a command for people; args are those of the command.
type shower func(w io.Writer, args []string, result json.RawMessage) error

// said is a shower of results that say no more than that it was done.
func said(text string) shower {
	return func(w io.Writer, args []string, _ json.RawMessage) error {
		_, err := fmt.Fprintf(w, text+"\n", printable(args[0]))
		return err
	}
}

// shows is a shower of results of type T.
func shows[T any](show func(p *page, result T)) shower {
	return func(w io.Writer, _ []string, raw json.RawMessage) error {
		var result T
		if err := json.Unmarshal(raw, &result); err != nil {
			return fmt.Errorf("the answer is not understood (--json prints it as it is): %w", err)
		}
		p := &page{}
		show(p, result)
		_, err := io.WriteString(w, p.text.String())
		return err
	}
}

// page is a text of lines and tables. What came from records is made printable, so that it
// does nothing to a terminal.
type page struct{ text strings.Builder }

func (p *page) line(format string, args ...any) {
	p.text.WriteString(printable(fmt.Sprintf(format, args...)) + "\n")
}

// table writes rows, the first of which are the titles.
func (p *page) table(rows [][]string) {
	columns := tabwriter.NewWriter(&p.text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
		// A builder takes everything.
		_, _ = fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	_ = columns.Flush()
}

// printable replaces what a terminal would obey instead of showing it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// brief is the beginning of a text.
func brief(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func recordName(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s:%d:%d", topic, partition, offset)
}

// counted writes how many of each there are.
func counted(m map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}

func roughly(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func showSources(p *page, list struct{ Sources []sources.Info }) {
	if len(list.Sources) == 0 {
		p.line("there are no sources")
		return
	}
	rows := [][]string{{"SOURCE", "COLLECTION", "STATE", "FROM", "TOPICS"}}
	for _, s := range list.Sources {
		var c struct {
			Topics []string `json:"topics"`
			Regex  string   `json:"topics.regex"`
		}
		// The names of topics are a help: a list without them is one, too.
		_ = json.Unmarshal(s.Config, &c)
		if c.Regex != "" {
			c.Topics = append(c.Topics, c.Regex)
		}
		rows = append(rows, []string{s.Name, s.Collection, string(s.State), string(s.Origin), strings.Join(c.Topics, ", ")})
	}
	p.table(rows)
}

// showSource writes a description that put takes.
func showSource(p *page, s sources.Info) {
	p.line("# %s → %s, %s, from %s", s.Name, s.Collection, s.State, map[sources.Origin]string{sources.File: "the configuration file", sources.REST: "a request"}[s.Origin])
	text, err := yaml.JSONToYAML(s.Config)
	if err != nil {
		text = s.Config // JSON is YAML, too
	}
	for line := range strings.Lines(string(text)) {
		p.line("%s", strings.TrimSuffix(line, "\n"))
	}
}

func showAdded(p *page, s sources.Info) {
	p.line("%s feeds %s: %s", s.Name, s.Collection, s.State)
}

// whys are the reasons why the limit of a batch last moved.
var whys = map[string]string{
	"start": "as it began", "slow": "it fell, as batches were slow", "fast": "it grew, as batches were fast",
	"backlog": "it grew, to work off what waits", "over_budget": "no size meets the target",
}

func showStatus(p *page, s sources.Status) {
	p.line("%s → %s: %s", s.Name, s.Collection, s.State)
	if s.Error != "" {
		p.line("error         %s", s.Error)
	}
	if !s.ErrorSince.IsZero() {
		p.line("failing since %s", s.ErrorSince.Format(time.DateTime))
	}
	p.line("waiting       %d records", waiting(s))
	if c := s.CatchUp; c != nil {
		left := "more records arrive than are applied"
		if c.SecondsLeft != nil {
			left = "done in " + roughly(*c.SecondsLeft)
		}
		p.line("catching up   since %s, %.0f records/s, %s", c.Since.Format(time.DateTime), c.PerSecond, left)
	}
	why := s.Batch.Why
	if text, ok := whys[why]; ok {
		why = text
	}
	if s.Batch.OverBudget {
		why += "; over budget"
	}
	p.line("batch limit   %d records (%s)", s.Batch.Limit, why)
	p.line("dead letters  %d, of which %d are kept here", s.DeadLetters.Total, s.DeadLetters.Kept)
	if len(s.Collections) > 0 {
		p.line("feeds also    %s", strings.Join(s.Collections, ", "))
	}
	rows := [][]string{{"PARTITION", "STATE", "POSITION", "END", "WAITING"}}
	for _, part := range s.Partitions {
		rows = append(rows, []string{
			fmt.Sprintf("%s:%d", part.Topic, part.Partition), strings.TrimSpace(part.State + " " + part.Error),
			strconv.FormatInt(part.Position, 10), strconv.FormatInt(part.End, 10), strconv.FormatInt(part.Lag, 10),
		})
	}
	p.line("")
	p.table(rows)
	rows = [][]string{{"MS", "P50", "P99"}}
	for _, stage := range s.Stages {
		rows = append(rows, []string{stage.Stage, fmt.Sprintf("%.2f", stage.P50Ms), fmt.Sprintf("%.2f", stage.P99Ms)})
	}
	p.line("")
	p.table(append(rows, []string{"a batch", "", fmt.Sprintf("%.2f", s.Batch.P99Ms)}))
}

func showOffsets(p *page, list struct{ Offsets []sources.Offset }) {
	rows := [][]string{{"PARTITION", "POSITION"}}
	for _, o := range list.Offsets {
		position := "where start says"
		if o.Offset != nil {
			position = strconv.FormatInt(o.Offset.Offset, 10)
		}
		rows = append(rows, []string{fmt.Sprintf("%s:%d", o.Partition.Topic, o.Partition.Partition), position})
	}
	p.table(rows)
}

func showValidation(p *page, v sources.Validation) {
	verdict := "valid"
	if !v.Valid {
		verdict = "not valid"
	}
	if v.Records == 0 {
		p.line("%s: no records were read", verdict)
	} else {
		p.line("%s: %d records were read (%s; keys: %s)", verdict, v.Records, counted(v.Formats), counted(v.Keys))
	}
	for _, problem := range v.Problems {
		p.line("problem  %s: %s", problem.Field, problem.Text)
	}
	showFailures(p, v.Errors)
	if len(v.Points) == 0 {
		return
	}
	rows := [][]string{{"RECORD", "DOES", "ID", "DIMENSIONS", "PAYLOAD"}}
	for _, s := range v.Points {
		var vectors []string
		for _, name := range slices.Sorted(maps.Keys(s.Vectors)) {
			vectors = append(vectors, strings.TrimPrefix(fmt.Sprintf("%s: %d", name, s.Vectors[name]), ": "))
		}
		does := s.Operation
		if s.Collection != "" {
			does += " in " + s.Collection
		}
		rows = append(rows, []string{
			recordName(s.Topic, s.Partition, s.Offset), does, brief(strings.Join(s.IDs, ", "), 40),
			strings.Join(vectors, ", "), brief(string(s.Payload), 80),
		})
	}
	p.line("")
	p.table(rows)
}

func showFailures(p *page, list []sources.Failure) {
	for _, f := range list {
		p.line("error    %s  %s: %s", recordName(f.Topic, f.Partition, f.Offset), f.Reason, f.Detail)
	}
}

// letter is a dead letter whose key and value are as the answer has them.
type letter struct {
	sources.Letter
	Key   json.RawMessage `json:"key"`
	Value json.RawMessage `json:"value"`
}

func showLetters(p *page, list struct{ Records []letter }) {
	if len(list.Records) == 0 {
		p.line("there are no dead letters")
	}
	for _, l := range list.Records {
		p.line("%s  %s  %s", recordName(l.Topic, l.Partition, l.Offset), l.Time.Format(time.RFC3339), l.Reason)
		p.line("  why    %s", l.Detail)
		p.line("  key    %s", brief(bytesOf(l.Key), 200))
		p.line("  value  %s", brief(bytesOf(l.Value), 200))
	}
}

// bytesOf is a text as it is, and the JSON of what is none.
func bytesOf(raw json.RawMessage) string {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

func showRedriven(p *page, r sources.Redriven) {
	if r.DryRun {
		p.line("%d would be tried: %d can be applied, %d were overtaken by newer records, %d would fail again", r.Matched, r.Applied, r.Stale, r.Failed)
	} else {
		p.line("%d were tried: %d are applied, %d were overtaken by newer records, %d failed again", r.Matched, r.Applied, r.Stale, r.Failed)
	}
	showFailures(p, r.Errors)
}

func showReplay(p *page, r sources.ReplayStatus) {
	p.line("%s, from %s: %s", r.Into, r.Collection, strings.ReplaceAll(string(r.State), "_", " "))
	p.line("points   %d, of %d in %s", r.Points, r.OldPoints, r.Collection)
	p.line("waiting  %d records, %s", r.Lag, roughly(r.LagSeconds))
	if r.Gap > 0 {
		p.line("gap      %d records had gone from the logs at the start", r.Gap)
	}
	if r.Overlap != nil {
		p.line("overlap  %.3f", *r.Overlap)
	}
	for _, what := range r.WaitsFor {
		p.line("until    %s", what)
	}
}

func showReplays(p *page, list struct{ Replays []sources.ReplayStatus }) {
	if len(list.Replays) == 0 {
		p.line("there are no replays")
	}
	for _, r := range list.Replays {
		showReplay(p, r)
	}
}

func showCancelled(p *page, r struct{ Dropped bool }) {
	if r.Dropped {
		p.line("the replay is forgotten, and what it had built is dropped")
	} else {
		p.line("the replay is forgotten; the collection that it built stays")
	}
}
