package ingest

// What is fetched and not applied yet is bounded by Buffer.TotalBytes. The client holds one fetch
// from each broker, and begins the next when that is taken. So nothing more is taken above the
// part of the bound that leaves room for both.

// fetchShare is the part of the bound that the fetches from all brokers may have together.
const fetchShare = 4

// fetch returns how many bytes one fetch asks a broker for, in all and of one partition.
func (b *Buffer) fetch(brokers int) (total, partition int32) {
	total = int32(max(int64(b.TotalBytes)/fetchShare/int64(max(brokers, 1)), 1))
	return total, min(int32(b.PartitionBytes), total)
}

// buffered returns how many bytes have been fetched and are not applied.
func (s *session) buffered() int64 { return s.client.BufferedFetchBytes() + s.unapplied.Load() }

// isFull says whether no more is to be taken from the client before something is applied.
func (s *session) isFull() bool {
	total := int64(s.cfg.Buffer.TotalBytes)
	return s.unapplied.Load() > total-2*(total/fetchShare)
}

// noteHeld notes that nothing more is fetched, if that is so, until release is called.
func (s *session) noteHeld() (release func()) {
	if !s.isFull() {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.partitions {
		if state.state == Running {
			s.heldBack++
		}
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heldBack = 0
	}
}
