package ingest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
	"freshet/storage/crashfs"
)

// group returns the offset that the consumer group has for a partition, -1 for none.
func (r *rig) group(a *kadm.Client, p int32) int64 {
	r.t.Helper()
	offsets, err := a.FetchOffsets(r.t.Context(), ingest.GroupOf(&r.cfg.Sources[0]))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		r.t.Fatal(err)
	}
	if o, ok := offsets.Lookup("t", p); ok {
		return o.At
	}
	return -1
}

// TestGroupIsNotRead has tools move the consumer group's offsets, forward and back, while
// the source rests: it goes on where the collection says, and tells the group so.
func TestGroupIsNotRead(t *testing.T) {
	r := newRig(t, 2, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	for p := range int32(2) {
		for i := range 3 {
			rec := value(fmt.Sprintf(`{"id":"%d-%d","embedding":[1]}`, p, i))
			rec.Partition = p
			r.produce(rec)
		}
		r.applied(p, 2)
	}
	r.halt()
	r.admin(func(a *kadm.Client) error {
		moved := kadm.Offsets{}
		moved.AddOffset("t", 0, 5, -1)
		moved.AddOffset("t", 1, 0, -1)
		return a.CommitAllOffsets(t.Context(), ingest.GroupOf(&r.cfg.Sources[0]), moved)
	})
	for p := range int32(2) {
		for i := 3; i < 6; i++ {
			rec := value(fmt.Sprintf(`{"id":"%d-%d","embedding":[1]}`, p, i))
			rec.Partition = p
			r.produce(rec)
		}
	}
	r.run()
	r.applied(0, 5)
	r.applied(1, 5)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Points != 12 || info.Operation != 12 {
		t.Errorf("%+v, %v", info, err)
	}
	r.admin(func(a *kadm.Client) error {
		r.eventually(func() string {
			if at := [2]int64{r.group(a, 0), r.group(a, 1)}; at != [2]int64{6, 6} {
				return fmt.Sprintf("the group is at %v", at)
			}
			return ""
		})
		return nil
	})
}

// TestGroupIsBehindTheDisk looks at the group's offset, over and over while records flow,
// and then at what a crash of the machine would leave: nothing that the group is told is
// lost.
func TestGroupIsBehindTheDisk(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs, r.dir = fs, "data"
	r.open()
	r.create(1)
	r.run()
	told := int64(-1)
	r.admin(func(a *kadm.Client) error {
		for i := range 20 {
			for n := range 10 {
				r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, 10*i+n)))
			}
			at := told
			r.eventually(func() string {
				if at = r.group(a, 0); at <= told {
					return "the group is told nothing more"
				}
				return ""
			})
			told = at
			left, err := server.Open(t.Context(), "data", server.Options{
				FS: fs.CrashClone(vfs.CrashCloneCfg{RNG: rand.New(rand.NewPCG(uint64(i), 1))}), // nothing that is not synced
			})
			if err != nil {
				return err
			}
			c, err := left.Collection("c")
			if err != nil {
				return err
			}
			p, _, err := c.Position(server.Stream{Source: "src", Topic: "t"})
			if err != nil || p.Next < told {
				t.Errorf("the group is told %d, a crash leaves %+v, %v", told, p, err)
			}
			if err := left.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestFetchSettings reach the brokers.
func TestFetchSettings(t *testing.T) {
	for _, uncommitted := range []bool{false, true} {
		r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
		k := &r.cfg.Kafka
		want := kmsg.NewFetchRequest()
		want.MinBytes, want.MaxWaitMillis, want.IsolationLevel = 1, 1000, 1
		if uncommitted {
			k.IsolationLevel, k.ClientRack, k.FetchMaxWaitMs = "read_uncommitted", "b", 321
			want.MaxWaitMillis, want.IsolationLevel, want.Rack = 321, 0, "b"
		}
		var mu sync.Mutex
		var got kmsg.FetchRequest
		r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			r.cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			got = *req.(*kmsg.FetchRequest)
			return nil, nil, false
		})
		r.run()
		r.produce(value(`{"id":1,"embedding":[1]}`))
		r.applied(0, 0)
		mu.Lock()
		if got.MinBytes != want.MinBytes || got.MaxWaitMillis != want.MaxWaitMillis || got.IsolationLevel != want.IsolationLevel || got.Rack != want.Rack {
			t.Errorf("%+v", got)
		}
		mu.Unlock()
	}
}
