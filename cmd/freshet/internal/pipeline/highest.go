package pipeline

import (
	"math"
	"slices"
	"time"
)

const (
	// reached is the share of a rate from which on the producer has come to it.
	reached = 0.95
	// growing is by which share of what is produced meanwhile the lag may rise without
	// counting as growing.
	growing = 0.05
	// near is how far the lowest rate at which the lag grows may be above the highest at
	// which it does not, for the search to end.
	near = 1.2
	// maxSought bounds the steps of the search: from 1 to maxRate and back to near.
	maxSought = 20
)

// grows says whether the lag did, in the moments until an end: whether its median over the
// last third is above that of the second by more than a small share of what was produced in
// between. What waits for a batch, and a stall that is made up for, is no growth.
func grows(moments []Moment, end time.Duration) bool {
	for len(moments) > 0 && moments[len(moments)-1].At > end.Seconds() {
		moments = moments[:len(moments)-1]
	}
	third := len(moments) / 3
	if third == 0 {
		return false
	}
	second, last := moments[third:2*third], moments[len(moments)-third:]
	passed := last[third-1].At - second[third-1].At
	return medianOf(last, Moment.lag)-medianOf(second, Moment.lag) > growing*passed*medianOf(last, Moment.produced)
}

func (m Moment) lag() float64      { return float64(m.Lag) }
func (m Moment) produced() float64 { return m.Produced }

func medianOf(moments []Moment, of func(Moment) float64) float64 {
	values := make([]float64, len(moments))
	for i, m := range moments {
		values[i] = of(m)
	}
	slices.Sort(values)
	return (values[len(values)/2] + values[(len(values)-1)/2]) / 2
}

// Highest is the highest rate that was kept up with, and what is above it.
type Highest struct {
	// PerSecond is 0 if no rate was kept up with.
	PerSecond float64 `json:"records_per_second"`
	// GrowsAt is the lowest rate above it at which the lag grew; 0 if there was none.
	GrowsAt float64 `json:"lag_grows_at,omitempty"`
	// Asked is the rate that the producer was to reach and did not, where that, and not
	// the lag, is the end; 0 otherwise.
	Asked int `json:"producer_asked_for,omitempty"`
}

// ProducerShort says whether the producer did not come to the rate that it was to reach.
func (s *Step) ProducerShort() bool { return s.Produced < reached*float64(s.Rate) }

// offered is the rate at which records came to the source.
func (s *Step) offered() float64 {
	if s.ProducerShort() {
		return s.Produced
	}
	return float64(s.Rate)
}

// highest is what steps tell; nil without any.
func highest(steps []Step) *Highest {
	if len(steps) == 0 {
		return nil
	}
	h := &Highest{}
	for i := range steps {
		if s := &steps[i]; s.KeepsUp && s.offered() > h.PerSecond {
			h.PerSecond = s.offered()
		}
	}
	for i := range steps {
		s := &steps[i]
		switch {
		case !s.KeepsUp && s.offered() > h.PerSecond:
			if h.GrowsAt == 0 || s.offered() < h.GrowsAt {
				h.GrowsAt = s.offered()
			}
		case s.KeepsUp && s.ProducerShort() && (h.Asked == 0 || s.Rate < h.Asked):
			h.Asked = s.Rate
		}
	}
	if h.GrowsAt > 0 {
		h.Asked = 0
	}
	return h
}

// next returns the rate to try next so as to find where the lag begins to grow; 0 if that
// is found, or cannot be.
func (b *bench) next(steps []Step) int {
	h := highest(steps)
	var rate float64
	switch {
	case h == nil || h.Asked > 0:
		return 0
	case h.GrowsAt == 0:
		rate = 2 * h.PerSecond
	case h.PerSecond == 0:
		rate = h.GrowsAt / 2
	case h.GrowsAt/h.PerSecond > near:
		rate = math.Sqrt(h.PerSecond * h.GrowsAt)
	default:
		return 0
	}
	// Two digits are enough.
	unit := math.Pow(10, max(0, math.Floor(math.Log10(max(rate, 1)))-1))
	rate = math.Round(rate/unit) * unit
	if rate < 1 || rate > maxRate || rate*b.Duration.Seconds() > maxRecords {
		return 0
	}
	for i := range steps {
		if steps[i].Rate == int(rate) {
			return 0
		}
	}
	return int(rate)
}
