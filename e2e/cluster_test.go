//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/e2e/certtest"
)

// cluster is three Kafka brokers on loopback. They speak to each other, and to
// the test, without protection; others have to log in by a mechanism of SASL or to show
// a certificate.
type cluster struct {
	t                     *testing.T
	brokers               [3]*exec.Cmd
	logs                  [3]*output
	files                 [3]string // of properties
	internal, scram, mtls string    // addresses
}

func startCluster(t *testing.T, ca, keystore, password string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var voters, internal, scram, mtls []string
	for i := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, freePort(t)))
		internal = append(internal, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		scram = append(scram, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		mtls = append(mtls, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	}
	c.internal, c.scram, c.mtls = strings.Join(internal, ","), strings.Join(scram, ","), strings.Join(mtls, ",")
	for i := range c.brokers {
		dir := t.TempDir()
		advertised := fmt.Sprintf("INTERNAL://%s,SCRAM://%s,MTLS://%s", internal[i], scram[i], mtls[i])
		_, controller, _ := strings.Cut(voters[i], "@")
		c.files[i] = filepath.Join(dir, "server.properties")
		properties := fmt.Sprintf(`
process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=%s,CONTROLLER://%s
advertised.listeners=%s
listener.security.protocol.map=INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MTLS:SSL
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.scram.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.scram.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_freshet="%s";
listener.name.scram.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=%s
ssl.truststore.type=PEM
ssl.truststore.location=%s
log.dirs=%s
log.retention.ms=-1
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
share.coordinator.state.topic.replication.factor=3
auto.create.topics.enable=false
`, i+1, strings.Join(voters, ","), advertised, controller, advertised, password, keystore, ca, filepath.Join(dir, "logs"))
		if err := os.WriteFile(c.files[i], []byte(properties), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := c.java("-Xmx128m", "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", c.files[i],
			"-S", "SCRAM-SHA-512=[name=freshet,password="+password+"]", "-S", "SCRAM-SHA-256=[name=freshet,password="+password+"]").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		c.logs[i] = new(output)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.brokers {
			c.kill(i)
			if t.Failed() {
				t.Logf("broker %d said:\n%s", i+1, c.logs[i])
			}
		}
	})
	eventually(t, 90*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		return makeTopic(ctx, c.admin(), "t", 6, 3)
	})
	return c
}

// admin returns a client that ends with the test.
func (c *cluster) admin() *kadm.Client {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.internal, ",")...))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func (c *cluster) java(args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(root, ".cache/kafka/libs/*")}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (c *cluster) start(i int) {
	c.t.Helper()
	c.brokers[i] = c.java("-Xmx256m", "kafka.Kafka", c.files[i])
	c.brokers[i].Stdout, c.brokers[i].Stderr = c.logs[i], c.logs[i]
	if err := c.brokers[i].Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) kill(i int) {
	_ = c.brokers[i].Process.Kill()
	_ = c.brokers[i].Wait() // killed, so never a success
}

// inSync waits until every partition has all its replicas again.
func (c *cluster) inSync(admin *kadm.Client) {
	c.t.Helper()
	eventually(c.t, 60*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		topics, err := admin.ListTopics(ctx, "t")
		if err != nil {
			return err
		}
		for _, p := range topics["t"].Partitions.Sorted() {
			if len(p.ISR) != 3 {
				return fmt.Errorf("partition %d has the replicas %v in sync", p.Partition, p.ISR)
			}
		}
		return nil
	})
}

// filesOf returns what writes a file of a test into a folder of its own, and returns its path.
func filesOf(t *testing.T) func(name, text string) (path string) {
	dir := t.TempDir()
	return func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// TestClusterInTrouble consumes from three brokers, by SCRAM over TLS and by a
// certificate, while one is killed and restarted, one falls silent, and the
// password and the certificate change. In the end every record took effect
// exactly once.
func TestClusterInTrouble(t *testing.T) {
	write := filesOf(t)
	authority := certtest.NewAuthority(t, "everybody")
	pem := func(name string, hosts ...string) string {
		p := authority.Issue(t, name, hosts...)
		return p.Key + p.Certificate
	}
	ca, keystore := write("ca.crt", authority.PEM), write("us.pem", pem("freshet"))
	password := write("password", "sesame")
	c := startCluster(t, ca, write("broker.pem", pem("broker", "127.0.0.1")), "sesame")

	const sources = "sources: [{name: docs, topics: [t], on_create: {auto: true, distance: Dot}}]\n"
	byPassword := startFreshet(t, fmt.Sprintf(`
kafka:
  bootstrap.servers: %s
  security.protocol: SASL_SSL
  ssl.truststore.location: %s
  sasl.mechanism: SCRAM-SHA-512
  sasl.username: freshet
  sasl.password: ${file:%s}
`, c.scram, ca, password)+sources)
	byCertificate := startFreshet(t, fmt.Sprintf(`
kafka:
  bootstrap.servers: %s
  security.protocol: SSL
  ssl.truststore.location: %s
  ssl.keystore.location: %s
`, c.mtls, ca, keystore)+sources)

	// A record every five milliseconds, each with an id of its own.
	producer, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.internal, ",")...), kgo.ProducerLinger(0), kgo.DefaultProduceTopic("t"), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			case <-tick.C:
			}
			key := fmt.Sprintf("doc-%d", n)
			producer.Produce(context.Background(), &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, `{"id": %q, "embedding": [1, %d]}`, key, n)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("%s was not produced: %v", key, err)
				}
			})
		}
	}()

	admin := c.admin()
	time.Sleep(2 * time.Second)
	c.kill(0)
	time.Sleep(2 * time.Second)
	c.start(0)
	c.inSync(admin)

	// Nobody is told of the new password and certificate but the files; the next
	// connections are made because a broker falls silent.
	if _, err := admin.AlterUserSCRAMs(context.Background(), nil, []kadm.UpsertSCRAM{
		{User: "freshet", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "another sesame"},
	}); err != nil {
		t.Fatal(err)
	}
	write("password", "another sesame")
	write("us.pem", pem("freshet"))
	if err := c.brokers[1].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(8 * time.Second)
	if err := c.brokers[1].Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.inSync(admin)
	close(stop)
	produced := <-stopped
	if err := producer.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}

	demand, inLog := endOffsets(t, c.internal, "t")
	if inLog != int64(produced) {
		t.Errorf("%d records in the log, %d produced", inLog, produced)
	}
	for name, f := range map[string]*freshet{"by password": byPassword, "by certificate": byCertificate} {
		var found struct{ Count int }
		header := http.Header{"X-Freshet-Min-Offsets": {demand}}
		if err := f.call("POST", "/collections/docs/points/count?timeout=60", header, map[string]any{}, &found); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if found.Count != produced {
			t.Errorf("%s: %d points for %d records", name, found.Count, produced)
		}
		if n := operations(t, f)["docs"]; n != inLog {
			t.Errorf("%s: %d operations for %d records", name, n, inLog)
		}
		if strings.Contains(f.log.String(), "sesame") {
			t.Errorf("%s: the log tells the password", name)
		}
	}
}
