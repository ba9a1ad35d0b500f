package hnsw

import (
	"sync"
	"sync/atomic"
	"testing"
)

// A slot that is dead in a view stays so while it is taken back and used again.
func TestDeadWhileUsedAgain(t *testing.T) {
	s := NewSlots()
	slot, err := s.Alloc()
	if err != nil {
		t.Fatal(err)
	}
	var dead atomic.Pointer[View]
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if v := dead.Load(); v != nil && v.Visible(slot) {
				t.Error("a dead slot was visible")
				return
			}
		}
	})
	for range 200_000 {
		s.Publish()
		s.Retire(slot)
		s.Publish()
		v := s.View()
		dead.Store(&v)
		gone := s.deadBefore(v)
		s.unlinked(gone)
		s.release(gone, len(gone))
		if again, err := s.Alloc(); err != nil || again != slot {
			t.Fatal(again, err)
		}
	}
	close(done)
	reader.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
