package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/snapshots"
)

// Places of snapshots.
const (
	snapshotsLocal = "local"
	snapshotsInS3  = "s3"
)

// snapshotsConfig says where snapshots are kept, with Qdrant's keys.
type snapshotsConfig struct {
	Storage string   `yaml:"snapshots_storage"`
	S3      s3Config `yaml:"s3_config,omitempty"`
}

// s3Config is a bucket of a store that speaks S3.
type s3Config struct {
	Bucket string `yaml:"bucket,omitempty"`
	Region string `yaml:"region,omitempty"`
	// AccessKey and SecretKey are read for each request. Without them the environment
	// says, or the role of the machine.
	AccessKey   ingest.Secret `yaml:"access_key,omitempty"`
	SecretKey   ingest.Secret `yaml:"secret_key,omitempty"`
	EndpointURL string        `yaml:"endpoint_url,omitempty"`
}

// bucket returns where the bucket is, nil if snapshots are in the folder.
func (c *snapshotsConfig) bucket() *snapshots.BucketConfig {
	if c.Storage != snapshotsInS3 {
		return nil
	}
	b := &snapshots.BucketConfig{Name: c.S3.Bucket, Region: c.S3.Region, Endpoint: c.S3.EndpointURL}
	if c.S3.AccessKey != "" {
		b.Keys = c.S3.keys
	}
	return b
}

// keys returns the keys as they are now. Keys that hold nothing would be none to the
// store, which may let anybody in.
func (c *s3Config) keys() (access, secret string, err error) {
	read := func(name string, s ingest.Secret) (string, error) {
		key, err := s.Read()
		if err == nil && key == "" {
			err = errors.New("holds nothing")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return key, nil
	}
	if access, err = read("access_key", c.AccessKey); err != nil {
		return "", "", err
	}
	if secret, err = read("secret_key", c.SecretKey); err != nil {
		return "", "", err
	}
	return access, secret, nil
}

// examineTime bounds how long the doctor waits for a store.
const examineTime = 30 * time.Second

// examineSnapshots asks the store of snapshots, if they are not in the folder.
func examineSnapshots(ctx context.Context, c *storageConfig, report server.Report) error {
	place := c.Snapshots.bucket()
	if place == nil {
		report.Fine("snapshots", "they are kept in the folder %s", c.SnapshotsDir)
		return nil
	}
	b, err := snapshots.OpenBucket(*place)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	list, err := b.List(ctx, "")
	if err != nil {
		report.Wrong("snapshots", "see to storage.snapshots_config.s3_config: the endpoint, the region, the keys; the bucket has to be there, and the keys need s3:ListBucket", "%v", err)
		return nil
	}
	report.Fine("snapshots", "%s may be listed; it has %d of the whole storage", b, len(list))
	return nil
}

func (c *snapshotsConfig) validate() error {
	const at = "storage.snapshots_config."
	switch {
	case c.Storage != snapshotsLocal && c.Storage != snapshotsInS3:
		return fmt.Errorf(at+"snapshots_storage: %q is not local or s3", c.Storage)
	case c.Storage == snapshotsLocal && c.S3 != s3Config{}:
		return errors.New(at + "s3_config: needs snapshots_storage: s3")
	case c.Storage == snapshotsLocal:
		return nil
	case (c.S3.AccessKey == "") != (c.S3.SecretKey == ""):
		return errors.New(at + "s3_config: access_key and secret_key belong together")
	}
	b := c.bucket()
	err := b.Validate()
	if err == nil && b.Keys != nil {
		_, _, err = b.Keys()
	}
	if err != nil {
		return fmt.Errorf(at+"s3_config.%w", err)
	}
	return nil
}
