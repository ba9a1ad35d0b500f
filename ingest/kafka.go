package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka tells how to reach the brokers, by the names of the Java client.
type Kafka struct {
	BootstrapServers string `yaml:"bootstrap.servers"`     // host:port,…
	ClientID         string `yaml:"client.id"`             // default freshet
	ClientRack       string `yaml:"client.rack,omitempty"` // reads from a replica in the same rack
	IsolationLevel   string `yaml:"isolation.level"`       // read_committed (default) or read_uncommitted
	FetchMaxWaitMs   int    `yaml:"fetch.max.wait.ms"`     // how long a broker without records waits; default 1000
	// SecurityProtocol is PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
	SecurityProtocol string `yaml:"security.protocol"`

	KafkaTLS  `yaml:",inline"`
	KafkaSASL `yaml:",inline"`

	// StrimziUserDir is where the secret of a KafkaUser is mounted: user.crt and
	// user.key, or sasl.jaas.config.
	StrimziUserDir string `yaml:"strimzi.user.dir,omitempty"`
	// StrimziCADir is where the secret <cluster>-cluster-ca-cert is mounted.
	StrimziCADir string `yaml:"strimzi.ca.dir,omitempty"`
}

// Limits of the connection.
const (
	maxFetchWaitMs = 60_000
	dialTimeout    = 5 * time.Second // of a connection, TLS included
)

func (k *Kafka) setDefaults() {
	fallback(&k.ClientID, "freshet")
	fallback(&k.IsolationLevel, "read_committed")
	fallback(&k.FetchMaxWaitMs, 1000)
	fallback(&k.SecurityProtocol, "PLAINTEXT")
}

func (k *Kafka) usesTLS() bool  { return strings.HasSuffix(k.SecurityProtocol, "SSL") }
func (k *Kafka) usesSASL() bool { return strings.HasPrefix(k.SecurityProtocol, "SASL_") }

// problems returns what cannot work, each with its key. Certificates and
// credentials are looked at as they are now.
func (k *Kafka) problems() []error {
	var errs []error
	if !slices.Contains([]string{"read_committed", "read_uncommitted"}, k.IsolationLevel) {
		errs = append(errs, keyError("isolation.level", "%q is not read_committed or read_uncommitted", k.IsolationLevel))
	}
	if k.FetchMaxWaitMs < 1 || k.FetchMaxWaitMs > maxFetchWaitMs {
		errs = append(errs, keyError("fetch.max.wait.ms", "%d is not between 1 and %d", k.FetchMaxWaitMs, maxFetchWaitMs))
	}
	if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, k.SecurityProtocol) {
		return append(errs, keyError("security.protocol", "%q is not PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", k.SecurityProtocol))
	}
	errs = append(errs, k.tlsProblems()...)
	return append(errs, k.saslProblems()...)
}

// keyError is a problem with a setting of the section kafka.
func keyError(key, format string, args ...any) error {
	return fmt.Errorf("kafka.%s: %w", key, fmt.Errorf(format, args...))
}

// ClientOptions returns what a client needs to reach the brokers and to read from them.
func (k *Kafka) ClientOptions() []kgo.Opt {
	isolation := kgo.ReadCommitted()
	if k.IsolationLevel == "read_uncommitted" {
		isolation = kgo.ReadUncommitted()
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(splitServers(k.BootstrapServers)...),
		kgo.ClientID(k.ClientID),
		kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxWait(time.Duration(k.FetchMaxWaitMs) * time.Millisecond),
		kgo.Dialer(k.dial),
	}
	if k.ClientRack != "" {
		opts = append(opts, kgo.Rack(k.ClientRack))
	}
	if k.usesSASL() {
		opts = append(opts, kgo.SASL(k.mechanism()))
	}
	return opts
}

// dial makes a connection, with the certificates as they are now.
func (k *Kafka) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || !k.usesTLS() {
		return conn, err
	}
	secured, err := k.handshake(ctx, conn, address)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", address, err), conn.Close())
	}
	return secured, nil
}
