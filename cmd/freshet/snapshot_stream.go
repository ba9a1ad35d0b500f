package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"

	"freshet/cmd/freshet/internal/outfile"
)

// watched tells how much has been read.
type watched struct {
	io.Reader
	done, of int64
	progress func(done, of int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.done += int64(n); n > 0 {
		w.progress(w.done, w.of)
	}
	return n, err
}

// send restores the collection from a snapshot, as a form that is written while it is
// sent.
func (c *snapshotClient) send(ctx context.Context, snapshot io.Reader, size int64) error {
	read, write := io.Pipe()
	form := multipart.NewWriter(write)
	written := make(chan struct{})
	go func() {
		defer close(written)
		part, err := form.CreateFormFile("snapshot", "snapshot")
		if err == nil {
			_, err = io.Copy(part, &watched{Reader: snapshot, of: size, progress: func(done, of int64) { c.draw("restoring", done, of) }})
		}
		if err == nil {
			err = form.Close()
		}
		_ = write.CloseWithError(err) // never fails; the request does with err
	}()
	query := url.Values{}
	if c.checksum != "" {
		query.Set("checksum", c.checksum)
	}
	req, err := c.request(ctx, http.MethodPost, c.path("upload"), query, read)
	if err == nil {
		req.Header.Set("Content-Type", form.FormDataContentType())
		_, err = c.result(req)
	}
	err = errors.Join(err, read.Close()) // ends the goroutine if the server answered before
	<-written
	return err
}

// fetch writes a snapshot to a file, which is there when it is whole. What an earlier
// attempt has left beside it is gone on with.
func (c *snapshotClient) fetch(ctx context.Context, info snapshotInfo, file string) error {
	part := file + outfile.Suffix
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return usageError{err}
	}
	if err := errors.Join(c.fill(ctx, info, f), f.Close()); err != nil {
		return err
	}
	err = checkSum(part, info.Checksum)
	if errors.Is(err, errChecksum) {
		return errors.Join(err, os.Remove(part))
	}
	if err != nil {
		return err
	}
	return os.Rename(part, file)
}

// fill reads what is missing of a snapshot.
func (c *snapshotClient) fill(ctx context.Context, info snapshotInfo, f *os.File) error {
	had, err := f.Seek(0, io.SeekEnd)
	if err != nil || had == info.Size && had > 0 {
		return err
	}
	if had > info.Size { // of another snapshot
		had = 0
	}
	body, at, err := c.open(ctx, info, had)
	if err != nil {
		return err
	}
	_, err = f.Seek(at, io.SeekStart)
	if err == nil {
		err = f.Truncate(at)
	}
	if err == nil {
		_, err = io.Copy(f, &watched{Reader: body, done: at, of: info.Size, progress: func(done, of int64) { c.draw("fetching", done, of) }})
	}
	return errors.Join(err, body.Close(), f.Sync())
}

var errChecksum = errors.New("the file is not the snapshot, and was removed: fetch it again")

// checkSum compares the SHA-256 of a file; "" is not compared.
func checkSum(file, want string) error {
	if want == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	digest := sha256.New()
	_, err = io.Copy(digest, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != want {
		return fmt.Errorf("%w: its SHA-256 is %s, the server's is %s", errChecksum, sum, want)
	}
	return nil
}
