package server

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Progress is how far Open has come, for those who look on. It is safe for concurrent
// use; the zero value has not begun.
type Progress struct {
	collections, ofCollections atomic.Int64
	points, ofPoints           atomic.Int64
}

// String says how far it is, without names.
func (p *Progress) String() string {
	of := p.ofCollections.Load()
	if of == 0 {
		return "opening the store"
	}
	return fmt.Sprintf("loading: %d of %d collections, %d of %d points of the next one",
		p.collections.Load(), of, p.points.Load(), p.ofPoints.Load())
}

func (p *Progress) begin(collections int) { p.ofCollections.Store(int64(collections)) }

// next begins the next collection.
func (p *Progress) next() {
	p.points.Store(0)
	p.ofPoints.Store(0)
	p.collections.Add(1)
}

const (
	// progressEvery is how many points are loaded between looks at the clock.
	progressEvery = 4096
	// progressPause is the time between lines in the log.
	progressPause = 5 * time.Second
)

// loadProgress follows the load of one collection. Its owner is the goroutine that
// reads the points.
type loadProgress struct {
	log    *slog.Logger
	shared *Progress // nil: nobody looks on
	points int
	of     int
	logged time.Time
}

func newLoadProgress(log *slog.Logger, shared *Progress, of int) *loadProgress {
	if shared != nil {
		shared.ofPoints.Store(int64(of))
	}
	return &loadProgress{log: log, shared: shared, of: of, logged: time.Now()}
}

// point counts a point that has been read.
func (p *loadProgress) point() {
	if p.points++; p.points%progressEvery != 0 {
		return
	}
	if p.shared != nil {
		p.shared.points.Store(int64(p.points))
	}
	if time.Since(p.logged) < progressPause {
		return
	}
	p.logged = time.Now()
	p.log.Info("loading", "points", p.points, "of", p.of)
}
