package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"freshet/server"
)

const octetStream = "application/octet-stream"

// snapshotCollection returns the collection of the path, "" for all of them. It need
// not be there any more.
func (r *request) snapshotCollection() (string, error) {
	if r.Param("collection") == "" {
		return "", nil
	}
	name := r.param("collection")
	return name, server.CheckName(name)
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
	db := r.s.db
	return r.detached(func(ctx context.Context) (any, error) {
		s, err := db.CreateSnapshot(ctx, c)
		return snapshotJSON(s), err
	})
}

// waitUnlessTold says whether the client waits: unlike for writes, also where it does
// not say.
func (r *request) waitUnlessTold() (bool, error) { return r.flag("wait", true) }

// detached does what goes on when the client has gone. With wait=false it is
// answered before it is done; without wait it is waited for, as Qdrant does. do must
// not use the request: its context is that of another one by then.
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
	path, s, log := r.Path(), r.s, r.s.o.Logger
	ctx, end := r.s.db.UntilClosed(context.WithoutCancel(r.ctx))
	go func() {
		defer end()
		result, err := s.survive(path, func() (any, error) { return do(ctx) })
		if err != nil && !wait {
			level := slog.LevelWarn
			if status, _ := classify(err); status == http.StatusInternalServerError {
				level = slog.LevelError // a fault of ours
			}
			log.Log(ctx, level, "request failed after it was accepted", "path", path, "err", err)
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
		status, text := r.explain(err)
		return ownAnswer(func() error { return r.String(status, text) }), nil
	}
	c, err := r.snapshotCollection()
	if err != nil {
		return fail(err)
	}
	ctx := r.Request().Context() // r.ctx ends before the answer is sent
	f, info, err := r.s.db.OpenSnapshot(ctx, c, r.param("snapshot"))
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
		sent := &noting{ReadSeeker: f}
		http.ServeContent(r.Response(), r.Request(), "", info.Created, sent)
		if err := errors.Join(sent.err, f.Close()); err != nil && ctx.Err() == nil {
			r.s.o.Logger.Error("a snapshot was sent in part", "snapshot", info.Name, "err", err)
		}
		return nil
	}), nil
}

// noting keeps the error that ended the reading. It cannot be sent any more: the client
// gets less than it was promised.
type noting struct {
	io.ReadSeeker
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	read, err := n.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return read, err
}

func deleteSnapshot(r *request) (any, error) {
	c, err := r.snapshotCollection()
	if err != nil {
		return nil, err
	}
	db, name := r.s.db, r.param("snapshot")
	return r.detached(func(ctx context.Context) (any, error) { return true, db.DeleteSnapshot(ctx, c, name) })
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
	if _, err := r.waitUnlessTold(); err != nil {
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
	s := r.s
	return r.detached(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, recoveryTime)
		defer cancel()
		return true, s.recoverLocation(ctx, name, *body.Location, body.Checksum, body.APIKey)
	})
}

// recoverLocation recovers a collection from what a request names: a snapshot that is
// kept here, by its name, or one at a URL.
func (s *Server) recoverLocation(ctx context.Context, collection, at, checksum, key string) error {
	if !strings.Contains(at, "://") {
		return s.db.RecoverKept(ctx, collection, at, checksum)
	}
	location, err := url.Parse(at)
	if err != nil {
		return badRequest("location: it is not a URL")
	}
	if location.Scheme == "s3" {
		return s.db.RecoverObject(ctx, collection, location.Host, strings.TrimPrefix(location.Path, "/"), checksum)
	}
	source, err := s.openLocation(ctx, location, key)
	if err != nil {
		return err
	}
	return errors.Join(s.db.Recover(ctx, collection, source, checksum), source.Close())
}

// openLocation opens what a request to recover names.
func (s *Server) openLocation(ctx context.Context, location *url.URL, key string) (io.ReadCloser, error) {
	switch {
	case location.Scheme == "file" && (location.Host == "" || location.Host == "localhost"):
		return s.db.OpenSnapshotFile(location.Path)
	case location.Scheme == "http" || location.Scheme == "https":
		return download(ctx, location, key)
	default:
		return nil, badRequest("location: it is neither the name of a snapshot nor a URL of the form file:///…, s3://…, http://… or https://…")
	}
}

// uploadSnapshot reads the file from the request as it comes. It is answered when it
// is recovered, with wait or without.
func uploadSnapshot(r *request) (any, error) {
	name := r.param("collection")
	if err := server.CheckName(name); err != nil {
		return nil, err
	}
	priority, given, err := r.query("priority")
	if err != nil {
		return nil, err
	}
	if given && checkPriority(&priority) != nil {
		return nil, badQuery("unknown variant `%.40s`, expected one of `no_sync`, `snapshot`, `replica`", priority)
	}
	checksum, _, err := r.query("checksum")
	if err != nil {
		return nil, err
	}
	wait, err := r.waitUnlessTold()
	if err != nil {
		return nil, err
	}
	req := r.Request()
	takeTime(req.Body, stallTime)
	parts, err := req.MultipartReader()
	if err != nil {
		return nil, badRequest("the body is not multipart/form-data")
	}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, badRequest("the body has no field `snapshot`")
		case err != nil:
			return nil, unreadable(err)
		}
		if part.FormName() != "snapshot" {
			continue
		}
		if err := r.s.db.Recover(r.ctx, name, part, checksum); err != nil {
			return nil, err
		}
		if !wait {
			return r.accepted(), nil
		}
		return true, nil
	}
}
