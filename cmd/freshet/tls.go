package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// tlsConfig names files in PEM. With none of them there is no TLS.
type tlsConfig struct {
	Cert string `yaml:"cert,omitempty"` // certificates of the server, its own first
	Key  string `yaml:"key,omitempty"`  // of the first
	// ClientCA are authorities; clients have to bring a certificate of one of them.
	ClientCA string `yaml:"client_ca,omitempty"`
}

func (t *tlsConfig) used() bool { return t.Cert != "" }

func (t *tlsConfig) validate() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("http.tls: cert and key belong together")
	case t.ClientCA != "" && t.Cert == "":
		return errors.New("http.tls.client_ca: needs http.tls.cert")
	}
	return nil
}

// certificates are what the server shows and asks for, as the files say: when one of
// them has changed, they are read anew for the next connection. Files that do not fit,
// as when one has been replaced and the other not yet, leave what was.
type certificates struct {
	files tlsConfig
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Config
	seen    []stamp // of the files that current is of
	refused string  // why other files cannot be used, as it was last said
}

// stamp tells whether a file has changed.
type stamp struct {
	changed time.Time
	size    int64
}

func newCertificates(files tlsConfig, log *slog.Logger) *certificates {
	return &certificates{files: files, log: log}
}

// serverConfig reads the files for the first time.
func (c *certificates) serverConfig() (*tls.Config, error) {
	seen, err := c.stamps()
	if err == nil {
		c.current, err = c.read()
	}
	if err != nil {
		return nil, fmt.Errorf("http.tls: %w", err)
	}
	c.seen = seen
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: c.forClient}, nil
}

func (c *certificates) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, err := c.stamps()
	if err == nil && same(seen, c.seen) {
		return c.current, nil
	}
	var next *tls.Config
	if err == nil {
		next, err = c.read()
	}
	if err == nil {
		c.current, c.seen, c.refused = next, seen, ""
		c.log.Info("certificates were read anew")
	} else if text := err.Error(); text != c.refused { // it is tried again for the next connection
		c.refused = text
		c.log.Warn("the new certificates cannot be used, the old ones are", "err", err)
	}
	return c.current, nil
}

func same(a, b []stamp) bool {
	return slices.EqualFunc(a, b, func(x, y stamp) bool { return x.changed.Equal(y.changed) && x.size == y.size })
}

// stamps looks at the files, behind links.
func (c *certificates) stamps() ([]stamp, error) {
	var list []stamp
	for _, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		list = append(list, stamp{info.ModTime(), info.Size()})
	}
	return list, nil
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return nil, err
		}
		return nil, fmt.Errorf("%s, %s: %w", c.files.Cert, c.files.Key, err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
	}
	if c.files.ClientCA == "" {
		return config, nil
	}
	raw, err := os.ReadFile(c.files.ClientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s has no certificate in PEM", c.files.ClientCA)
	}
	return config, nil
}
