package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/server"
)

// metrics are those of all sources; docs/metrics.md describes them.
type metrics struct {
	records   *prometheus.CounterVec
	freshness *prometheus.HistogramVec
	stage     *prometheus.HistogramVec
	batches   *prometheus.HistogramVec
	kept      *prometheus.CounterVec
	keys      *prometheus.CounterVec
}

// freshnessBuckets reach from a millisecond to the age of a neglected backlog.
var freshnessBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600, 3600}

func newMetrics() *metrics {
	labels := []string{"collection", "source"}
	return &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_source_records_total", Help: "Records consumed by what became of them.",
		}, append(labels, "outcome", "reason")),
		freshness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_freshness_seconds", Help: "Time from a record's timestamp to its visibility.", Buckets: freshnessBuckets,
		}, labels),
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_stage_seconds", Help: "Time of a record in each stage of its way.", Buckets: freshnessBuckets,
		}, append(labels, "stage")),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_source_batch_seconds", Help: "Time from the poll of a batch to its visibility.", Buckets: freshnessBuckets,
		}, labels),
		keys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_source_key_problems_total", Help: "Records whose keys do not keep points in their partitions.",
		}, append(labels, "problem")),
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_source_kept_letters_total", Help: "Dead letters that the collection keeps: there is no topic for them, or they are too large for it.",
		}, labels),
	}
}

func (m *metrics) register(r prometheus.Registerer, gauges prometheus.Collector) error {
	for _, c := range []prometheus.Collector{m.records, m.freshness, m.stage, m.batches, m.kept, m.keys, gauges} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the metrics of a source.
func (m *metrics) forget(s *Source) {
	labels := prometheus.Labels{"collection": s.Collection, "source": s.Name}
	m.records.DeletePartialMatch(labels)
	m.kept.DeletePartialMatch(labels)
	m.keys.DeletePartialMatch(labels)
	for _, h := range []*prometheus.HistogramVec{m.freshness, m.stage, m.batches} {
		h.DeletePartialMatch(labels)
	}
}

// sourceMetrics are those of one source.
type sourceMetrics struct {
	records   *prometheus.CounterVec
	freshness prometheus.Observer
	stage     []prometheus.Observer // by AllStages, without Total
	batches   prometheus.Observer
	kept      prometheus.Counter
	keys      *prometheus.CounterVec
	stages    stages
}

func (m *metrics) of(s *Source) *sourceMetrics {
	labels := prometheus.Labels{"collection": s.Collection, "source": s.Name}
	sm := &sourceMetrics{
		records:   m.records.MustCurryWith(labels),
		keys:      m.keys.MustCurryWith(labels),
		freshness: m.freshness.With(labels),
		batches:   m.batches.With(labels),
		kept:      m.kept.With(labels),
	}
	for _, stage := range AllStages[:len(AllStages)-1] {
		sm.stage = append(sm.stage, m.stage.WithLabelValues(s.Collection, s.Name, string(stage)))
	}
	return sm
}

// batch counts an applied batch and its records' latencies.
func (m *sourceMetrics) batch(d *decoded, applied server.Applied, polled time.Time, decoding time.Duration) {
	now := time.Now()
	m.batches.Observe(now.Sub(polled).Seconds())
	count := func(outcome, reason string, n int) {
		if n > 0 {
			m.records.WithLabelValues(outcome, reason).Add(float64(n))
		}
	}
	count("upsert", "", applied.Upserted)
	count("delete", "", applied.Deleted)
	count("stale", "", applied.Stale)
	m.stages.mu.Lock()
	defer m.stages.mu.Unlock()
	for _, r := range d.records {
		arrived := arrivedAt(r)
		x := sample{
			max(arrived.Sub(r.Timestamp), 0), max(polled.Sub(arrived), 0), decoding, d.embedding,
			applied.Commit, applied.Index, max(now.Sub(r.Timestamp), 0),
		}
		m.stages.add(x)
		for i := range m.stage {
			m.stage[i].Observe(x[i].Seconds())
		}
		m.freshness.Observe(x[len(x)-1].Seconds())
	}
}

// countLetters counts dead letters once they are where they are kept, or are held.
func (s *session) countLetters(letters []letter, kept int) {
	for _, l := range letters {
		s.metrics.records.WithLabelValues("dead_letter", string(l.err.Reason)).Inc()
	}
	s.metrics.kept.Add(float64(kept))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters.Total += int64(len(letters))
	s.letters.Kept += int64(kept)
}

// gauges reads the state of all sources when it is asked for.
type gauges struct{ m *Manager }

var (
	lagRecordsDesc = prometheus.NewDesc("freshet_source_lag_records", "Records of the log that are not applied yet.",
		[]string{"collection", "source", "topic", "partition"}, nil)
	lagSecondsDesc = prometheus.NewDesc("freshet_source_lag_seconds", "Age of the oldest record that is not applied; 0 when there is none.",
		[]string{"collection", "source", "topic", "partition"}, nil)
	limitDesc  = prometheus.NewDesc("freshet_source_batch_limit", "Records that one batch may have.", []string{"collection", "source"}, nil)
	p99Desc    = prometheus.NewDesc("freshet_source_batch_p99_seconds", "99th percentile of the last window's batch durations.", []string{"collection", "source"}, nil)
	ageDesc    = prometheus.NewDesc("freshet_source_record_age_p99_seconds", "99th percentile of the newest records' ages when they became visible.", []string{"collection", "source"}, nil)
	movesDesc  = prometheus.NewDesc("freshet_source_batch_limit_moves_total", "Moves of the limit by why.", []string{"collection", "source", "reason"}, nil)
	overDesc   = prometheus.NewDesc("freshet_source_over_budget", "1 while batches miss the target and smaller ones would not help.", []string{"collection", "source"}, nil)
	pausedDesc = prometheus.NewDesc("freshet_source_paused", "Partitions that are not consumed.", []string{"collection", "source", "reason"}, nil)
)

// Describe names the gauges.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagRecordsDesc, lagSecondsDesc, limitDesc, p99Desc, ageDesc, movesDesc, overDesc, pausedDesc} {
		ch <- d
	}
}

// Collect reads them.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range g.m.Status() {
		gauge(limitDesc, float64(s.Limit.Records), s.Collection, s.Name)
		gauge(p99Desc, s.Limit.P99.Seconds(), s.Collection, s.Name)
		gauge(ageDesc, s.ageP99().Seconds(), s.Collection, s.Name)
		over := 0.0
		if s.Limit.OverBudget {
			over = 1
		}
		gauge(overDesc, over, s.Collection, s.Name)
		for _, why := range moves {
			ch <- prometheus.MustNewConstMetric(movesDesc, prometheus.CounterValue, float64(s.Limit.Moves[why]), s.Collection, s.Name, string(why))
		}
		paused := map[State]int{Gap: 0, Failed: 0, Paused: 0, Retrying: 0, DiskFull: 0}
		for _, p := range s.Partitions {
			number := strconv.Itoa(int(p.Partition))
			gauge(lagRecordsDesc, float64(p.Lag), s.Collection, s.Name, p.Topic, number)
			gauge(lagSecondsDesc, p.LagTime.Seconds(), s.Collection, s.Name, p.Topic, number)
			state := p.State
			if state == Running {
				state = s.State // of the whole source
			}
			if _, ok := paused[state]; ok {
				paused[state]++
			}
		}
		for reason, n := range paused {
			gauge(pausedDesc, float64(n), s.Collection, s.Name, string(reason))
		}
	}
}
