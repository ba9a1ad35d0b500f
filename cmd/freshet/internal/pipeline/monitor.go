package pipeline

import (
	"context"
	"sync"
	"time"

	"freshet/ingest"
	"freshet/server"
)

// monitor counts records as they become searchable, and how long they took. The source's
// goroutine tells it, the run asks.
type monitor struct {
	mu             sync.Mutex
	produced       int64 // acknowledged by the brokers
	applied        int64
	whole, lastly  [len(ingest.Times{})]histogram // since the start; since the last moment
	lastP, lastA   int64                          // counts at the last moment
	lastMomentTime time.Time
}

func (m *monitor) observe(times ingest.Times) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied++
	for i, d := range times {
		bucket := bucketOf(d)
		m.whole[i].count(bucket)
		m.lastly[i].count(bucket)
	}
}

func (m *monitor) acknowledged() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.produced++
}

// count returns how many records are applied.
func (m *monitor) count() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

// lag returns how many records wait of those that were acknowledged.
func (m *monitor) lag() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.produced-m.applied)
}

// stages returns how long records took, beside what others take.
func (m *monitor) stages(others map[ingest.Stage]float64) []Stage {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Stage, len(ingest.AllStages))
	for i, stage := range ingest.AllStages {
		list[i] = Stage{Name: string(stage), Times: m.whole[i].times(), Article: others[stage]}
	}
	return list
}

// Moment is what there was to see during a little while.
type Moment struct {
	At       float64 `json:"at_s"` // its end, since the run began
	Produced float64 `json:"produced_per_second"`
	Applied  float64 `json:"applied_per_second"`
	Lag      int64   `json:"lag"`
	// BatchLimit is the bound on a batch, BatchP99 what it is decided by.
	BatchLimit int     `json:"batch_limit"`
	BatchP99   float64 `json:"batch_p99_ms"`
	// P50 is by stage, P99 of all stages together; without a record there is none.
	P50 map[ingest.Stage]float64 `json:"p50_ms,omitempty"`
	P99 float64                  `json:"p99_ms,omitempty"`
}

// moment ends a while and sums it up.
func (n *node) moment(began time.Time) Moment {
	s := n.m.Status()[0]
	x := n.seen.moment(s.Limit, began)
	if n.reads {
		for _, p := range s.Partitions {
			x.Lag += p.Lag
		}
	}
	return x
}

func (m *monitor) moment(limit ingest.LimitStatus, began time.Time) Moment {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	passed := now.Sub(m.lastMomentTime).Seconds()
	x := Moment{
		At: now.Sub(began).Seconds(), Lag: max(0, m.produced-m.applied), BatchLimit: limit.Records, BatchP99: ms(limit.P99),
		Produced: float64(m.produced-m.lastP) / passed, Applied: float64(m.applied-m.lastA) / passed,
	}
	if m.applied > m.lastA {
		x.P50 = map[ingest.Stage]float64{}
		for i, stage := range ingest.AllStages {
			t := m.lastly[i].times()
			x.P50[stage], x.P99 = t.P50, t.P99 // the last stage is the sum
		}
	}
	m.lastly, m.lastP, m.lastA, m.lastMomentTime = [len(ingest.Times{})]histogram{}, m.produced, m.applied, now
	return x
}

// watch is what was seen of a node over some time. Its fields are to be read after stop.
type watch struct {
	stop     func() // waits for its goroutines
	moments  []Moment
	searches []time.Duration
}

// watch looks at a node every so often, and searches it with the queries one after the other,
// if there are any, until it is stopped. It shows how many of the records there are yet.
func (b *bench) watch(ctx context.Context, n *node, every time.Duration, doing string, records int64, queries []server.SearchRequest) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{}
	var wg sync.WaitGroup
	w.stop = func() {
		cancel()
		wg.Wait()
	}
	n.seen.begin()
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			if records > 0 {
				b.Progress(doing, min(n.seen.count(), records), records)
			}
			select {
			case <-ctx.Done():
				if len(w.moments) > 0 {
					return // what is left is short
				}
			case <-tick.C:
			}
			w.moments = append(w.moments, n.moment(b.began))
		}
	})
	if len(queries) > 0 {
		wg.Go(func() { w.searches = n.searches(ctx, queries) })
	}
	return w
}

// forget begins to count anew.
func (m *monitor) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.produced, m.applied, m.lastP, m.lastA = 0, 0, 0, 0
	m.whole, m.lastly = [len(ingest.Times{})]histogram{}, [len(ingest.Times{})]histogram{}
}

// begin begins a while.
func (m *monitor) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastMomentTime = time.Now()
}
