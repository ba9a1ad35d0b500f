package api

import "net/http"

// replayRoutes build a collection anew from the logs of its sources.
func (s *Server) replayRoutes() {
	const all, one = collectionPath + "/replay", collectionPath + "/replay/:into"
	s.echo.Add(http.MethodPost, all, s.handle(func(r *request) (any, error) {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		return s.o.Sources.Replay(r.ctx, r.param("collection"), body)
	}))
	s.echo.Add(http.MethodGet, all, s.handle(func(r *request) (any, error) {
		list, err := s.o.Sources.Replays(r.ctx, r.param("collection"))
		return map[string]any{"replays": list}, err
	}))
	s.echo.Add(http.MethodGet, one, s.handle(func(r *request) (any, error) {
		return s.o.Sources.ReplayStatus(r.ctx, r.param("collection"), r.param("into"))
	}))
	s.echo.Add(http.MethodDelete, one, s.handle(func(r *request) (any, error) {
		dropped, err := s.o.Sources.CancelReplay(r.ctx, r.param("collection"), r.param("into"))
		return map[string]bool{"dropped": dropped}, err
	}))
}
