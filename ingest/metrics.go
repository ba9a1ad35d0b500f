package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/metric"
)

// metrics are those of all sources.
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
			Name: "freshet_source_records_total", Help: "Records by what became of them: upsert, delete, stale, dead_letter (by reason), skipped.",
		}, append(labels, "outcome", "reason")),
		freshness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_freshness_seconds", Help: "From a record's timestamp to its visibility to searches.", Buckets: freshnessBuckets,
		}, labels),
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_stage_seconds", Help: "Time of a record in each stage of its way: transit, queue, decode, embed, commit, index.", Buckets: freshnessBuckets,
		}, append(labels, "stage")),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_source_batch_seconds", Help: "From the poll of a batch's first records to its visibility.", Buckets: freshnessBuckets,
		}, labels),
		keys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_source_key_problems_total", Help: "Records by problem: unkeyed: without a key in topics where several partitions have such; crossed: for points that another partition of the topic had written.",
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
	observe   func(Times) // nil for nobody
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

// batch counts a batch, of which applying began at a time, and its records' latencies.
func (m *sourceMetrics) batch(d *decoded, applied server.Applied, began time.Time) {
	now := time.Now()
	m.batches.Observe(now.Sub(d.polled).Seconds())
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
		x := Times{
			max(arrived.Sub(r.Timestamp), 0), max(began.Sub(arrived)-d.decoding-d.embedding, 0), d.decoding, d.embedding,
			applied.Commit, applied.Index, max(now.Sub(r.Timestamp), 0),
		}
		m.stages.add(x)
		if m.observe != nil {
			m.observe(x)
		}
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
	for _, l := range letters {
		if l.err.Reason == decode.TooManyDeletes {
			s.earlyRefused++
		}
	}
}

// gauges reads the state of all sources when it is asked for.
type gauges struct{ m *Manager }

var (
	lagRecordsDesc = metric.Gauge("freshet_source_lag_records", "Records of the log that are not applied.", "collection", "source", "topic", "partition")
	lagSecondsDesc = metric.Gauge("freshet_source_lag_seconds", "Age of the oldest record that is not applied, 0 if there is none. While that is still at the broker, it is the age of the newest applied record, or the time since nothing was known to wait. Where a start finds records waiting that it does not consume, it asks the log once.", "collection", "source", "topic", "partition")
	limitDesc      = metric.Gauge("freshet_source_batch_limit", "Records that a batch may have.", "collection", "source")
	p99Desc        = metric.Gauge("freshet_source_batch_p99_seconds", "99th percentile of the last window's batch durations, which the limit is decided by.", "collection", "source")
	ageDesc        = metric.Gauge("freshet_source_record_age_p99_seconds", "99th percentile of the newest records' ages when they became visible.", "collection", "source")
	movesDesc      = metric.Counter("freshet_source_batch_limit_moves_total", "Moves of the limit by reason: slow, fast, backlog, over_budget; see ingestion.md.", "collection", "source", "reason")
	overDesc       = metric.Gauge("freshet_source_over_budget", "1 while batches miss the target and smaller ones would not help.", "collection", "source")
	bufferDesc     = metric.Gauge("freshet_source_buffered_bytes", "Records that are fetched and not applied.", "collection", "source")
	earlyDesc      = metric.Gauge("freshet_source_early_deletes", "Points of which deletes are kept, of a source with a route: they are in collections that do not exist yet. Those that are too many are dead letters, too_many_deletes.", "collection", "source")
	pausedDesc     = metric.Gauge("freshet_source_paused", "Partitions that are not consumed, by reason: gap, failed, paused, retrying, disk_full, memory_full; buffer: not fetched for now, because enough is buffered.", "collection", "source", "reason")
)

// Metrics returns what is described.
func (g gauges) Metrics() []metric.Desc {
	return []metric.Desc{lagRecordsDesc, lagSecondsDesc, limitDesc, p99Desc, ageDesc, movesDesc, overDesc, bufferDesc, earlyDesc, pausedDesc}
}

// Describe names the gauges.
func (g gauges) Describe(ch chan<- *prometheus.Desc) { metric.Describe(g, ch) }

// Collect reads them.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	for _, s := range g.m.Status() {
		ch <- limitDesc.Of(float64(s.Limit.Records), s.Collection, s.Name)
		ch <- p99Desc.Of(s.Limit.P99.Seconds(), s.Collection, s.Name)
		ch <- ageDesc.Of(s.ageP99().Seconds(), s.Collection, s.Name)
		ch <- bufferDesc.Of(float64(s.Buffer.Bytes), s.Collection, s.Name)
		ch <- overDesc.Bool(s.Limit.OverBudget, s.Collection, s.Name)
		if s.Early != nil {
			ch <- earlyDesc.Of(float64(s.Early.Kept), s.Collection, s.Name)
		}
		for _, why := range moves {
			ch <- movesDesc.Of(float64(s.Limit.Moves[why]), s.Collection, s.Name, string(why))
		}
		paused := map[State]int{Gap: 0, Failed: 0, Paused: 0, Retrying: 0, DiskFull: 0, MemoryFull: 0}
		for _, p := range s.Partitions {
			number := strconv.Itoa(int(p.Partition))
			ch <- lagRecordsDesc.Of(float64(p.Lag), s.Collection, s.Name, p.Topic, number)
			ch <- lagSecondsDesc.Of(p.lagSeconds(), s.Collection, s.Name, p.Topic, number)
			state := p.State
			if state == Running {
				state = s.State // of the whole source
			}
			if _, ok := paused[state]; ok {
				paused[state]++
			}
		}
		for reason, n := range paused {
			ch <- pausedDesc.Of(float64(n), s.Collection, s.Name, string(reason))
		}
		ch <- pausedDesc.Of(float64(s.Buffer.Held), s.Collection, s.Name, "buffer")
	}
}
