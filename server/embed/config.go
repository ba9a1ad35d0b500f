package embed

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is what the configuration file says about embedding.
type Config struct {
	Models []ModelConfig `yaml:"models"`
}

// ModelConfig describes a model behind an endpoint.
type ModelConfig struct {
	Name      string `yaml:"name"`      // by which sources and requests ask for it
	URL       string `yaml:"url"`       // of the endpoint, with its path
	Model     string `yaml:"model"`     // as the endpoint calls it; default: the name
	Dimension int    `yaml:"dimension"` // of its vectors

	Batch       int           `yaml:"batch"`       // texts of one request; default 32
	Concurrency int           `yaml:"concurrency"` // requests in flight; default 4
	Timeout     time.Duration `yaml:"timeout"`     // of one request; default 30s
	Cache       *int          `yaml:"cache"`       // vectors kept; default 10,000
	Encoding    string        `yaml:"encoding"`    // asked for: float (default) or base64

	// The key is the content of a file, read for every request, or of an environment
	// variable.
	APIKeyFile string `yaml:"api_key_file,omitempty"`
	APIKeyEnv  string `yaml:"api_key_env,omitempty"`

	// Some models want to be told what a text is for by what stands before it.
	QueryPrefix    string `yaml:"query_prefix,omitempty"`
	DocumentPrefix string `yaml:"document_prefix,omitempty"`
}

// Limits of a configuration.
const (
	maxName        = 200 // bytes
	maxDimension   = 65536
	maxBatch       = 2048
	maxConcurrency = 256
	maxTimeout     = 10 * time.Minute
	maxCache       = 10_000_000
	maxPrefix      = 4096 // bytes
)

// SetDefaults completes what was left out.
func (c *Config) SetDefaults() {
	for i := range c.Models {
		m := &c.Models[i]
		m.Model = cmp.Or(m.Model, m.Name)
		m.Batch = cmp.Or(m.Batch, 32)
		m.Concurrency = cmp.Or(m.Concurrency, 4)
		m.Timeout = cmp.Or(m.Timeout, 30*time.Second)
		m.Encoding = cmp.Or(m.Encoding, "float")
		if m.Cache == nil {
			m.Cache = new(10_000)
		}
	}
}

// Validate reports every setting that cannot work, by its path. It expects
// SetDefaults to have been called.
func (c *Config) Validate() error {
	var errs []error
	names := map[string]bool{}
	for i := range c.Models {
		m := &c.Models[i]
		report := func(field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("embedding.models[%d].%s: %s", i, field, fmt.Sprintf(format, args...)))
		}
		if names[m.Name] {
			report("name", "%q is the name of another model too", m.Name)
		}
		names[m.Name] = true
		m.validate(report)
	}
	return errors.Join(errs...)
}

func (m *ModelConfig) validate(report func(field, format string, args ...any)) {
	within := func(field string, n, lowest, highest int) {
		if n < lowest || n > highest {
			report(field, "%d is not from %d to %d", n, lowest, highest)
		}
	}
	if m.Name == "" || len(m.Name) > maxName {
		report("name", "needs 1 to %d bytes", maxName)
	}
	// The address is not repeated: it may hold a secret.
	switch u, err := url.Parse(m.URL); {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		report("url", "is not http://host/path or https://host/path")
	case u.User != nil:
		report("url", "may not hold a password; api_key_file or api_key_env names the key")
	}
	within("dimension", m.Dimension, 1, maxDimension)
	within("batch", m.Batch, 1, maxBatch)
	within("concurrency", m.Concurrency, 1, maxConcurrency)
	within("cache", *m.Cache, 0, maxCache)
	if m.Timeout < time.Millisecond || m.Timeout > maxTimeout {
		report("timeout", "%s is not from 1ms to %s", m.Timeout, maxTimeout)
	}
	if m.Encoding != "float" && m.Encoding != "base64" {
		report("encoding", "%q is not float or base64", m.Encoding)
	}
	if m.APIKeyFile != "" && m.APIKeyEnv != "" {
		report("api_key_env", "is there beside api_key_file; one of them says the key")
	}
	for field, prefix := range map[string]string{"query_prefix": m.QueryPrefix, "document_prefix": m.DocumentPrefix} {
		if len(prefix) > maxPrefix {
			report(field, "has %d bytes, %d are allowed", len(prefix), maxPrefix)
		}
	}
}

// Shown returns the configuration without the parameters of addresses, of which one may be
// a key.
func (c Config) Shown() Config {
	c.Models = slices.Clone(c.Models)
	for i := range c.Models {
		if at, _, ok := strings.Cut(c.Models[i].URL, "?"); ok {
			c.Models[i].URL = at + "?[hidden]"
		}
	}
	return c
}

// Has says whether a model is configured.
func (c *Config) Has(name string) bool {
	for i := range c.Models {
		if c.Models[i].Name == name {
			return true
		}
	}
	return false
}

// Names lists the models, for errors.
func (c *Config) Names() string {
	names := make([]string, len(c.Models))
	for i := range c.Models {
		names[i] = c.Models[i].Name
	}
	if len(names) == 0 {
		return "none is configured"
	}
	return "there are: " + strings.Join(names, ", ")
}
