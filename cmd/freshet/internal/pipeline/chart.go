package pipeline

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"freshet/ingest"
)

// The measures of a chart over time, in pixels.
const (
	chartLeft, chartTop     = 60.0, 24.0
	chartWidth, chartHeight = 580.0, 170.0
)

// section is a part of the run: its moments are drawn as one.
type section struct {
	name    string
	moments []Moment
}

// sections are the parts of the run that have moments, in order.
func (r *Report) sections() (list []section) {
	add := func(name string, moments []Moment) {
		if len(moments) > 0 {
			list = append(list, section{name, moments})
		}
	}
	for i := range r.Steps {
		add(strconv.Itoa(r.Steps[i].Rate)+"/s", r.Steps[i].Moments)
	}
	if r.Backlog != nil {
		add("backlog", r.Backlog.Moments)
	}
	if r.Live != nil {
		add("then", r.Live.Moments)
	}
	return list
}

// value is what a line shows of a moment; false where there is nothing to show.
type value func(m *Moment) (float64, bool)

func always(of func(m *Moment) float64) value {
	return func(m *Moment) (float64, bool) { return of(m), true }
}

func median(of ingest.Stage) value {
	return func(m *Moment) (float64, bool) { return m.P50[of], m.P50[of] > 0 }
}

// line is one of a chart; its class says how it looks.
type line struct {
	Class, Name, Path string
	right             bool // by the axis on the right
	value             value
}

// mark is a place on an axis, or the beginning of a section.
type mark struct {
	At   float64
	Text string
}

// chart shows moments on the axis of time.
type chart struct {
	Title             string
	Lines             []*line
	Left, Right       []mark
	Seconds, Sections []mark
}

// charts draws what there was to see over the run.
func (r *Report) charts() []*chart {
	sections := r.sections()
	if len(sections) == 0 {
		return nil
	}
	stages := &chart{Title: "Latency by stage: medians, and P99 of all together, ms"}
	for _, s := range ingest.AllStages {
		stages.Lines = append(stages.Lines, &line{Class: string(s), Name: string(s), value: median(s)})
	}
	stages.Lines = append(stages.Lines, &line{Class: "p99", Name: "total, P99", value: func(m *Moment) (float64, bool) { return m.P99, m.P99 > 0 }})
	lag := &chart{Title: "Lag: records that are produced and not searchable; 1 and none alike", Lines: []*line{
		{Class: "total", Name: "lag", value: always(func(m *Moment) float64 { return float64(max(m.Lag, 1)) })},
	}}
	batch := &chart{Title: "P99 of a batch, ms (left), against its limit, records (right)", Lines: []*line{
		{Class: "p99", Name: "P99 of a batch", value: always(func(m *Moment) float64 { return m.BatchP99 })},
		{Class: "total", Name: "batch limit", right: true, value: always(func(m *Moment) float64 { return float64(m.BatchLimit) })},
	}}
	throughput := &chart{Title: "Throughput: records per second", Lines: []*line{
		{Class: "transit", Name: "produced", value: func(m *Moment) (float64, bool) { return m.Produced, m.Produced > 0 }},
		{Class: "total", Name: "searchable", value: always(func(m *Moment) float64 { return m.Applied })},
	}}
	all := []*chart{stages, lag, batch, throughput}
	for _, c := range all {
		c.draw(sections, c == stages || c == lag)
	}
	return all
}

// draw places lines and axes. A logarithmic axis begins at the least value.
func (c *chart) draw(sections []section, logarithmic bool) {
	from, to := sections[0].moments[0].At, 0.0
	for _, s := range sections {
		to = max(to, s.moments[len(s.moments)-1].At)
	}
	x := func(at float64) float64 { return chartLeft + chartWidth*(at-from)/max(to-from, 1e-9) }
	c.Seconds = axis(from, to, func(v float64) float64 { return x(v) }, " s")
	for _, s := range sections {
		c.Sections = append(c.Sections, mark{x(s.moments[0].At), s.name})
	}
	for _, right := range []bool{false, true} {
		least, most := c.bounds(sections, right)
		if most == 0 {
			continue
		}
		y := func(v float64) float64 { return chartTop + chartHeight*(1-v/most) }
		marks := axis(0, most, y, "")
		if logarithmic {
			low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
			high = max(high, low+1)
			y = func(v float64) float64 { return chartTop + chartHeight*(1-(math.Log10(v)-low)/(high-low)) }
			marks = nil
			for d := low; d <= high; d++ {
				marks = append(marks, mark{y(math.Pow(10, d)), strconv.FormatFloat(math.Pow(10, d), 'f', -1, 64)})
			}
		}
		if right {
			c.Right = marks
		} else {
			c.Left = marks
		}
		for _, l := range c.Lines {
			if l.right == right {
				l.draw(sections, x, y)
			}
		}
	}
	drawn := c.Lines[:0]
	for _, l := range c.Lines {
		if l.Path != "" {
			drawn = append(drawn, l)
		}
	}
	c.Lines = drawn
}

// bounds returns the least and the greatest value of the lines of an axis.
func (c *chart) bounds(sections []section, right bool) (least, most float64) {
	least = math.Inf(1)
	for _, l := range c.Lines {
		if l.right != right {
			continue
		}
		for _, s := range sections {
			for i := range s.moments {
				if v, ok := l.value(&s.moments[i]); ok {
					least, most = min(least, v), max(most, v)
				}
			}
		}
	}
	return least, most
}

// draw connects the values of each section; where there is none the line has a gap.
func (l *line) draw(sections []section, x, y func(float64) float64) {
	var path strings.Builder
	for _, s := range sections {
		pen := "M"
		for i := range s.moments {
			v, ok := l.value(&s.moments[i])
			if !ok {
				pen = "M"
				continue
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", pen, x(s.moments[i].At), y(v))
			pen = "L"
		}
	}
	l.Path = path.String()
}

// axis places a handful of round numbers.
func axis(from, to float64, place func(float64) float64, unit string) (marks []mark) {
	step := math.Pow(10, math.Floor(math.Log10(max(to-from, 1e-9))))
	for _, part := range []float64{0.2, 0.5, 1, 2} {
		if (to-from)/(step*part) <= 6 {
			step *= part
			break
		}
	}
	for v := math.Ceil(from/step) * step; v <= to; v += step {
		marks = append(marks, mark{place(v), strconv.FormatFloat(math.Round(v/step)*step, 'f', max(0, int(-math.Floor(math.Log10(step)))), 64) + unit})
	}
	return marks
}
