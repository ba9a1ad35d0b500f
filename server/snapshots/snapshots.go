// Package snapshots keeps the files of snapshots: in a folder of this machine, or in
// a bucket of a store that speaks S3. Those of a collection are in a folder of
// their own, those of the whole storage at the top, under the folder "". It knows
// nothing of what is in them.
//
// A snapshot that is listed is whole: what was begun and not finished is never seen.
package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"
)

// ErrDamaged means that a snapshot does not match its checksum any more.
var ErrDamaged = errors.New("the snapshot is damaged")

// Suffix is what the name of each snapshot ends with.
const Suffix = ".snapshot"

// Info describes a snapshot.
type Info struct {
	Name     string
	Created  time.Time
	Size     int64  // bytes
	Checksum string // SHA-256, hexadecimal; "" if it is not known
}

// File is a snapshot that is read, from any place. It must be closed.
type File = io.ReadSeekCloser

// valid says whether a file of the name can be a snapshot.
func valid(name string) bool {
	return strings.HasSuffix(name, Suffix) && len(name) <= 255 && !strings.ContainsAny(name, "/\\\x00")
}

// ValidChecksum says whether the text is a SHA-256 in hexadecimal.
func ValidChecksum(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}
