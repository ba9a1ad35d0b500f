package snapshots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"time"

	"github.com/minio/minio-go/v7"
)

// Parts of an upload, which S3 numbers up to maxParts. All but the last have one size:
// some stores insist on it.
const (
	minPart   = 16 << 20
	maxParts  = 10_000
	abortTime = 5 * time.Second // the end of the process waits for it
)

// partSize returns the size of the parts of a file: a part is what is in memory.
func partSize(size int64) int64 { return max(minPart, (size+maxParts-1)/maxParts) }

// Create uploads what write writes, which is called twice and has to write the same
// each time: metadata comes before the content in S3, so the first call is for the
// size and the SHA-256. To read a snapshot twice costs less than room on the disk for
// it, which may be full. The object appears when the last request is done.
func (b *Bucket) Create(ctx context.Context, folder, name string, write func(io.Writer) error) (Info, error) {
	measure := newMeter()
	if err := write(measure); err != nil {
		return Info{}, err
	}
	key := path.Join(folder, name)
	up := &upload{bucket: b, key: key, meter: newMeter(), part: make([]byte, 0, min(b.partSize(measure.size), max(measure.size, 1)))}
	err := up.run(ctx, measure.sum(), write)
	if err != nil {
		return Info{}, err
	}
	_, info, err := b.stat(ctx, key)
	return info, err
}

// meter counts and digests what is written.
type meter struct {
	digest hash.Hash
	size   int64
}

func newMeter() *meter { return &meter{digest: sha256.New()} }

func (m *meter) Write(p []byte) (int, error) {
	m.size += int64(len(p))
	return m.digest.Write(p)
}

func (m *meter) sum() string { return hex.EncodeToString(m.digest.Sum(nil)) }

// upload is one in parts.
type upload struct {
	bucket *Bucket
	key    string
	id     string
	meter  *meter
	part   []byte // that is being filled
	parts  []minio.CompletePart
}

// run uploads all parts and makes them an object, or nothing. If only the answer to
// the last request is lost, the object may be there: whole.
func (u *upload) run(ctx context.Context, sum string, write func(io.Writer) error) (err error) {
	b := u.bucket
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", UserMetadata: map[string]string{checksumKey: sum}}
	u.id, err = b.store.NewMultipartUpload(ctx, b.name, u.key, o)
	if err != nil {
		return b.failed("begin a snapshot", err)
	}
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		if left := b.store.AbortMultipartUpload(ctx, b.name, u.key, u.id); left != nil && minio.ToErrorResponse(left).Code != minio.NoSuchUpload {
			err = errors.Join(err, b.failed("give up the parts of a snapshot", left))
		}
	}()
	err = write(writerFunc(func(p []byte) (int, error) { return u.write(ctx, p) }))
	if err == nil {
		err = u.flush(ctx)
	}
	if err != nil {
		return err
	}
	if again := u.meter.sum(); again != sum {
		return fmt.Errorf("write a snapshot: what is written changes: its SHA-256 was %s and is %s", sum, again)
	}
	_, err = b.store.CompleteMultipartUpload(ctx, b.name, u.key, u.id, u.parts, minio.PutObjectOptions{})
	return b.failed("end a snapshot", err)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (u *upload) write(ctx context.Context, p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := min(len(p)-written, cap(u.part)-len(u.part))
		u.part = append(u.part, p[written:written+n]...)
		written += n
		if len(u.part) == cap(u.part) {
			if err := u.flush(ctx); err != nil {
				return written, err
			}
		}
	}
	return u.meter.Write(p)
}

// flush sends the part. Its digest is in the signature, so that the store refuses
// what the network has changed.
func (u *upload) flush(ctx context.Context) error {
	if len(u.part) == 0 {
		return nil
	}
	b, number := u.bucket, len(u.parts)+1
	sum := sha256.Sum256(u.part)
	sent, err := b.store.PutObjectPart(ctx, b.name, u.key, u.id, number, bytes.NewReader(u.part), int64(len(u.part)),
		minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true})
	if err != nil {
		return b.failed(fmt.Sprintf("write part %d of a snapshot", number), err)
	}
	u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: sent.ETag})
	u.part = u.part[:0]
	return nil
}
