package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"freshet/ingest"
)

type httpConfig struct {
	Listen string `yaml:"listen"` // host:port
	// Insecure allows to listen beyond this machine, to anyone.
	Insecure bool `yaml:"insecure"`
	// APIKey and AltAPIKey allow everything, ReadOnlyAPIKey to read. With none of
	// them everybody may do everything. ${file:PATH} and ${env:NAME} stand for what
	// these hold at the start.
	APIKey         string `yaml:"api_key,omitempty"`
	AltAPIKey      string `yaml:"alt_api_key,omitempty"`
	ReadOnlyAPIKey string `yaml:"read_only_api_key,omitempty"`
	// JWT takes tokens that are signed with APIKey or AltAPIKey.
	JWT bool `yaml:"jwt_rbac"`
	// CORSOrigins are those whose web pages may use the server besides its own, "*" for
	// all. Without any: all if there is a key, else those of this machine.
	CORSOrigins []string `yaml:"cors_origins,omitempty"`
	// AuditLog is a file that gets a line for each request; "" for none.
	AuditLog string `yaml:"audit_log,omitempty"`
	// TLS names the certificates of the port.
	TLS tlsConfig `yaml:"tls,omitempty"`
	// ReadyLag is how old the oldest record that a source has not applied may be for
	// the server to become ready; 0 for any age.
	ReadyLag *time.Duration `yaml:"ready_lag"`
	// Title is what GET / says in place of who we are.
	Title string `yaml:"title,omitempty"`
}

func (h *httpConfig) validate() error {
	if _, _, err := net.SplitHostPort(h.Listen); err != nil {
		return fmt.Errorf("http.listen: %q is not host:port", h.Listen)
	}
	if err := h.validateKeys(); err != nil {
		return err
	}
	if err := h.TLS.validate(); err != nil {
		return err
	}
	if err := h.validateOrigins(); err != nil {
		return err
	}
	if *h.ReadyLag < 0 {
		return fmt.Errorf("http.ready_lag: %s is negative", *h.ReadyLag)
	}
	if h.local() || h.Insecure || h.APIKey != "" {
		return nil
	}
	return fmt.Errorf("http.listen: %s can be reached from other machines, and anybody there may do everything; http.api_key makes them bring a key, --insecure allows it", h.Listen)
}

// local says whether only this machine can reach the port.
func (h *httpConfig) local() bool {
	host, _, err := net.SplitHostPort(h.Listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// validateOrigins sees to it that origins are written as browsers write them, which are
// compared as they are.
func (h *httpConfig) validateOrigins() error {
	usual := map[string]string{"http": "80", "https": "443"}
	for i, origin := range h.CORSOrigins {
		u, err := url.Parse(origin)
		if origin == "*" || err == nil && u.Host != "" && u.Scheme+"://"+strings.ToLower(u.Host) == origin && (u.Port() == "" || u.Port() != usual[u.Scheme]) {
			continue
		}
		return fmt.Errorf("http.cors_origins[%d]: %q is neither * nor scheme://host or scheme://host:port as a browser writes it", i, origin)
	}
	return nil
}

// readKeys puts what files and variables hold in the place of the keys that name
// them. What holds nothing is no key: it would open the server to everybody.
func (h *httpConfig) readKeys() error {
	for _, k := range []struct {
		name string
		key  *string
	}{
		{"api_key", &h.APIKey}, {"alt_api_key", &h.AltAPIKey}, {"read_only_api_key", &h.ReadOnlyAPIKey},
	} {
		held, err := ingest.Secret(*k.key).Read()
		if err == nil && held == "" && *k.key != "" {
			err = fmt.Errorf("%s holds nothing", *k.key)
		}
		if err != nil {
			return fmt.Errorf("http.%s: %w", k.name, err)
		}
		*k.key = held
	}
	return nil
}

func (h *httpConfig) validateKeys() error {
	if h.JWT && h.APIKey == "" {
		return errors.New("http.jwt_rbac: needs http.api_key, with which tokens are signed")
	}
	named := map[string]string{}
	for _, k := range []struct{ name, key string }{
		{"api_key", h.APIKey}, {"alt_api_key", h.AltAPIKey}, {"read_only_api_key", h.ReadOnlyAPIKey},
	} {
		switch other := named[k.key]; {
		case k.key == "":
			continue
		case h.APIKey == "":
			return fmt.Errorf("http.%s: needs http.api_key", k.name)
		case strings.ContainsFunc(k.key, func(r rune) bool { return r <= ' ' || r > '~' }):
			return fmt.Errorf("http.%s: a key consists of visible characters of ASCII", k.name)
		case other != "":
			return fmt.Errorf("http.%s: is the same as http.%s", k.name, other)
		}
		named[k.key] = k.name
	}
	return nil
}

// keys returns the keys that allow everything, and those to read.
func (h *httpConfig) keys() (full, readOnly []string) {
	for _, key := range []string{h.APIKey, h.AltAPIKey} {
		if key != "" {
			full = append(full, key)
		}
	}
	if h.ReadOnlyAPIKey != "" {
		readOnly = append(readOnly, h.ReadOnlyAPIKey)
	}
	return full, readOnly
}
