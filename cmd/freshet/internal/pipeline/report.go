package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"freshet/ingest"
)

// Report is what was measured. Times are in milliseconds.
type Report struct {
	Began      time.Time `json:"began"`
	Machine    string    `json:"machine"`
	Vectors    string    `json:"vectors"`
	Dim        int       `json:"dim"`
	Distance   string    `json:"distance"`
	Partitions int       `json:"partitions"`
	Steps      []Step    `json:"steps"`
	Backlog    *Backlog  `json:"backlog,omitempty"`
	Recall     *Recall   `json:"recall,omitempty"`
}

// Step is what was measured at one rate.
type Step struct {
	Rate     int     `json:"rate"` // records per second that were asked for
	Records  int     `json:"records"`
	Produced float64 `json:"produced_per_second"`
	// Lag is how many records were produced and not applied when the last one was
	// acknowledged, which KeepsUp bounds by those of a second.
	Lag        int64   `json:"lag"`
	KeepsUp    bool    `json:"keeps_up"`
	BatchLimit int     `json:"batch_limit"`
	Stages     []Stage `json:"stages"`
	Search     *Times  `json:"search,omitempty"`
}

// Times are percentiles.
type Times struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// Stage is a part of a record's way; Article what the pipeline of the article takes
// for it, 0 where it says nothing.
type Stage struct {
	Name string `json:"stage"`
	Times
	Article float64 `json:"article_ms,omitempty"`
}

// Backlog is how fast records were consumed that were all there.
type Backlog struct {
	Records   int     `json:"records"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"records_per_second"`
}

// Recall is the share of the true nearest that searches found.
type Recall struct {
	K       int     `json:"k"`
	Queries int     `json:"queries"`
	Recall  float64 `json:"recall"`
	Search  Times   `json:"search"`
}

// article has the stages of a consumer, a hop over the network and a database.
var article = map[ingest.Stage]float64{ingest.Transit: 15, ingest.Embed: 50, ingest.Index: 20, ingest.Total: 85}

func newReport(o *Options) *Report {
	return &Report{
		Began: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Vectors: o.Vectors.Name, Dim: o.Vectors.dim(), Distance: string(o.Distance), Partitions: o.Partitions,
	}
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// times returns nil if there are none.
func times(all []time.Duration) *Times {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(q float64) float64 { return ms(all[min(len(all)-1, int(q*float64(len(all))))]) }
	return &Times{P50: at(0.5), P99: at(0.99)}
}

func (r *Report) step(rate, records int, took time.Duration, lag int64, s *ingest.Status, searches []time.Duration) {
	step := Step{
		Rate: rate, Records: records, Produced: float64(records) / took.Seconds(), Lag: lag,
		KeepsUp: lag <= int64(rate), BatchLimit: s.Limit.Records, Search: times(searches),
	}
	for _, stage := range s.Stages {
		step.Stages = append(step.Stages, Stage{Name: string(stage.Stage), Times: Times{P50: ms(stage.P50), P99: ms(stage.P99)}, Article: article[stage.Stage]})
	}
	r.Steps = append(r.Steps, step)
}

func (r *Report) backlog(records int, took time.Duration) {
	r.Backlog = &Backlog{Records: records, Seconds: took.Seconds(), PerSecond: float64(records) / took.Seconds()}
}

func (r *Report) recall(found, wanted, queries int, took []time.Duration) {
	if t := times(took); t != nil && wanted > 0 {
		r.Recall = &Recall{K: topK, Queries: queries, Recall: float64(found) / float64(wanted), Search: *t}
	}
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s; %s; %s\n", r.Vectors, r.Distance, r.Machine)
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, s := range r.Steps {
		var rows strings.Builder
		fmt.Fprintf(&text, "\n%d records/s: %d produced at %.0f/s, %d behind in the end (%s), batch limit %d\n\n", s.Rate, s.Records,
			s.Produced, s.Lag, keeping(s.KeepsUp), s.BatchLimit)
		fmt.Fprintf(&rows, "ms\tP50\tP99\tthe article's pipeline\t\n")
		for _, stage := range s.Stages {
			theirs := ""
			if stage.Article > 0 {
				theirs = fmt.Sprintf("%.0f", stage.Article)
			}
			fmt.Fprintf(&rows, "%s\t%.2f\t%.2f\t%s\t\n", stage.Name, stage.P50, stage.P99, theirs)
		}
		if s.Search != nil {
			fmt.Fprintf(&rows, "a search meanwhile\t%.2f\t%.2f\t\t\n", s.Search.P50, s.Search.P99)
		}
		if _, err := io.WriteString(t, rows.String()); err != nil {
			return err
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if b := r.Backlog; b != nil {
		fmt.Fprintf(&text, "\nA backlog of %d records was consumed in %.1f s: %.0f records/s\n", b.Records, b.Seconds, b.PerSecond)
	}
	if c := r.Recall; c != nil {
		fmt.Fprintf(&text, "\nrecall@%d of %d queries against exact searches: %.3f; a search took %.2f ms, P99 %.2f\n", c.K, c.Queries, c.Recall, c.Search.P50, c.Search.P99)
	}
	fmt.Fprintf(&text, "\nTimes are from the record's timestamp, which has whole milliseconds, to searchable; producer, brokers and database\n"+
		"have to agree on the time. No inference is in them.\n")
	_, err := io.WriteString(w, text.String())
	return err
}

func keeping(up bool) string {
	if up {
		return "keeps up"
	}
	return "does not keep up"
}
