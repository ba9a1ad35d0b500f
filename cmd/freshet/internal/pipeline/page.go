package pipeline

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"math"
	"slices"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the report as a page of its own, with plots.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Report
		Bars     []bar
		Scale    []tick
		Readings []titled
		Charts   []*chart
	}{r, r.bars(), r.scale(), r.readings(), r.charts()})
}

// The plot's measures, in pixels.
const (
	plotLeft  = 110.0
	plotWidth = 560.0
	barHeight = 14.0
	barGap    = 30.0
)

// bar shows the time from produced to searchable at one rate, on a logarithmic axis
// that begins at leastMs.
type bar struct {
	Rate           int
	Y, Text        float64
	P50, P99       float64 // ms
	Width50, Width float64
}

// tick is a place on the axis.
type tick struct {
	X  float64
	Ms float64
}

const leastMs = 0.1

// total is the time of all stages.
func (s *Step) total() Times {
	if len(s.Stages) == 0 {
		return Times{}
	}
	return s.Stages[len(s.Stages)-1].Times
}

// decades is the end of the axis, in decades from leastMs.
func (r *Report) decades() float64 {
	most := articleRest
	for i := range r.Steps {
		most = max(most, r.Steps[i].total().P99)
	}
	return math.Ceil(math.Log10(most / leastMs))
}

func (r *Report) x(ms float64) float64 {
	return plotWidth * math.Log10(max(ms, leastMs)/leastMs) / r.decades()
}

func (r *Report) bars() []bar {
	var list []bar
	steps := slices.SortedFunc(slices.Values(r.Steps), func(a, b Step) int { return cmp.Compare(a.Rate, b.Rate) })
	for i := range steps {
		t, y := steps[i].total(), 30+barGap*float64(i)
		list = append(list, bar{
			Rate: steps[i].Rate, Y: y, Text: y + barHeight - 3, P50: t.P50, P99: t.P99, Width50: r.x(t.P50), Width: r.x(t.P99),
		})
	}
	return list
}

func (r *Report) scale() []tick {
	var list []tick
	for d := 0.0; d <= r.decades(); d++ {
		ms := leastMs * math.Pow(10, d)
		list = append(list, tick{plotLeft + r.x(ms), ms})
	}
	return list
}

// Height is that of the plot.
func (r *Report) Height() float64 { return 40 + barGap*float64(len(r.Steps)) }

// ArticleX is where the article's pipeline is without making the embeddings.
func (r *Report) ArticleX() float64 { return plotLeft + r.x(articleRest) }
