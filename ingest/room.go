package ingest

import "context"

// awaitRoom returns once records can be applied: nothing is read before. What a full disk
// refuses in the middle of a batch ends the session, and the next one begins here.
func (s *source) awaitRoom(ctx context.Context) error {
	for {
		room := s.db.Room()
		err := s.db.Writable()
		if err == nil {
			s.setNoRoom("")
			return nil
		}
		s.setNoRoom(err.Error())
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setNoRoom notes why nothing can be written, "" if it can.
func (s *source) setNoRoom(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch before := s.noRoom; {
	case before == "" && why != "":
		s.log.Warn("the source waits for room on the disk", "reason", why)
	case before != "" && why == "":
		s.log.Info("the source goes on, there is room on the disk")
	}
	s.noRoom = why
}
