package ingest

import (
	"testing"
	"time"
)

// TestOldestOfAFailedPartition: what is read behind the record at which a partition has
// failed does not make it look younger.
func TestOldestOfAFailedPartition(t *testing.T) {
	running, failed := partition{"t", 0}, partition{"t", 1}
	bad, behind := time.Unix(1, 0), time.Unix(2, 0)
	s := &source{partitions: map[partition]*partitionState{
		running: {state: Running, oldest: bad}, failed: {state: Failed, oldest: bad},
	}}
	d := newDecoded()
	d.oldest[running], d.oldest[failed] = behind, behind
	s.noteOldest(d)
	if got := s.partitions[running].oldest; !got.Equal(behind) {
		t.Errorf("running: %v", got)
	}
	if got := s.partitions[failed].oldest; !got.Equal(bad) {
		t.Errorf("failed: %v", got)
	}
}
