package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"freshet/ingest"
)

// Report is what was measured. Times are in milliseconds.
type Report struct {
	Began      time.Time `json:"began"`
	Machine    string    `json:"machine"`
	Topic      string    `json:"topic"`
	Vectors    string    `json:"vectors"`
	Dim        int       `json:"dim"`
	Distance   string    `json:"distance"`
	Partitions int       `json:"partitions"`
	Steps      []Step    `json:"steps"`
	Highest    *Highest  `json:"highest,omitempty"`
	Backlog    *Reading  `json:"backlog,omitempty"`
	Live       *Reading  `json:"live,omitempty"` // what came to a topic that was there before
	Recall     *Recall   `json:"recall,omitempty"`
	// Inference says whether the embeddings were made on the way. They never are: the
	// vectors are there before.
	Inference bool   `json:"inference_included"`
	Error     string `json:"error,omitempty"` // which ended the run before its end
}

// Empty says whether nothing was measured.
func (r *Report) Empty() bool { return len(r.Steps) == 0 && r.Backlog == nil }

// Step is what was measured at one rate.
type Step struct {
	Rate     int     `json:"rate"` // records per second that were asked for
	Records  int     `json:"records"`
	Produced float64 `json:"produced_per_second"`
	// Lag is how many records were produced and not applied when the last one was
	// acknowledged. KeepsUp: it had not grown, and was below the records of a second.
	Lag        int64 `json:"lag"`
	KeepsUp    bool  `json:"keeps_up"`
	BatchLimit int   `json:"batch_limit"`
	Table
	Moments []Moment `json:"moments,omitempty"`
}

// Table is how long records took, by stage and in all, and searches meanwhile.
type Table struct {
	Stages []Stage `json:"stages"`
	Search *Times  `json:"search,omitempty"`
}

// Compared says whether there is something to compare the stages with.
func (t *Table) Compared() bool {
	return slices.ContainsFunc(t.Stages, func(s Stage) bool { return s.Article > 0 })
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

// Reading is how records were consumed that were there already, or that others produced.
type Reading struct {
	Records   int     `json:"records"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"records_per_second"`
	Letters   int64   `json:"dead_letters,omitempty"`
	Table
	Moments []Moment `json:"moments,omitempty"`
}

// Recall is the share of the true nearest that searches found.
type Recall struct {
	K       int     `json:"k"`
	Queries int     `json:"queries"`
	Points  int     `json:"points"` // that were searched
	Recall  float64 `json:"recall"`
	Search  Times   `json:"search"`
}

// article has the stages of a consumer, a hop over the network and a database, in ms.
var article = map[ingest.Stage]float64{ingest.Transit: 15, ingest.Embed: 50, ingest.Index: 20, ingest.Total: 85}

// articleRest is what it takes without making the embeddings.
var articleRest = article[ingest.Total] - article[ingest.Embed]

func newReport(o *Options) *Report {
	return &Report{
		Began: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Vectors: o.Vectors.Name, Dim: o.Vectors.dim(), Topic: o.Topic, Distance: string(o.Distance), Partitions: o.Partitions,
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

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
