package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// cutNet is a network that can lose the broker: connections end, and no new ones are made.
type cutNet struct {
	kfake.VirtualNetwork

	mu    sync.Mutex
	away  bool
	dials int // while it is away
	open  []net.Conn
}

func (n *cutNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		n.dials++
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	conn, err := n.DialContext(ctx, network, address)
	if err == nil {
		n.open = append(n.open, conn)
	}
	return conn, err
}

func (n *cutNet) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away, n.dials = true, 0
	for _, conn := range n.open {
		_ = conn.Close() // of a pipe
	}
	n.open = nil
}

// mend has the broker answer again, and returns how often it was dialled in vain.
func (n *cutNet) mend() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = false
	return n.dials
}

// TestBrokerAway has a broker away for longer than any pause, by a clock that stands still
// while anybody works: records that wait for it are applied within about a second of its
// return, whether the source ran before, begins meanwhile, or has dead letters to write, and
// its state says so.
func TestBrokerAway(t *testing.T) {
	for _, letters := range []string{"", "letters"} {
		for _, begins := range []bool{false, true} {
			for phase := range 5 { // of what is done every five seconds
				t.Run(fmt.Sprintf("letters=%v,begins=%v,phase=%d", letters != "", begins, phase), func(t *testing.T) {
					away := time.Minute + time.Duration(phase)*time.Second
					synctest.Test(t, func(t *testing.T) { testBrokerAway(t, letters, begins, away) })
				})
			}
		}
	}
}

func testBrokerAway(t *testing.T, letters string, begins bool, away time.Duration) {
	const (
		resumes = 1200 * time.Millisecond // two pauses, a fifth longer
		most    = 30                      // dials a second
	)
	var network cutNet
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.ListenFn(network.Listen))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	db := openDB(t)
	cfg := Config{
		Kafka:   Kafka{BootstrapServers: cluster.ListenAddrs()[0]},
		Sources: []Source{{Name: "src", Collection: "c", Topics: []string{"t"}, DeadLetterTopic: letters}},
	}
	cfg.Sources[0].OnCreate.Auto = true
	cfg.SetDefaults()
	m, err := New(cfg, db, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.list[0].source.dialer = network.dial
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(network.DialContext), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent := int64(0)
	put := func() {
		for _, value := range []string{`{"id":1,"embedding":[1]}`, `{`} {
			if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	applied := func() time.Duration {
		began := time.Now()
		for ; ; time.Sleep(time.Millisecond) {
			c, err := db.Collection("c")
			if err != nil {
				continue
			}
			if p, _, err := c.Position(server.Stream{Source: "src", Topic: "t"}); err != nil || p.Next == sent {
				if err != nil {
					t.Fatal(err)
				}
				return time.Since(began)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	run := func() { running.Go(func() { m.Run(ctx) }) }
	if !begins {
		run()
		put()
		applied()
	}
	network.cut()
	if begins {
		run()
	}
	time.Sleep(away)
	put()                             // by another way
	cluster.ShufflePartitionLeaders() // a broker that starts leads in another epoch
	dials := network.mend()
	if after := applied(); after > resumes {
		t.Errorf("records were applied %v after the broker was back", after)
	}
	back := time.Now()
	for m.Status()[0].State != Running {
		time.Sleep(time.Millisecond)
	}
	if after := time.Since(back); after > resumes {
		t.Errorf("the status told %v later that the source runs", after)
	}
	if dials > most*int(away/time.Second) {
		t.Errorf("%d dials in %v", dials, away)
	}
}

// TestTopicsAreLookedAt checks that the client may ask for metadata as often as a broker that
// is away wants it, where sources look at their topics less often, and as often as they do.
func TestTopicsAreLookedAt(t *testing.T) {
	cfg := Config{Kafka: Kafka{BootstrapServers: "localhost:9092"}, Sources: []Source{{Name: "src", Collection: "c", Topics: []string{"t"}}}}
	cfg.SetDefaults()
	for refresh, want := range map[time.Duration]time.Duration{lastPause: lastAway, 20 * time.Millisecond: 20 * time.Millisecond} {
		s := &source{cfg: cfg.Sources[0], kafka: cfg.Kafka, refresh: refresh}
		client, err := kgo.NewClient(s.options()...)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.OptValue(kgo.MetadataMinAge); got != want {
			t.Errorf("looked at every %v, asked for %v at most, want %v", refresh, got, want)
		}
		client.Close()
	}
}

func TestPauses(t *testing.T) {
	for tries := range 100 {
		for _, last := range []time.Duration{lastAway, lastPause} {
			want := min(firstPause<<min(max(tries-1, 0), 20), last)
			if got := pauseAfter(tries, last); got < want*8/10 || got > want*12/10 {
				t.Errorf("after %d tries %v, want %v or a fifth more or less", tries, got, want)
			}
		}
	}
	for _, test := range []struct {
		err  error
		away bool
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, true},
		{fmt.Errorf("list topics: %w", context.DeadlineExceeded), true},
		{io.EOF, true},
		{kerr.LeaderNotAvailable, true},
		{kerr.CoordinatorLoadInProgress, true},
		{kerr.UnknownTopicOrPartition, false},
		{errNoTopic, false},
		{kerr.SaslAuthenticationFailed, false},
		{kerr.TopicAuthorizationFailed, false},
		{errors.New("TLS: unknown authority"), false},
	} {
		if isAway(test.err) != test.away {
			t.Errorf("%v: away is %v", test.err, !test.away)
		}
	}
}
