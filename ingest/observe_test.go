package ingest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
)

// TestOnlyReadsAndTells runs a source whose observer is told of each record, and which says
// nothing to the brokers.
func TestOnlyReadsAndTells(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	var commits, looks atomic.Int32
	r.cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		switch request.Key() {
		case kmsg.OffsetCommit.Int16():
			commits.Add(1)
		case kmsg.ListOffsets.Int16():
			looks.Add(1)
		}
		return nil, nil, false
	})
	before := time.Now().Add(-time.Second)
	for i := range 3 {
		record := value(fmt.Sprintf(`{"id":"%d","embedding":[1,%d]}`, i, i))
		record.Timestamp = before
		r.produce(record)
	}
	told := make(chan ingest.Times, 10)
	m, err := ingest.New(r.cfg, r.db, ingest.Options{
		Refresh: 20 * time.Millisecond, NoGroup: true, Observe: func(times ingest.Times) { told <- times },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	for range 3 {
		times := <-told
		sum := time.Duration(0)
		for _, part := range times[:len(times)-1] {
			sum += part
		}
		// The parts are measured one after the other, so that what is between them lacks.
		if total := times[len(times)-1]; total < time.Second || sum > total || sum < total/2 {
			t.Errorf("%v of %v", sum, total)
		}
	}
	// Each look is followed by a report where there is a group; some pass without.
	from := looks.Load()
	r.eventually(func() string {
		if n := looks.Load() - from; n < 10 {
			return fmt.Sprintf("%d looks", n)
		}
		return ""
	})
	cancel()
	<-done
	if n := commits.Load(); n > 0 {
		t.Errorf("%d times positions were committed", n)
	}
	if len(told) > 0 {
		t.Errorf("%d more records were told of", len(told))
	}
}
