//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestChaos consumes records, 1 % of them no points, while a broker is killed and started
// again, falls silent, gets more partitions, while more is asked than the server can take,
// while its disk is slow to sync, and while it is killed with no broker there. After each of these, ROUNDS of them, no
// position is ahead of the data and what REST acknowledged is there. In the end every record
// that the broker has took effect once, and those that are no points are dead letters. SEED
// says with which random numbers.
func TestChaos(t *testing.T) {
	t.Parallel() // it mostly waits
	c := &chaos{t: t}
	rounds, seed := fromEnvironment(t, "ROUNDS", 6), fromEnvironment(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	c.rng, c.broker = rand.New(rand.NewPCG(seed, 99)), startBroker(t)
	createTopic(t, c.broker.address, "records", 2)
	c.f = startFreshet(t, fmt.Sprintf(`
kafka: {bootstrap.servers: %q}
sources:
  - {name: records, topics: [records], format: upsert-kafka, on_create: {auto: true, distance: Euclid}, errors.deadletterqueue.topic.name: letters}
`, c.broker.address))
	clients := newCrashClients(t, c.f, 16, seed)
	topic := newCrashTopic(t, c.broker.address, seed)
	topic.bad = 1

	events := []struct {
		name string
		do   func()
		load int // records each 5 ms
	}{
		{"the broker is killed", c.killBroker, 10},
		{"the broker falls silent", c.freezeBroker, 10},
		{"there are more partitions", c.addPartitions, 10},
		{"there is too much to do", c.pause, 100},
		{"the disk is slow", c.slowDisk, 10},
		{"the server is killed while the broker is away", c.killBoth, 10},
	}
	c.long = rounds > len(events)
	var deck []int // so that a short run has all of them, too
	for n := range rounds {
		if len(deck) == 0 {
			deck = c.rng.Perm(len(events))
		}
		event := events[deck[0]]
		deck = deck[1:]
		load, stop := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() { topic.produce(load, event.load) })
		for i, client := range clients {
			if i < 2 || event.load > 10 {
				work.Go(func() { client.write(load, t) })
			}
		}
		work.Go(func() { crashSearches(load, t, c.f) })
		c.pause()
		event.do()
		c.pause()
		stop()
		work.Wait()
		c.f.ready()
		found := crashPoints(t, c.f, "rest")
		for _, client := range clients {
			client.verify(t, found)
		}
		topic.verify(t, c.f)
		t.Logf("%s: %d records produced, %v applied", event.name, topic.n, operations(t, c.f))
		if t.Failed() {
			t.Fatalf("after round %d", n+1)
		}
	}
	topic.verifyAll(t, c.f, c.broker.address)
	c.verifyLetters(topic)
	if strings.Contains(c.f.log.String(), "level=ERROR") {
		t.Error("an error was logged")
	}
}

// chaos is a server, its broker, and what befalls them.
type chaos struct {
	t      *testing.T
	rng    *rand.Rand
	broker *broker
	f      *freshet
	long   bool // there is time
}

func (c *chaos) pause() { time.Sleep(time.Duration(200+c.rng.IntN(1500)) * time.Millisecond) }

func (c *chaos) killBroker() {
	c.broker.kill()
	c.pause()
	c.broker.start()
}

func (c *chaos) freezeBroker() {
	during := time.Duration(2+c.rng.IntN(4)) * time.Second
	if c.long && c.rng.IntN(4) == 0 {
		during = time.Minute
	}
	c.broker.freeze(during)
}

// slowDisk has each sync wait, up to a second, and where there is time up to half a minute,
// which is a disk that hangs.
func (c *chaos) slowDisk() {
	delay := time.Duration(20+c.rng.IntN(1000)) * time.Millisecond
	hang := c.long && c.rng.IntN(4) == 0
	if hang {
		delay *= 30
	}
	end := c.f.inject(syncs, fmt.Sprintf("delay_enter=%d", delay.Microseconds()))
	c.pause()
	c.pause()
	if hang {
		time.Sleep(delay)
	}
	if calls := end(); !strings.Contains(calls, "sync(") { // it may not be over yet
		c.t.Errorf("no sync was slow:\n%s", calls)
	}
}

func (c *chaos) addPartitions() {
	const most = 64
	client, err := kgo.NewClient(kgo.SeedBrokers(c.broker.address))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(context.Background(), "records")
	if err != nil {
		c.t.Fatal(err)
	}
	n := len(topics["records"].Partitions) + 1 + c.rng.IntN(2)
	if n > most {
		return
	}
	answers, err := admin.UpdatePartitions(context.Background(), n, "records")
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) killBoth() {
	c.f.kill()
	c.broker.kill()
	c.f.launch()
	c.pause()
	c.broker.start()
}

// verifyLetters checks that the dead letters are those of the records that are no points.
// One may be there twice, since the server was killed.
func (c *chaos) verifyLetters(topic *crashTopic) {
	c.t.Helper()
	type place struct {
		partition int32
		offset    int64
	}
	_, n := endOffsets(c.t, c.broker.address, "letters")
	client, err := kgo.NewClient(kgo.SeedBrokers(c.broker.address), kgo.ConsumeTopics("letters"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeoutOfTests)
	defer cancel()
	found := map[place]int{}
	for read := int64(0); read < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.t.Fatalf("%d of %d letters were read: %v", read, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			of := map[string]int64{}
			for _, h := range r.Headers {
				of[h.Key], _ = strconv.ParseInt(string(h.Value), 10, 64) // others are text
			}
			found[place{int32(of["__connect.errors.partition"]), of["__connect.errors.offset"]}]++
			read++
		})
	}
	bad := 0
	for partition, log := range topic.logs {
		for _, r := range log {
			if !r.bad {
				continue
			}
			bad++
			if found[place{partition, r.offset}] == 0 {
				c.t.Errorf("record %d of partition %d is no point, and no dead letter", r.offset, partition)
			}
		}
	}
	if len(found) != bad || bad == 0 {
		c.t.Errorf("%d dead letters, %d records are no points", len(found), bad)
	}
	c.t.Logf("%d records, %d dead letters of %d that are no points", topic.n, n, bad)
}
