package ingest_test

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/memory"
)

// A source waits while the disk is full, says so, and goes on where it was.
func TestSourceWaitsForRoom(t *testing.T) {
	r := newRig(t, 2, ingest.Source{DeadLetterTopic: "t.dlq"})
	var log text
	r.log = slog.New(slog.NewTextHandler(&log, nil))
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
	const metric = `# HELP freshet_source_paused Partitions that are not consumed, by reason: gap, failed, paused, retrying, disk_full, memory_full; buffer: not fetched for now, because enough is buffered.
# TYPE freshet_source_paused gauge
freshet_source_paused{collection="c",reason="buffer",source="src"} 0
freshet_source_paused{collection="c",reason="disk_full",source="src"} 2
freshet_source_paused{collection="c",reason="failed",source="src"} 0
freshet_source_paused{collection="c",reason="gap",source="src"} 0
freshet_source_paused{collection="c",reason="memory_full",source="src"} 0
freshet_source_paused{collection="c",reason="paused",source="src"} 0
freshet_source_paused{collection="c",reason="retrying",source="src"} 0
`
	if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(metric), "freshet_source_paused"); err != nil {
		t.Error(err)
	}
	if err := r.catchUp(time.Minute); server.KindOf(err) != server.Unavailable {
		t.Errorf("a read that wants all records: %v", err)
	}
	// What comes now is not tried again and again: its letter would be written each time.
	r.produce(value("nonsense"))
	var looks atomic.Int64
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		looks.Add(1)
		return nil, nil, false
	})
	r.eventually(func() string {
		if n := looks.Load(); n < 60 {
			return fmt.Sprintf("%d looks at the logs", n)
		}
		return ""
	})
	if n := len(r.points()); n != 10 {
		t.Errorf("%d points were written to a full disk", n)
	}
	use(80)
	r.settled("c", 21)
	if n := len(r.inTopic("t.dlq")["10"]); n != 1 {
		t.Errorf("%d letters of one record", n)
	}
	if s := r.manager.Status()[0]; s.State != ingest.Running || s.Error != "" {
		t.Errorf("with room again the source is %s: %s", s.State, s.Error)
	}
	if strings.Contains(log.String(), "cannot consume") {
		t.Errorf("that is told as a fault:\n%s", log.String())
	}
}

// A source waits while there is no memory for more data, says so, and goes on.
func TestSourceWaitsForMemory(t *testing.T) {
	r := newRig(t, 2, ingest.Source{})
	var log text
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	g := memory.NewGuard(1<<30, slog.New(slog.DiscardHandler))
	var err error
	if r.db, err = server.Open(t.Context(), t.TempDir(), server.Options{Memory: g}); err != nil {
		t.Fatal(err)
	}
	r.create(2)
	r.run()
	r.produceNumbered(0, 10)
	r.settled("c", 10)
	g.Look(memory.Use{Live: 1 << 30}, nil)
	r.produceNumbered(10, 20) // the source is in a poll, and learns of it with these
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.MemoryFull || s.Error == "" {
			return "the source is " + string(s.State) + ": " + s.Error
		}
		return ""
	})
	if n := len(r.points()); n != 10 {
		t.Errorf("%d points were added", n)
	}
	g.Look(memory.Use{}, nil)
	r.settled("c", 20)
	if s := r.manager.Status()[0]; s.State != ingest.Running || s.Error != "" {
		t.Errorf("with memory again the source is %s: %s", s.State, s.Error)
	}
	if strings.Contains(log.String(), "cannot consume") {
		t.Errorf("that is told as a fault:\n%s", log.String())
	}
}
