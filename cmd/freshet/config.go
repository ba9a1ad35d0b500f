package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"freshet/ingest"
	settingsfile "freshet/ingest/settings"
	"freshet/server/embed"
)

// config is everything that can be configured. The file, then the
// environment, then flags say it; docs/configuration.md describes it.
type config struct {
	Data    string        `yaml:"data"` // the data folder
	HTTP    httpConfig    `yaml:"http"`
	Log     logConfig     `yaml:"log"`
	Storage storageConfig `yaml:"storage"`

	// Embedding names the models that make vectors of texts.
	Embedding embed.Config `yaml:"embedding"`

	ingest.Config `yaml:",inline"`
}

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
	// AuditLog is a file that gets a line for each request; "" for none.
	AuditLog string `yaml:"audit_log,omitempty"`
	// TLS names the certificates of the port.
	TLS tlsConfig `yaml:"tls,omitempty"`
	// ReadyLag is how old the newest applied record may be, while others wait, for the
	// server to become ready; 0 for any age.
	ReadyLag *time.Duration `yaml:"ready_lag"`
	// Title is what GET / says in place of who we are.
	Title string `yaml:"title,omitempty"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

type storageConfig struct {
	// SyncInterval bounds how long data from Kafka may be only in memory: what
	// a crash of the machine takes is read from the log again.
	SyncInterval time.Duration `yaml:"sync_interval"`
	// SnapshotsDir is the folder of snapshots; by default one in the data folder.
	SnapshotsDir string `yaml:"snapshots_dir"`
	// MaxSnapshotBytes bounds a snapshot that is recovered.
	MaxSnapshotBytes ingest.Bytes `yaml:"max_snapshot_bytes"`
	// HighWatermark is the share of the disk in use, in percent, from which nothing is
	// written.
	HighWatermark float64 `yaml:"high_watermark"`
	// Reserve is given up when there is no space left.
	Reserve ingest.Bytes `yaml:"reserve"`
}

// defaultConfig returns what counts where nothing else is said.
func defaultConfig() config {
	var c config
	c.setDefaults()
	return c
}

// setDefaults completes what was left out.
func (c *config) setDefaults() {
	c.Data = cmp.Or(c.Data, "freshet-data")
	c.HTTP.Listen = cmp.Or(c.HTTP.Listen, "127.0.0.1:6333")
	if c.HTTP.ReadyLag == nil {
		lag := 30 * time.Second
		c.HTTP.ReadyLag = &lag
	}
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	c.Log.Format = cmp.Or(c.Log.Format, "text")
	c.Storage.SyncInterval = cmp.Or(c.Storage.SyncInterval, 100*time.Millisecond)
	c.Storage.SnapshotsDir = cmp.Or(c.Storage.SnapshotsDir, filepath.Join(c.Data, "snapshots"))
	c.Storage.MaxSnapshotBytes = cmp.Or(c.Storage.MaxSnapshotBytes, 1<<40)
	c.Storage.HighWatermark = cmp.Or(c.Storage.HighWatermark, 95)
	c.Storage.Reserve = cmp.Or(c.Storage.Reserve, 64<<20)
	c.Embedding.SetDefaults()
	c.Config.SetDefaults()
}

// settings are the members that the environment and flags can set too. Secrets
// have no flag: anybody on the machine sees those.
var settings = []struct {
	flag, env, usage string
	set              func(c *config, value string) error
}{
	{"data", "FRESHET_DATA", "data folder", func(c *config, v string) error {
		c.Data = v
		return nil
	}},
	{"listen", "FRESHET_LISTEN", "host:port to serve on", func(c *config, v string) error {
		c.HTTP.Listen = v
		return nil
	}},
	{"insecure", "FRESHET_INSECURE", "true: serve beyond this machine, to anyone", func(c *config, v string) error {
		if v != "true" && v != "false" {
			return fmt.Errorf("%q is not true or false", v)
		}
		c.HTTP.Insecure = v == "true"
		return nil
	}},
	{"", "FRESHET_API_KEY", "", func(c *config, v string) error {
		c.HTTP.APIKey = v
		return nil
	}},
	{"", "FRESHET_ALT_API_KEY", "", func(c *config, v string) error {
		c.HTTP.AltAPIKey = v
		return nil
	}},
	{"", "FRESHET_READ_ONLY_API_KEY", "", func(c *config, v string) error {
		c.HTTP.ReadOnlyAPIKey = v
		return nil
	}},
	{"", "FRESHET_TITLE", "", func(c *config, v string) error {
		c.HTTP.Title = v
		return nil
	}},
	{"log-level", "FRESHET_LOG_LEVEL", "debug, info, warn or error", func(c *config, v string) error {
		c.Log.Level = v
		return nil
	}},
	{"log-format", "FRESHET_LOG_FORMAT", "text or json", func(c *config, v string) error {
		c.Log.Format = v
		return nil
	}},
	{"brokers", "FRESHET_BROKERS", "Kafka brokers, host:port,…", func(c *config, v string) error {
		c.Kafka.BootstrapServers = v
		return nil
	}},
}

const configEnv = "FRESHET_CONFIG"

// addFlags declares the flags that loadConfig reads.
func addFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file, YAML (environment: "+configEnv+")")
	for _, s := range settings {
		if s.flag != "" {
			cmd.Flags().String(s.flag, "", s.usage+" (environment: "+s.env+")")
		}
	}
	cmd.Flags().Lookup("insecure").NoOptDefVal = "true"
}

// loadConfig puts the configuration together and checks all of it.
func loadConfig(cmd *cobra.Command, environ []string) (config, error) {
	var c config
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "FRESHET_") || fromKubernetes.MatchString(name) {
			continue
		}
		if !knownEnv(name) {
			return c, fmt.Errorf("environment variable %s is not known%s", name, suggestion(name, envNames()))
		}
		env[name] = value
	}
	path := env[configEnv]
	if f := cmd.Flags().Lookup("config"); f.Changed {
		path = f.Value.String()
	}
	if path != "" {
		if err := c.read(path); err != nil {
			return c, err
		}
	}
	for _, s := range settings {
		if value, ok := env[s.env]; ok {
			if err := s.set(&c, value); err != nil {
				return c, fmt.Errorf("%s: %w", s.env, err)
			}
		}
		if f := cmd.Flags().Lookup(s.flag); f != nil && f.Changed {
			if err := s.set(&c, f.Value.String()); err != nil {
				return c, fmt.Errorf("--%s: %w", s.flag, err)
			}
		}
	}
	c.setDefaults()
	if err := c.HTTP.readKeys(); err != nil {
		return c, err
	}
	return c, c.validate()
}

// fromKubernetes matches the variables that Kubernetes makes up for a Service
// called freshet.
var fromKubernetes = regexp.MustCompile(`^FRESHET_(.+_)?(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_[0-9]+_(TCP|UDP).*)$`)

func envNames() []string {
	names := []string{configEnv}
	for _, s := range settings {
		names = append(names, s.env)
	}
	return names
}

func knownEnv(name string) bool { return slices.Contains(envNames(), name) }

func (c *config) read(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var wrong *settingsfile.Error
	if !errors.As(settingsfile.Read(raw, c), &wrong) {
		return nil
	}
	where := path
	if wrong.Line > 0 {
		where = fmt.Sprintf("%s:%d", path, wrong.Line)
	}
	if wrong.Unknown != "" {
		return fmt.Errorf("%s: unknown key %q%s", where, wrong.Unknown, suggestion(wrong.Unknown, keys(reflect.TypeFor[config]())))
	}
	return fmt.Errorf("%s: %w", where, wrong)
}

// keys lists every key that a configuration can have, at any depth.
func keys(t reflect.Type) []string {
	var list []string
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return keys(t.Elem())
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			list = append(list, name)
		}
		list = append(list, keys(f.Type)...)
	}
	return list
}

// suggestion names the nearest of the known names, if one is near.
func suggestion(name string, known []string) string {
	best, distance := "", 1+max(2, len(name)/3)
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

func (c *config) validate() error {
	var errs []error
	if err := c.HTTP.validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.Log.level(); err != nil {
		errs = append(errs, err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format: %q is not text or json", c.Log.Format))
	}
	if c.Storage.SyncInterval < time.Millisecond || c.Storage.SyncInterval > time.Minute {
		errs = append(errs, fmt.Errorf("storage.sync_interval: %s is not between 1ms and 1m", c.Storage.SyncInterval))
	}
	if h := c.Storage.HighWatermark; !(h >= 10 && h <= 100) {
		errs = append(errs, fmt.Errorf("storage.high_watermark: %g is not from 10 to 100", h))
	}
	if r := c.Storage.Reserve; r < 1<<20 || r > 1<<40 {
		errs = append(errs, fmt.Errorf("storage.reserve: %d is not from 1MiB to 1024GiB", r))
	}
	errs = append(errs, c.Embedding.Validate(), c.Config.Validate(), c.validateModels())
	return errors.Join(errs...)
}

// validateModels sees to it that sources name models that there are.
func (c *config) validateModels() error {
	var errs []error
	for i, s := range c.Sources {
		for name, e := range s.Embed {
			if e.Model != "" && !c.Embedding.Has(e.Model) {
				errs = append(errs, fmt.Errorf("sources[%d].embed[%q].model: %q is no model of embedding.models; %s", i, name, e.Model, c.Embedding.Names()))
			}
		}
	}
	return errors.Join(errs...)
}

func (h *httpConfig) validate() error {
	host, _, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %q is not host:port", h.Listen)
	}
	if err := h.validateKeys(); err != nil {
		return err
	}
	if err := h.TLS.validate(); err != nil {
		return err
	}
	if *h.ReadyLag < 0 {
		return fmt.Errorf("http.ready_lag: %s is negative", *h.ReadyLag)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() || h.Insecure || h.APIKey != "" {
		return nil
	}
	return fmt.Errorf("http.listen: %s can be reached from other machines, and anybody there may do everything; http.api_key makes them bring a key, --insecure allows it", h.Listen)
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

func (l *logConfig) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return level, fmt.Errorf("log.level: %q is not debug, info, warn or error", l.Level)
	}
	return level, nil
}

func (l *logConfig) logger(w io.Writer) (*slog.Logger, error) {
	level, err := l.level()
	if err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// print writes the configuration without its secrets.
func (c config) print(w io.Writer) error {
	c.HTTP.APIKey, c.HTTP.AltAPIKey, c.HTTP.ReadOnlyAPIKey = "", "", ""
	return yaml.NewEncoder(w).Encode(c)
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration and print it with its defaults, without keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, os.Environ())
			if err != nil {
				return err
			}
			return c.print(cmd.OutOrStdout())
		},
	}
	addFlags(cmd)
	return cmd
}
