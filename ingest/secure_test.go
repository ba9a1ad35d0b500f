package ingest_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"freshet/e2e/certtest"
	"freshet/ingest"
	"freshet/server"
)

const password = `se"same\;`

// secured is a broker that asks who is there, and a source that has to answer.
type secured struct {
	*rig
	log   *text
	admin []kgo.Opt // how the test itself reaches the broker
	n     int       // records so far

	mu    sync.Mutex
	conns []net.Conn
}

// text collects a log.
type text struct {
	mu sync.Mutex
	strings.Builder
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Builder.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Builder.String()
}

// cutListener remembers connections, so that they can be cut.
type cutListener struct {
	net.Listener
	s *secured
}

func (l cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.conns = append(l.s.conns, conn)
		l.s.mu.Unlock()
	}
	return conn, err
}

// cut ends all connections to the broker.
func (s *secured) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close() // it may have ended by itself
	}
	s.conns = nil
}

func newSecured(t *testing.T, brokerOpts []kfake.Opt, admin []kgo.Opt, kafka ingest.Kafka) *secured {
	t.Helper()
	s := &secured{admin: admin, log: &text{}}
	cluster, err := kfake.NewCluster(append(brokerOpts,
		kfake.NumBrokers(1), kfake.SeedTopics(1, "t"),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return cutListener{l, s}, err
		}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	kafka.BootstrapServers = strings.Join(cluster.ListenAddrs(), ",")
	cfg := ingest.Config{Kafka: kafka, Sources: []ingest.Source{{
		Name: "src", Collection: "c", Topics: []string{"t"}, OnCreate: ingest.OnCreate{Auto: true, Distance: server.Dot},
	}}}
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s.rig = &rig{t: t, cluster: cluster, dir: t.TempDir(), cfg: cfg}
	s.open()
	m, err := ingest.New(cfg, s.db, ingest.Options{Refresh: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.manager = m
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
		if text := s.log.String(); strings.Contains(text, password) || strings.Contains(text, "same") {
			t.Errorf("the log tells the password:\n%s", text)
		}
	})
	return s
}

// send produces one record more.
func (s *secured) send() {
	s.t.Helper()
	client := s.client(s.admin...)
	defer client.Close()
	s.n++
	if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Value: []byte(`{"id": 1, "embedding": [1, 2]}`)}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// arrive waits until all records have taken effect.
func (s *secured) arrive() {
	s.t.Helper()
	s.applied(0, int64(s.n-1))
}

// fails waits until the source says that it cannot consume, and why.
func (s *secured) fails(why string) {
	s.t.Helper()
	s.eventually(func() string {
		if status := s.manager.Status()[0]; status.State != ingest.Retrying || !strings.Contains(status.Error, why) {
			return "the source does not fail with " + why
		}
		return ""
	})
}

func keyPair(t *testing.T, p certtest.Pair) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair([]byte(p.Certificate), []byte(p.Key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const (
	jaasPlain = `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="se\"same\\;";`
	jaasScram = `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="se\"same\\;";`
)

// TestSecureConnections consumes from brokers with each kind of protection, by
// each way to name what it takes.
func TestSecureConnections(t *testing.T) {
	authority := certtest.NewAuthority(t, "brokers")
	clients := certtest.NewAuthority(t, "clients")
	us := clients.Issue(t, "u")
	dir := t.TempDir()
	ca := write(t, authority.PEM, dir, "ca.crt")
	passwordFile := write(t, password+"\n", dir, "password")
	tlsUser, scramUser := t.TempDir(), t.TempDir()
	write(t, us.Certificate, tlsUser, "user.crt")
	write(t, us.Key, tlsUser, "user.key")
	write(t, clients.PEM, tlsUser, "ca.crt") // of the clients: not whom to trust
	write(t, password, scramUser, "password")
	write(t, jaasScram, scramUser, "sasl.jaas.config")
	t.Setenv("PASSWORD_OF_TEST", password)

	broker := &tls.Config{Certificates: []tls.Certificate{keyPair(t, authority.Issue(t, "broker", "127.0.0.1"))}}
	nameless := &tls.Config{Certificates: []tls.Certificate{keyPair(t, authority.Issue(t, "broker", "elsewhere"))}}
	mutual := broker.Clone()
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool(t)
	trusting := &tls.Config{RootCAs: authority.Pool(t), Certificates: []tls.Certificate{keyPair(t, us)}}
	anyMachine := ""

	byPlain := plain.Auth{User: "u", Pass: password}.AsMechanism()
	bySha256 := scram.Auth{User: "u", Pass: password}.AsSha256Mechanism()
	bySha512 := scram.Auth{User: "u", Pass: password}.AsSha512Mechanism()
	for _, x := range []struct {
		name  string
		tls   *tls.Config
		login sasl.Mechanism
		kafka ingest.Kafka
		fails string // why it does not work, "" if it does
	}{
		{"PLAIN by JAAS", nil, byPlain, ingest.Kafka{
			SecurityProtocol: "SASL_PLAINTEXT",
			KafkaSASL:        ingest.KafkaSASL{Mechanism: "PLAIN", JAASConfig: jaasPlain},
		}, ""},
		{"SCRAM-SHA-256 by file", broker, bySha256, ingest.Kafka{
			SecurityProtocol: "SASL_SSL",
			KafkaTLS:         ingest.KafkaTLS{TruststoreType: "PEM", TruststoreLocation: ca},
			KafkaSASL:        ingest.KafkaSASL{Mechanism: "SCRAM-SHA-256", Username: "u", Password: ingest.Secret("${file:" + passwordFile + "}")},
		}, ""},
		{"SCRAM-SHA-512 by environment", broker, bySha512, ingest.Kafka{
			SecurityProtocol: "SASL_SSL",
			KafkaTLS:         ingest.KafkaTLS{TruststoreCertificates: ingest.Secret(authority.PEM)},
			KafkaSASL:        ingest.KafkaSASL{Mechanism: "SCRAM-SHA-512", JAASConfig: `ScramLoginModule required username="u" password="${env:PASSWORD_OF_TEST}";`},
		}, ""},
		{"SCRAM-SHA-512 by Strimzi's folders", broker, bySha512, ingest.Kafka{
			SecurityProtocol: "SASL_SSL", StrimziCADir: dir, StrimziUserDir: scramUser,
		}, ""},
		{"mTLS by Strimzi's folders", mutual, nil, ingest.Kafka{
			SecurityProtocol: "SSL", StrimziCADir: dir, StrimziUserDir: tlsUser,
		}, ""},
		{"mTLS by a key store", mutual, nil, ingest.Kafka{
			SecurityProtocol: "SSL",
			KafkaTLS:         ingest.KafkaTLS{TruststoreLocation: ca, KeystoreKey: ingest.Secret(us.Key), KeystoreCertificateChain: ingest.Secret(us.Certificate)},
		}, ""},
		{"any machine", nameless, nil, ingest.Kafka{
			SecurityProtocol: "SSL",
			KafkaTLS:         ingest.KafkaTLS{TruststoreLocation: ca, EndpointIdentification: &anyMachine},
		}, ""},
		{"another machine", nameless, nil, ingest.Kafka{
			SecurityProtocol: "SSL", KafkaTLS: ingest.KafkaTLS{TruststoreLocation: ca},
		}, "doesn't contain any IP SANs"},
		{"an unknown authority", broker, nil, ingest.Kafka{
			SecurityProtocol: "SSL", KafkaTLS: ingest.KafkaTLS{TruststoreCertificates: ingest.Secret(clients.PEM)},
		}, "signed by unknown authority"},
		{"an unknown authority, any machine", broker, nil, ingest.Kafka{
			SecurityProtocol: "SSL", KafkaTLS: ingest.KafkaTLS{TruststoreCertificates: ingest.Secret(clients.PEM), EndpointIdentification: &anyMachine},
		}, "signed by unknown authority"},
		{"no certificate", mutual, nil, ingest.Kafka{
			SecurityProtocol: "SSL", KafkaTLS: ingest.KafkaTLS{TruststoreLocation: ca},
		}, "certificate required"},
		{"a wrong password", broker, bySha512, ingest.Kafka{
			SecurityProtocol: "SASL_SSL", KafkaTLS: ingest.KafkaTLS{TruststoreLocation: ca},
			KafkaSASL: ingest.KafkaSASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: "sesamo"},
		}, "EOF"}, // kfake hangs up, a real broker says SASL_AUTHENTICATION_FAILED
	} {
		t.Run(x.name, func(t *testing.T) {
			opts, admin := []kfake.Opt{}, []kgo.Opt{}
			if x.tls != nil {
				config := trusting.Clone()
				config.InsecureSkipVerify = x.tls == nameless
				opts, admin = append(opts, kfake.TLS(x.tls)), append(admin, kgo.DialTLSConfig(config))
			}
			if x.login != nil {
				opts = append(opts, kfake.EnableSASL(), kfake.Superuser(x.login.Name(), "u", password))
				admin = append(admin, kgo.SASL(x.login))
			}
			s := newSecured(t, opts, admin, x.kafka)
			s.send()
			if x.fails != "" {
				s.fails(x.fails)
				return
			}
			s.arrive()
		})
	}
}

// TestRotation changes the authority, the certificates and the password of a
// running source. Until the files follow, it says why it cannot consume; then it
// goes on by itself.
func TestRotation(t *testing.T) {
	first, second := certtest.NewAuthority(t, "first"), certtest.NewAuthority(t, "second")
	dir := t.TempDir()
	ca := write(t, first.PEM, dir, "ca.crt")
	us := func(a *certtest.Authority) string {
		p := a.Issue(t, "u")
		return p.Key + p.Certificate
	}
	keystore := write(t, us(first), dir, "us.pem")
	passwordFile := write(t, password, dir, "password")

	// What the broker shows and demands.
	var current atomic.Pointer[tls.Config]
	configFor := func(a *certtest.Authority) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{keyPair(t, a.Issue(t, "broker", "127.0.0.1"))},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.Pool(t),
		}
	}
	current.Store(configFor(first))
	broker := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil }}
	adminFor := func(a *certtest.Authority) []kgo.Opt {
		return []kgo.Opt{
			kgo.DialTLSConfig(&tls.Config{RootCAs: a.Pool(t), Certificates: []tls.Certificate{keyPair(t, a.Issue(t, "admin"))}}),
			kgo.SASL(plain.Auth{User: "admin", Pass: password}.AsMechanism()),
		}
	}
	s := newSecured(t,
		[]kfake.Opt{kfake.TLS(broker), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", password), kfake.Superuser("PLAIN", "admin", password)},
		adminFor(first),
		ingest.Kafka{
			SecurityProtocol: "SASL_SSL",
			KafkaTLS:         ingest.KafkaTLS{TruststoreLocation: ca, KeystoreLocation: keystore},
			KafkaSASL:        ingest.KafkaSASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: ingest.Secret("${file:" + passwordFile + "}")},
		})
	s.send()
	s.arrive()

	current.Store(configFor(second))
	s.admin = adminFor(second)
	s.cut()
	s.fails("signed by unknown authority")
	write(t, "half a certif", ca) // a file that is being written
	s.fails("kafka.ssl.truststore.location: holds no certificate")
	write(t, second.PEM, ca)
	s.fails("certificate") // ours is still of the old authority
	write(t, us(second), keystore)
	s.send()
	s.arrive()

	client := s.client(s.admin...)
	defer client.Close()
	if _, err := kadm.NewClient(client).AlterUserSCRAMs(context.Background(), nil, []kadm.UpsertSCRAM{
		{User: "u", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "another " + password},
	}); err != nil {
		t.Fatal(err)
	}
	s.cut()
	s.fails("EOF")
	write(t, "another "+password, passwordFile)
	s.send()
	s.arrive()
}
