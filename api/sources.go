package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"freshet/server"
	"freshet/server/sources"
)

// Sources manages what consumes Kafka's topics into collections. Sources are
// described by JSON of the names in the configuration file, which the API passes on.
// Errors are those of the package server.
type Sources interface {
	All() ([]sources.Info, error)
	List(collection string) ([]sources.Info, error)
	Get(key sources.Key) (sources.Info, error)
	Create(ctx context.Context, collection string, description []byte) (sources.Info, error)
	Put(ctx context.Context, key sources.Key, description []byte) (sources.Info, error)
	Patch(ctx context.Context, key sources.Key, change []byte) (sources.Info, error)
	Delete(ctx context.Context, key sources.Key) error
	// DropCollection removes a collection and the sources that requests have added to it.
	DropCollection(ctx context.Context, name string) (existed bool, err error)
	SetState(ctx context.Context, key sources.Key, wanted sources.State) error
	SourceStatus(key sources.Key) (sources.Status, error)

	Offsets(key sources.Key) ([]sources.Offset, error)
	MoveOffsets(ctx context.Context, key sources.Key, move sources.Move) ([]sources.Offset, error)
	ResetOffsets(ctx context.Context, key sources.Key) ([]sources.Offset, error)
	SkipRecord(ctx context.Context, key sources.Key, skip sources.Skip) ([]sources.Offset, error)
	WaitFor(ctx context.Context, key sources.Key, offsets []sources.Offset) error

	DeadLetters(ctx context.Context, key sources.Key, limit int, filter sources.LetterFilter) ([]sources.Letter, error)
	Validate(ctx context.Context, collection string, description []byte, limit int) (sources.Validation, error)
	Redrive(ctx context.Context, key sources.Key, what sources.Redrive) (sources.Redriven, error)

	CatchUp(ctx context.Context, collection string, since time.Time) error
	AsOf(collection string, positions []server.Position) (time.Time, bool)

	Replay(ctx context.Context, collection string, request []byte) (sources.ReplayStatus, error)
	Replays(ctx context.Context, collection string) ([]sources.ReplayStatus, error)
	ReplayStatus(ctx context.Context, collection, into string) (sources.ReplayStatus, error)
	CancelReplay(ctx context.Context, collection, into string) (dropped bool, err error)
}

// sourceRoutes are there if there is something that manages sources.
func (s *Server) sourceRoutes() {
	if s.o.Sources == nil {
		return
	}
	s.replayRoutes()
	const list, one = collectionPath + "/sources", collectionPath + "/sources/:source"
	add := func(method, path string, h handler) { s.echo.Add(method, path, s.handle(h)) }
	add(http.MethodGet, "/sources", listSources)
	add(http.MethodGet, list, func(r *request) (any, error) {
		all, err := s.o.Sources.List(r.param("collection"))
		return map[string]any{"sources": all}, err
	})
	add(http.MethodPost, list, func(r *request) (any, error) {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		return s.o.Sources.Create(r.ctx, r.param("collection"), body)
	})
	add(http.MethodPost, collectionPath+`/sources\:validate`, func(r *request) (any, error) {
		limit, err := r.limit(defaultSample)
		if err != nil {
			return nil, err
		}
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		return s.o.Sources.Validate(r.ctx, r.param("collection"), body, limit)
	})
	add(http.MethodGet, one, func(r *request) (any, error) { return s.o.Sources.Get(r.source()) })
	add(http.MethodPut, one, described(s.o.Sources.Put))
	add(http.MethodPatch, one, described(s.o.Sources.Patch))
	add(http.MethodDelete, one, func(r *request) (any, error) { return true, s.o.Sources.Delete(r.ctx, r.source()) })
	add(http.MethodGet, one+"/status", func(r *request) (any, error) {
		status, err := s.o.Sources.SourceStatus(r.source())
		status.Collections = slices.DeleteFunc(status.Collections, func(name string) bool { return !r.mayRead(name) })
		return status, err
	})
	for verb, wanted := range map[string]sources.State{
		"pause": sources.Paused, "resume": sources.Running, "stop": sources.Stopped,
	} {
		add(http.MethodPut, one+"/"+verb, func(r *request) (any, error) {
			return true, s.o.Sources.SetState(r.ctx, r.source(), wanted)
		})
	}
	add(http.MethodGet, one+"/offsets", func(r *request) (any, error) { return offsets(s.o.Sources.Offsets(r.source())) })
	add(http.MethodPatch, one+"/offsets", func(r *request) (any, error) {
		var move sources.Move
		if err := r.decode(&move); err != nil {
			return nil, err
		}
		return offsets(s.o.Sources.MoveOffsets(r.ctx, r.source(), move))
	})
	add(http.MethodDelete, one+"/offsets", func(r *request) (any, error) {
		return offsets(s.o.Sources.ResetOffsets(r.ctx, r.source()))
	})
	add(http.MethodPost, one+"/skip", func(r *request) (any, error) {
		var skip sources.Skip
		if err := r.decode(&skip); err != nil {
			return nil, err
		}
		return offsets(s.o.Sources.SkipRecord(r.ctx, r.source(), skip))
	})
	add(http.MethodPost, sourceWait, waitForSource)
	add(http.MethodGet, one+"/dlq", func(r *request) (any, error) {
		limit, err := r.limit(defaultLetters)
		if err != nil {
			return nil, err
		}
		reason, _, err := r.query("reason")
		if err != nil {
			return nil, err
		}
		letters, err := s.o.Sources.DeadLetters(r.ctx, r.source(), limit, sources.LetterFilter{Reason: reason})
		return map[string]any{"records": letters}, err
	})
	add(http.MethodPost, one+"/dlq/redrive", func(r *request) (any, error) {
		var what sources.Redrive
		if err := r.decode(&what); err != nil {
			return nil, err
		}
		return s.o.Sources.Redrive(r.ctx, r.source(), what)
	})
}

// listSources lists those of all collections that may be seen.
func listSources(r *request) (any, error) {
	all, err := r.s.o.Sources.All()
	all = slices.DeleteFunc(all, func(s sources.Info) bool { return !r.mayRead(s.Collection) })
	return map[string]any{"sources": all}, err
}

const sourceWait = collectionPath + "/sources/:source/wait"

// Records that are shown of a request that does not say how many.
const (
	defaultLetters = 20
	defaultSample  = 10
)

// maxRecords bounds the records that one request shows.
const maxRecords = 1000

// limit returns the parameter that bounds a list.
func (r *request) limit(byDefault int) (int, error) {
	n, given, err := r.uint("limit")
	if err != nil || !given {
		return byDefault, err
	}
	if n < 1 || n > maxRecords {
		return 0, invalidQuery("limit: value %d invalid, must be from 1 to %d", n, maxRecords)
	}
	return int(n), nil
}

// offsets is a list of positions as Kafka Connect writes it.
func offsets(list []sources.Offset, err error) (any, error) {
	return map[string]any{"offsets": list}, err
}

// defaultWait is how long a request waits that does not say.
const defaultWait = 60.0

func waitForSource(r *request) (any, error) {
	body := struct {
		Offsets []sources.Offset `json:"offsets"`
		Timeout *float64         `json:"timeout"` // seconds
	}{}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	seconds := defaultWait
	if body.Timeout != nil {
		seconds = *body.Timeout
	}
	if !(seconds > 0 && seconds <= maxTimeout.Seconds()) {
		return nil, notValid("timeout", "value %g invalid, must be above 0 and at most %g seconds", seconds, maxTimeout.Seconds())
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(seconds*float64(time.Second)))
	defer cancel()
	return true, r.waiting(func() error { return r.s.o.Sources.WaitFor(ctx, r.source(), body.Offsets) })
}

// source returns the source that the path names.
func (r *request) source() sources.Key {
	return sources.Key{Collection: r.param("collection"), Name: r.param("source")}
}

// described handles a request whose body describes a source, or a part of it.
func described(do func(context.Context, sources.Key, []byte) (sources.Info, error)) handler {
	return func(r *request) (any, error) {
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		return do(r.ctx, r.source(), body)
	}
}
