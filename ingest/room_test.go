package ingest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"freshet/ingest"
	"freshet/server"
)

// A source waits while the disk is full, says so, and goes on where it was.
func TestSourceWaitsForRoom(t *testing.T) {
	r := newRig(t, 2, ingest.Source{})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	use := func(percent uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1e9, UsedBytes: percent * 1e7, AvailBytes: (100 - percent) * 1e7})
	}
	use(50)
	var err error
	r.db, err = server.Open(t.Context(), "data", server.Options{FS: fs, Disk: server.DiskOptions{HighPercent: 95, Interval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	r.create(2)
	r.run()
	r.produceNumbered(0, 10)
	r.settled("c", 10)
	use(97)
	r.eventually(func() string {
		if r.db.Writable() == nil {
			return "the disk is not full"
		}
		return ""
	})
	// The source is in a poll, and learns of it with these records.
	r.produceNumbered(10, 20)
	r.eventually(func() string {
		s := r.manager.Status()[0]
		if s.State != ingest.DiskFull || s.Error == "" || len(s.Partitions) != 2 || s.Partitions[0].State != ingest.DiskFull {
			return "the source is " + string(s.State) + ": " + s.Error
		}
		return ""
	})
	const metric = `# HELP freshet_source_paused Partitions that are not consumed.
# TYPE freshet_source_paused gauge
freshet_source_paused{collection="c",reason="disk_full",source="src"} 2
freshet_source_paused{collection="c",reason="failed",source="src"} 0
freshet_source_paused{collection="c",reason="gap",source="src"} 0
freshet_source_paused{collection="c",reason="paused",source="src"} 0
freshet_source_paused{collection="c",reason="retrying",source="src"} 0
`
	if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(metric), "freshet_source_paused"); err != nil {
		t.Error(err)
	}
	if err := r.catchUp(time.Minute); server.KindOf(err) != server.Unavailable {
		t.Errorf("a read that wants all records: %v", err)
	}
	if n := len(r.points()); n != 10 {
		t.Errorf("%d points were written to a full disk", n)
	}
	use(80)
	r.settled("c", 20)
	if s := r.manager.Status()[0]; s.State != ingest.Running || s.Error != "" {
		t.Errorf("with room again the source is %s: %s", s.State, s.Error)
	}
}
