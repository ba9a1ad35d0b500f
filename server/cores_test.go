package server

import (
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"
)

// A panic on another goroutine ends the caller, which can recover, once nobody works for
// it any more.
func TestPanicsOfHelpersAreTheCallers(t *testing.T) {
	c := &cores{semaphore.NewWeighted(1)}
	helped := make(chan struct{})
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "a fault") || !strings.Contains(text, "cores_test.go") {
			t.Errorf("recovered %q", text)
		}
		if !c.spare.TryAcquire(1) {
			t.Error("a core is not given back")
		}
	}()
	err := c.each(2, func(i int) error {
		if i == 1 {
			close(helped)
			panic("a fault")
		}
		<-helped
		return nil
	})
	t.Errorf("each returned %v", err)
}
