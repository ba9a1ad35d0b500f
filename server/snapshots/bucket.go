package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"golang.org/x/sync/errgroup"
)

// checksumKey is the field of an object's metadata that holds its SHA-256.
const checksumKey = "Sha256"

const (
	maxTries    = 4 // of a request that the store did not answer, or with 5xx or 429
	describedAt = 8 // objects that are asked for at a time
)

// BucketConfig says where a bucket is, and who may use it.
type BucketConfig struct {
	Name     string
	Region   string // default: us-east-1
	Endpoint string // URL of the store; default: that of AWS in the region
	// Keys returns the access key and the secret key. It is asked for each request, so
	// keys may change. Without it the environment says (AWS_ACCESS_KEY_ID and
	// AWS_SECRET_ACCESS_KEY), or the role that a cloud gave this machine.
	Keys func() (access, secret string, err error)
}

// Bucket keeps snapshots as objects <folder>/<name> of a bucket, each with its SHA-256
// in its metadata. Several servers may use one. All errors are a *BucketError, or wrap
// fs.ErrNotExist.
type Bucket struct {
	name, endpoint string
	store          minio.Core
	transport      *http.Transport
	partSize       func(size int64) int64
}

// BucketError is what a bucket could not do, or be asked to.
type BucketError struct {
	Bucket, Endpoint string
	Do               string // what was to be done
	Err              error
}

func (e *BucketError) Error() string {
	return fmt.Sprintf("%s in the bucket %s at %s: %v", e.Do, e.Bucket, e.Endpoint, e.Err)
}

// Unwrap returns the cause.
func (e *BucketError) Unwrap() error { return e.Err }

// Validate checks what can be told without the store. Errors begin with the name
// of the member.
func (c BucketConfig) Validate() error {
	if c.Name == "" {
		return errors.New("bucket: is needed")
	}
	if err := s3utils.CheckValidBucketNameStrict(c.Name); err != nil {
		return fmt.Errorf("bucket: %q cannot be the name of a bucket: %w", c.Name, err)
	}
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
		return errors.New("endpoint_url: it is not of the form http(s)://host or http(s)://host:port")
	}
	return nil
}

// OpenBucket returns a bucket. The store is not asked yet: a server starts without it.
func OpenBucket(c BucketConfig) (*Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://s3." + c.Region + ".amazonaws.com"
	}
	at, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	by := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{}})
	if c.Keys != nil {
		by = credentials.New(keys(c.Keys))
	}
	transport := newTransport()
	store, err := minio.NewCore(at.Host, &minio.Options{
		Creds: by, Secure: at.Scheme == "https", Transport: transport, Region: c.Region, MaxRetries: maxTries,
	})
	if err != nil {
		return nil, err
	}
	return &Bucket{name: c.Name, endpoint: at.Scheme + "://" + at.Host, store: *store, transport: transport, partSize: partSize}, nil
}

// Close gives up idle connections.
func (b *Bucket) Close() { b.transport.CloseIdleConnections() }

// keys are asked for each time they are needed.
type keys func() (access, secret string, err error)

func (k keys) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	access, secret, err := k()
	return credentials.Value{AccessKeyID: access, SecretAccessKey: secret, SignerType: credentials.SignatureV4}, err
}

// Retrieve is what the interface of credentials still asks for.
func (k keys) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired makes the client ask anew.
func (k keys) IsExpired() bool { return true }

// String names the bucket.
func (b *Bucket) String() string { return "s3://" + b.name + " at " + b.endpoint }

// Name returns the name of the bucket.
func (b *Bucket) Name() string { return b.name }

func (b *Bucket) failed(do string, err error) error {
	if err == nil {
		return nil
	}
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey {
		return fs.ErrNotExist
	}
	return &BucketError{Bucket: b.name, Endpoint: b.endpoint, Do: do, Err: err}
}

// stat describes an object.
func (b *Bucket) stat(ctx context.Context, key string) (minio.ObjectInfo, Info, error) {
	o, err := b.store.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return o, Info{}, b.failed("look for a snapshot", err)
	}
	info := Info{Name: path.Base(key), Created: o.LastModified, Size: o.Size}
	if sum := o.Metadata.Get("X-Amz-Meta-" + checksumKey); ValidChecksum(sum) {
		info.Checksum = sum
	}
	return o, info, nil
}

// List lists the snapshots of a folder by name.
func (b *Bucket) List(ctx context.Context, folder string) ([]Info, error) {
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	var names []string
	for o := range b.store.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, b.failed("list the snapshots", o.Err)
		}
		if name := strings.TrimPrefix(o.Key, prefix); valid(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	found := make([]Info, len(names)) // without a name: removed meanwhile
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(describedAt)
	for i, name := range names {
		asking.Go(func() error {
			_, info, err := b.stat(ctx, prefix+name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			found[i] = info
			return err
		})
	}
	err := asking.Wait()
	return slices.DeleteFunc(found, func(i Info) bool { return i.Name == "" }), err
}

// Remove removes a snapshot. The error wraps fs.ErrNotExist if there is none.
func (b *Bucket) Remove(ctx context.Context, folder, name string) error {
	if !valid(name) {
		return fs.ErrNotExist
	}
	key := path.Join(folder, name)
	if _, _, err := b.stat(ctx, key); err != nil {
		return err
	}
	return b.failed("remove a snapshot", b.store.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}))
}
