package ingest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
)

// KafkaTLS says whom to trust and who we are, in PEM.
type KafkaTLS struct {
	TruststoreType         string `yaml:"ssl.truststore.type,omitempty"`         // PEM
	TruststoreLocation     string `yaml:"ssl.truststore.location,omitempty"`     // file of certificates; default: the system's
	TruststoreCertificates Secret `yaml:"ssl.truststore.certificates,omitempty"` // or they themselves

	KeystoreType             string `yaml:"ssl.keystore.type,omitempty"`              // PEM
	KeystoreLocation         string `yaml:"ssl.keystore.location,omitempty"`          // file of a key and its certificates
	KeystoreKey              Secret `yaml:"ssl.keystore.key,omitempty"`               // or the key itself
	KeystoreCertificateChain Secret `yaml:"ssl.keystore.certificate.chain,omitempty"` // and its certificates

	// EndpointIdentification is https (default): the broker's certificate has to
	// name the broker; or empty: any certificate of a trusted authority will do.
	EndpointIdentification *string `yaml:"ssl.endpoint.identification.algorithm,omitempty"`
}

func (k *Kafka) tlsProblems() []error {
	var errs []error
	for _, x := range []setting{
		{"ssl.truststore.type", k.TruststoreType}, {"ssl.keystore.type", k.KeystoreType},
	} {
		if x.value != "" && x.value != "PEM" {
			errs = append(errs, keyError(x.key, "%q is not PEM; keytool -exportcert -rfc and openssl pkcs12 -nodes turn others into it", x.value))
		}
	}
	if e := k.EndpointIdentification; e != nil && *e != "" && *e != "https" {
		errs = append(errs, keyError("ssl.endpoint.identification.algorithm", "%q is neither https nor empty", *e))
	}
	trust := given(
		setting{"ssl.truststore.location", k.TruststoreLocation},
		setting{"ssl.truststore.certificates", string(k.TruststoreCertificates)},
		setting{"strimzi.ca.dir", k.StrimziCADir})
	if len(trust) > 1 {
		errs = append(errs, keyError(trust[0], "cannot be together with %s", trust[1]))
	}
	identity := given(
		setting{"ssl.keystore.location", k.KeystoreLocation},
		setting{"ssl.keystore.key", string(k.KeystoreKey)},
		setting{"ssl.keystore.certificate.chain", string(k.KeystoreCertificateChain)})
	if (k.KeystoreKey == "") != (k.KeystoreCertificateChain == "") {
		errs = append(errs, keyError(identity[len(identity)-1], "ssl.keystore.key and ssl.keystore.certificate.chain belong together"))
	} else if k.KeystoreLocation != "" && len(identity) > 1 {
		errs = append(errs, keyError(identity[0], "cannot be together with %s", identity[1]))
	}
	if len(errs) > 0 {
		return errs
	}
	if !k.usesTLS() {
		for _, key := range append(trust, identity...) {
			errs = append(errs, keyError(key, "needs security.protocol SSL or SASL_SSL, not %s", k.SecurityProtocol))
		}
		return errs
	}
	if _, err := k.roots(); err != nil {
		errs = append(errs, err)
	}
	if _, err := k.identity(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// setting is a key with what it was given.
type setting struct{ key, value string }

// given returns the keys of those settings that have a value.
func given(settings ...setting) []string {
	var keys []string
	for _, s := range settings {
		if s.value != "" {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// handshake secures a connection to a broker.
func (k *Kafka) handshake(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := k.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	return secured, secured.HandshakeContext(ctx)
}

// tlsConfig returns the settings of a connection to a host, from the files as
// they are now.
func (k *Kafka) tlsConfig(host string) (*tls.Config, error) {
	roots, err := k.roots()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: host, RootCAs: roots}
	identity, err := k.identity()
	if err != nil {
		return nil, err
	}
	if identity != nil {
		// Sent whatever authorities the broker names: the Java client does so, and
		// with the others a missing certificate would only be refused later.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return identity, nil }
	}
	if e := k.EndpointIdentification; e != nil && *e == "" {
		config.InsecureSkipVerify = true // of chain and name; the chain is verified all the same
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	}
	return config, nil
}

// verifyChain checks all that a certificate has to be but its name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	return err
}

// roots returns the authorities that are trusted, nil for those of the system.
func (k *Kafka) roots() (*x509.CertPool, error) {
	list, err := k.authorities()
	if err != nil || list == nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool, nil
}

// authorities returns the certificates that were configured to be trusted.
func (k *Kafka) authorities() ([]*x509.Certificate, error) {
	var key string
	var text []byte
	var err error
	switch {
	case k.TruststoreLocation != "":
		key = "ssl.truststore.location"
		text, err = readSmall(k.TruststoreLocation)
	case k.TruststoreCertificates != "":
		key = "ssl.truststore.certificates"
		var inline string
		inline, err = k.TruststoreCertificates.Read()
		text = []byte(inline)
	case k.StrimziCADir != "":
		key = "strimzi.ca.dir"
		text, err = readStrimziCA(k.StrimziCADir)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, keyError(key, "%w", err)
	}
	list, err := parseCertificates(text)
	if err != nil {
		return nil, keyError(key, "%w", err)
	}
	return list, nil
}

// readStrimziCA returns the certificates of a cluster's authority: while it is
// being replaced, ca.crt has the new one and ca-<time>.crt those before it.
func readStrimziCA(dir string) ([]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "ca*.crt"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there is no ca.crt in %s", dir)
	}
	var all []byte
	for _, path := range paths {
		text, err := readSmall(path)
		if err != nil {
			return nil, err
		}
		all = append(append(all, text...), '\n')
	}
	return all, nil
}

// parseCertificates reads PEM certificates; other blocks are none of its
// business.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	return list, nil
}

// identity returns the certificate by which a broker knows us, nil without one.
func (k *Kafka) identity() (*tls.Certificate, error) {
	switch {
	case k.KeystoreLocation != "":
		text, err := readSmall(k.KeystoreLocation)
		if err != nil {
			return nil, keyError("ssl.keystore.location", "%w", err)
		}
		return parseIdentity("ssl.keystore.location", text, text)
	case k.KeystoreKey != "":
		key, err := k.KeystoreKey.Read()
		if err != nil {
			return nil, keyError("ssl.keystore.key", "%w", err)
		}
		chain, err := k.KeystoreCertificateChain.Read()
		if err != nil {
			return nil, keyError("ssl.keystore.certificate.chain", "%w", err)
		}
		return parseIdentity("ssl.keystore.key", []byte(chain), []byte(key))
	case k.StrimziUserDir != "":
		return k.strimziIdentity()
	}
	return nil, nil
}

// strimziIdentity returns the certificate of a KafkaUser of type tls, nil for
// one that has a password.
func (k *Kafka) strimziIdentity() (*tls.Certificate, error) {
	chain, err := readSmall(filepath.Join(k.StrimziUserDir, "user.crt"))
	if errors.Is(err, fs.ErrNotExist) && k.usesSASL() {
		return nil, nil
	}
	if err != nil {
		return nil, keyError("strimzi.user.dir", "%w", err)
	}
	key, err := readSmall(filepath.Join(k.StrimziUserDir, "user.key"))
	if err != nil {
		return nil, keyError("strimzi.user.dir", "%w", err)
	}
	return parseIdentity("strimzi.user.dir", chain, key)
}

func parseIdentity(setting string, chain, key []byte) (*tls.Certificate, error) {
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return nil, keyError(setting, "the key is encrypted, which is not supported; openssl pkey writes it in plain")
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, keyError(setting, "%w", errors.New(strings.TrimPrefix(err.Error(), "tls: ")))
	}
	return &c, nil
}
