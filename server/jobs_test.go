package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// TestJobsThatWait asks for more jobs than are done at a time, and for more than may wait.
func TestJobsThatWait(t *testing.T) {
	j := newJobs()
	defer j.stop()
	var leave []func()
	for range maxJobs {
		_, done, err := j.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting sync.WaitGroup
	for range maxQueued {
		waiting.Go(func() {
			if _, _, err := j.enter(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("a job that was given up: %v", err)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); len(j.places) < maxJobs+maxQueued; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not wait")
		}
	}
	over, end := context.WithCancel(t.Context())
	end() // or it would wait if it may
	var e *Error
	if _, _, err := j.enter(over); !errors.As(err, &e) || e.Kind != Unavailable {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	waiting.Wait()
	for _, done := range leave {
		done()
	}
	if n := len(j.places); n != 0 {
		t.Errorf("%d are still there", n)
	}
	if _, done, err := j.enter(t.Context()); err != nil {
		t.Error(err)
	} else {
		done()
	}
}
