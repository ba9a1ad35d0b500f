package ingest

import (
	"context"

	"freshet/server"
)

// awaitRoom returns once records can be applied: nothing is read before. What
// is refused for want of room in the middle of a batch ends the session, and the next one
// begins here.
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
		s.log.Warn("the source waits for room", "reason", why)
	case before != "" && why == "":
		s.log.Info("the source goes on, there is room")
	}
	s.noRoom = why
}

// lacksRoom says whether an error is gone when there is room again.
func lacksRoom(err error) bool {
	kind := server.KindOf(err)
	return kind == server.Full || kind == server.MemoryFull
}

// noRoom is the state of a source that waits because of an error of Writable.
func noRoom(err error) State {
	if server.KindOf(err) == server.MemoryFull {
		return MemoryFull
	}
	return DiskFull
}
