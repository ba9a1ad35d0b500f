package ingest

// What is fetched and not applied yet is bounded by Buffer.TotalBytes: no batch grows and
// no fetch begins above the rest that the bound leaves beside the fetches that may be
// under way, one from each broker.

// fetchShare is the part of the bound that fetches under way may have.
const fetchShare = 4

// fetch returns how many bytes one fetch asks a broker for, in all and of one partition.
func (b *Buffer) fetch(brokers int) (total, partition int32) {
	total = int32(max(int64(b.TotalBytes)/fetchShare/int64(max(brokers, 1)), 1))
	return total, min(int32(b.PartitionBytes), total)
}

// buffered returns how many bytes have been fetched and are not applied.
func (s *session) buffered() int64 { return s.client.BufferedFetchBytes() + s.unapplied.Load() }

// isFull says whether no more is to be fetched before something is applied.
func (s *session) isFull() bool {
	total := int64(s.cfg.Buffer.TotalBytes)
	return s.buffered() > total-total/fetchShare
}

// holdFetches keeps the client from fetching more until release is called, if enough is
// there already. A poll drops what the client holds of partitions that are paused, so
// none may come before.
func (s *session) holdFetches() (release func()) {
	if !s.isFull() {
		return func() {}
	}
	held := map[string][]int32{}
	s.mu.Lock()
	for p, state := range s.partitions {
		if state.state == Running {
			held[p.topic] = append(held[p.topic], p.number)
		}
	}
	s.mu.Unlock()
	s.client.PauseFetchPartitions(held)
	s.noteHeld(held)
	return func() {
		s.noteHeld(nil)
		s.client.ResumeFetchPartitions(held)
	}
}

func (s *source) noteHeld(partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heldBack = 0
	for _, numbers := range partitions {
		s.heldBack += len(numbers)
	}
}
