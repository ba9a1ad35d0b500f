package pipeline

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"freshet/ingest"
)

// plotted is a report with moments of every kind.
func plotted() *Report {
	moments := func(from float64, lag ...int64) (list []Moment) {
		for i, n := range lag {
			m := Moment{At: from + float64(i), Produced: 100, Applied: 90, Lag: n, BatchLimit: 100 - i, BatchP99: float64(10 * i)}
			if i != 1 { // once nothing came
				m.P50 = map[ingest.Stage]float64{ingest.Transit: 0.5, ingest.Total: 2}
				m.P99 = 30
			}
			list = append(list, m)
		}
		return list
	}
	stage := []Stage{{Name: "total", Times: Times{1, 2}}}
	return &Report{
		Steps:   []Step{{Rate: 500, Table: Table{Stages: stage}, Moments: moments(1, 0, 5, 10)}, {Rate: 100, Table: Table{Stages: stage}, Moments: moments(10, 0, 0, 0, 0)}},
		Backlog: &Reading{Moments: moments(20, 20_000, 100)},
	}
}

// TestChartsShowTheMoments follows the lines through their places.
func TestChartsShowTheMoments(t *testing.T) {
	charts := plotted().charts()
	if len(charts) != 4 {
		t.Fatalf("%d charts", len(charts))
	}
	moves := func(c *chart, name string) []string {
		for _, l := range c.Lines {
			if l.Name == name {
				return regexp.MustCompile(`[ML]`).FindAllString(l.Path, -1)
			}
		}
		return nil
	}
	for _, x := range []struct {
		chart       int
		line, moves string
	}{
		{0, "transit", "MMMMLM"}, // a gap where nothing came
		{0, "queue", ""},         // never any
		{1, "lag", "MLLMLLLML"},  // the parts of the run are apart
		{2, "batch limit", "MLLMLLLML"},
		{3, "produced", "MLLMLLLML"},
	} {
		if got := strings.Join(moves(charts[x.chart], x.line), ""); got != x.moves {
			t.Errorf("%s: %s is drawn %q, want %q", charts[x.chart].Title, x.line, got, x.moves)
		}
	}
	place := regexp.MustCompile(`[ML]([-0-9.]+) ([-0-9.]+)`)
	for _, c := range charts {
		if len(c.Seconds) < 2 || len(c.Left) < 2 || len(c.Sections) != 3 {
			t.Errorf("%s: axes %v, %v, sections %v", c.Title, c.Seconds, c.Left, c.Sections)
		}
		for _, l := range c.Lines {
			for _, m := range place.FindAllStringSubmatch(l.Path, -1) {
				x, errX := strconv.ParseFloat(m[1], 64)
				y, errY := strconv.ParseFloat(m[2], 64)
				if errX != nil || errY != nil || x < chartLeft || x > chartLeft+chartWidth || y < chartTop || y > chartTop+chartHeight {
					t.Errorf("%s: %s goes through %s", c.Title, l.Name, m[0])
				}
			}
		}
	}
	if len(charts[2].Right) < 2 {
		t.Errorf("the limit has the axis %v", charts[2].Right)
	}
	if (&Report{}).charts() != nil {
		t.Error("charts of nothing")
	}
}

// TestPageIsWhole reads the page as XML does its drawings, and finds nothing to fetch.
func TestPageIsWhole(t *testing.T) {
	var page strings.Builder
	if err := plotted().HTML(&page); err != nil {
		t.Fatal(err)
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page.String(), -1)
	if len(drawings) < 5 {
		t.Errorf("%d drawings", len(drawings))
	}
	for _, svg := range drawings {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
		}
	}
	for _, wrong := range []string{"http", "src=", "@import", "url(", "NaN", "Inf", "ZgotmplZ", "1e+"} {
		if strings.Contains(page.String(), wrong) {
			t.Errorf("%s is in the page", wrong)
		}
	}
	if i, j := strings.Index(page.String(), ">100/s</text>"), strings.Index(page.String(), ">500/s</text>"); i < 0 || j < i {
		t.Errorf("bars are not in the order of their rates: %d, %d", i, j)
	}
}

func TestAxis(t *testing.T) {
	for _, x := range []struct {
		from, to float64
		want     string
	}{
		{0, 10, "0 2 4 6 8 10"},
		{0, 7, "0 2 4 6"},
		{0, 0.3, "0.00 0.05 0.10 0.15 0.20 0.25 0.30"},
		{12, 61, "20 30 40 50 60"},
		{0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
	} {
		var texts []string
		for _, m := range axis(x.from, x.to, func(v float64) float64 { return v }, "") {
			texts = append(texts, m.Text)
		}
		if got := strings.Join(texts, " "); got != x.want {
			t.Errorf("from %g to %g: %s, want %s", x.from, x.to, got, x.want)
		}
	}
	if n := len(axis(0, 3e9, func(v float64) float64 { return v }, "")); n < 2 || n > 8 {
		t.Error(fmt.Sprint(n, " marks"))
	}
}
