package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"freshet/server"
)

const octetStream = "application/octet-stream"

// snapshotCollection returns the collection of the path, "" for all of them.
func (r *request) snapshotCollection() (string, error) {
	if r.Param("collection") == "" {
		return "", nil
	}
	c, err := r.collection()
	if err != nil {
		return "", err
	}
	return c.Name(), nil
}

func snapshotJSON(s server.SnapshotInfo) map[string]any {
	m := map[string]any{"name": s.Name, "creation_time": s.Created.UTC().Format("2006-01-02T15:04:05"), "size": s.Size, "checksum": nil}
	if s.Checksum != "" {
		m["checksum"] = s.Checksum
	}
	return m
}

func listSnapshots(r *request) (any, error) {
	c, err := r.snapshotCollection()
	if err != nil {
		return nil, err
	}
	snapshots, err := r.s.db.Snapshots(r.ctx, c)
	list := make([]any, 0, len(snapshots))
	for _, s := range snapshots {
		list = append(list, snapshotJSON(s))
	}
	return list, err
}

func createSnapshot(r *request) (any, error) {
	c, err := r.snapshotCollection()
	if err != nil {
		return nil, err
	}
	return r.detached(func(ctx context.Context) (any, error) {
		s, err := r.s.db.CreateSnapshot(ctx, c)
		return snapshotJSON(s), err
	})
}

// waitUnlessTold says whether the client waits: unlike for writes, also where it does
// not say.
func (r *request) waitUnlessTold() (bool, error) {
	if r.QueryParam("wait") == "" {
		return true, nil
	}
	return r.wait()
}

// detached does what goes on when the client has gone. With wait=false it is
// answered before it is done; without wait it is waited for, as Qdrant does.
func (r *request) detached(do func(ctx context.Context) (any, error)) (any, error) {
	wait, err := r.waitUnlessTold()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		result any
		err    error
	}
	done := make(chan outcome, 1)
	path, log := r.Path(), r.s.o.Logger
	// The database ends it when it is closed.
	ctx := context.WithoutCancel(r.ctx)
	go func() {
		result, err := do(ctx)
		if err != nil && !wait {
			log.Error("request failed after it was accepted", "path", path, "err", err)
		}
		done <- outcome{result, err}
	}()
	if !wait {
		return r.accepted(), nil
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-r.ctx.Done():
		if errors.Is(r.ctx.Err(), context.DeadlineExceeded) {
			return nil, &server.Error{Kind: server.Timeout, Text: "the deadline passed; the operation goes on"}
		}
		return nil, r.ctx.Err()
	}
}

func (r *request) accepted() ownAnswer {
	return func() error {
		return r.JSON(http.StatusAccepted, map[string]any{"status": "accepted", "time": time.Since(r.started).Seconds()})
	}
}

// getSnapshot sends a file, or the parts of it that are asked for. Errors are text.
func getSnapshot(r *request) (any, error) {
	fail := func(err error) (any, error) {
		status, text := classify(err)
		return ownAnswer(func() error { return r.String(status, text) }), nil
	}
	c, err := r.snapshotCollection()
	if err != nil {
		return fail(err)
	}
	f, info, err := r.s.db.OpenSnapshot(c, r.param("snapshot"))
	if err != nil {
		return fail(err)
	}
	return ownAnswer(func() error {
		h := r.Response().Header()
		h.Set("Content-Type", octetStream)
		h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", info.Name))
		if info.Checksum != "" {
			h.Set("ETag", `"`+info.Checksum+`"`)
		}
		http.ServeContent(r.Response(), r.Request(), "", info.Created, f)
		return f.Close()
	}), nil
}

func deleteSnapshot(r *request) (any, error) {
	c, err := r.snapshotCollection()
	if err != nil {
		return nil, err
	}
	return r.detached(func(context.Context) (any, error) { return true, r.s.db.DeleteSnapshot(c, r.param("snapshot")) })
}

func checkPriority(value *string) error {
	if value == nil || *value == "no_sync" || *value == "snapshot" || *value == "replica" {
		return nil
	}
	return badFormat("unknown variant `%.40s`, expected one of `no_sync`, `snapshot`, `replica`", *value)
}

func recoverSnapshot(r *request) (any, error) {
	name := r.param("collection")
	if err := server.CheckName(name); err != nil {
		return nil, err
	}
	var body struct {
		Location *string `json:"location"`
		Priority *string `json:"priority"`
		Checksum string  `json:"checksum"`
		APIKey   string  `json:"api_key"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if body.Location == nil {
		return nil, badFormat("missing field `location`")
	}
	if err := checkPriority(body.Priority); err != nil {
		return nil, err
	}
	location, err := url.Parse(*body.Location)
	if err != nil {
		return nil, badRequest("location: it is not a URL")
	}
	return r.detached(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, recoveryTime)
		defer cancel()
		source, err := r.s.openLocation(ctx, location, body.APIKey)
		if err != nil {
			return nil, err
		}
		err = r.s.db.Recover(ctx, name, source, body.Checksum)
		return true, errors.Join(err, source.Close())
	})
}

// openLocation opens what a request to recover names.
func (s *Server) openLocation(ctx context.Context, location *url.URL, key string) (io.ReadCloser, error) {
	switch {
	case location.Scheme == "file" && (location.Host == "" || location.Host == "localhost"):
		return s.db.OpenSnapshotFile(location.Path)
	case location.Scheme == "http" || location.Scheme == "https":
		return download(ctx, location, key)
	default:
		return nil, badRequest("location: it is not a URL of the form file:///…, http://… or https://…")
	}
}

// uploadSnapshot reads the file from the request as it comes. It is answered when it
// is recovered, with wait or without.
func uploadSnapshot(r *request) (any, error) {
	name := r.param("collection")
	if err := server.CheckName(name); err != nil {
		return nil, err
	}
	if r.QueryParams().Has("priority") {
		priority := r.QueryParam("priority")
		if err := checkPriority(&priority); err != nil {
			return nil, badQuery("unknown priority `%.40s`", priority)
		}
	}
	wait, err := r.waitUnlessTold()
	if err != nil {
		return nil, err
	}
	req := r.Request()
	req.Body = &patientBody{req.Body, http.NewResponseController(r.Response())}
	parts, err := req.MultipartReader()
	if err != nil {
		return nil, badRequest("the body is not multipart/form-data")
	}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, badRequest("the body has no field `snapshot`")
		}
		if part.FormName() != "snapshot" {
			continue
		}
		if err := r.s.db.Recover(r.ctx, name, part, r.QueryParam("checksum")); err != nil {
			return nil, err
		}
		if !wait {
			return r.accepted(), nil
		}
		return true, nil
	}
}

// patientBody is a body that may take as long as it likes as long as bytes come.
type patientBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	err := b.connection.SetReadDeadline(time.Now().Add(stallTime))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}
