package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/minio/minio-go/v7"
)

// maxBreaks is how often in a row a connection may break before a byte has come.
const maxBreaks = 3

// object reads a snapshot in a bucket. A connection that breaks is followed by one for
// the rest. Who reads all of it in order gets an error in place of the last bytes if
// they do not match the checksum.
type object struct {
	bucket *Bucket
	open   func(from int64) (io.ReadCloser, error)
	info   Info
	at     int64
	body   io.ReadCloser // from at on; nil: to be opened
	breaks int
	read   *meter // what was read from the beginning on without a gap
	wrong  error  // what was read does not match the checksum
}

// Open opens a snapshot. The error wraps fs.ErrNotExist if there is none. Reading
// ends with ctx.
func (b *Bucket) Open(ctx context.Context, folder, name string) (File, Info, error) {
	if !valid(name) {
		return nil, Info{}, fs.ErrNotExist
	}
	key := path.Join(folder, name)
	is, info, err := b.stat(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	open := func(from int64) (io.ReadCloser, error) {
		o := minio.GetObjectOptions{}
		err := o.SetMatchETag(is.ETag) // not another one of the name
		if err == nil && from > 0 {
			err = o.SetRange(from, 0)
		}
		if err != nil {
			return nil, err
		}
		body, _, _, err := b.store.GetObject(ctx, b.name, key, o)
		return body, b.failed("read a snapshot", err)
	}
	return &object{bucket: b, open: open, info: info, read: newMeter()}, info, nil
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	if o.wrong != nil {
		return 0, o.wrong
	}
	if o.at >= o.info.Size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), o.info.Size-o.at)]
	for {
		n, err := o.some(p)
		switch {
		case n > 0:
			o.breaks = 0
			return o.took(p[:n])
		case err == nil:
			return 0, nil
		case o.breaks == maxBreaks:
			return 0, err
		}
		o.breaks++
	}
}

// some reads from the present connection, or from a new one. After an error there is
// none.
func (o *object) some(p []byte) (int, error) {
	if o.body == nil {
		body, err := o.open(o.at)
		if err != nil {
			o.breaks = maxBreaks // the client has tried often enough
			return 0, err
		}
		o.body = body
	}
	n, err := o.body.Read(p)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	err = errors.Join(o.bucket.failed("read a snapshot", err), o.body.Close())
	o.body = nil
	return n, err
}

func (o *object) took(p []byte) (int, error) {
	if o.at == 0 {
		o.read = newMeter()
	}
	whole := o.read.size == o.at
	o.at += int64(len(p))
	if !whole {
		return len(p), nil
	}
	if _, err := o.read.Write(p); err != nil {
		return 0, err
	}
	if o.at == o.info.Size && o.info.Checksum != "" && o.read.sum() != o.info.Checksum {
		o.wrong = fmt.Errorf("%w: the SHA-256 of %s is %s instead of %s", ErrDamaged, o.info.Name, o.read.sum(), o.info.Checksum)
		return 0, o.wrong
	}
	return len(p), nil
}

// Seek implements io.Seeker.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.info.Size
	}
	if offset < 0 {
		return 0, errors.New("seek to before the beginning")
	}
	if offset == o.at {
		return offset, nil
	}
	o.at = offset
	return offset, o.Close()
}

// Close gives up the connection.
func (o *object) Close() error {
	if o.body == nil {
		return nil
	}
	err := o.body.Close()
	o.body = nil
	return err
}
