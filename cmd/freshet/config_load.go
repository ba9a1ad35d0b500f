package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	settingsfile "freshet/ingest/settings"
)

// settings are the members that the environment and flags can set too. Secrets
// have no flag: anybody on the machine sees those.
var settings = []struct {
	key, flag, env, usage string
	set                   func(c *config, value string) error
}{
	{"data", "data", "FRESHET_DATA", "data folder", func(c *config, v string) error {
		c.Data = v
		return nil
	}},
	{"http.listen", "listen", "FRESHET_LISTEN", "host:port to serve on", func(c *config, v string) error {
		c.HTTP.Listen = v
		return nil
	}},
	{"http.insecure", "insecure", "FRESHET_INSECURE", "true: serve beyond this machine, to anyone", func(c *config, v string) error {
		if v != "true" && v != "false" {
			return fmt.Errorf("%q is not true or false", v)
		}
		c.HTTP.Insecure = v == "true"
		return nil
	}},
	{"http.api_key", "", "FRESHET_API_KEY", "", func(c *config, v string) error {
		c.HTTP.APIKey = v
		return nil
	}},
	{"http.alt_api_key", "", "FRESHET_ALT_API_KEY", "", func(c *config, v string) error {
		c.HTTP.AltAPIKey = v
		return nil
	}},
	{"http.read_only_api_key", "", "FRESHET_READ_ONLY_API_KEY", "", func(c *config, v string) error {
		c.HTTP.ReadOnlyAPIKey = v
		return nil
	}},
	{"http.title", "", "FRESHET_TITLE", "", func(c *config, v string) error {
		c.HTTP.Title = v
		return nil
	}},
	{"log.level", "log-level", "FRESHET_LOG_LEVEL", "debug, info, warn or error", func(c *config, v string) error {
		c.Log.Level = v
		return nil
	}},
	{"log.format", "log-format", "FRESHET_LOG_FORMAT", "auto (text on a terminal, else JSON), text or json", func(c *config, v string) error {
		c.Log.Format = v
		return nil
	}},
	{"memory.limit", "memory-limit", "FRESHET_MEMORY_LIMIT", "memory that the process may take, such as 4GiB; 0: what the system allows", func(c *config, v string) error {
		return c.Memory.Limit.UnmarshalText([]byte(v))
	}},
	{"kafka.bootstrap.servers", "brokers", "FRESHET_BROKERS", "Kafka brokers, host:port,…", func(c *config, v string) error {
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
	completeWords(cmd, "log-level", logLevels)
	completeWords(cmd, "log-format", logFormats)
	completeFiles(cmd, "config", "yaml", "yml")
	completeFolders(cmd, "data")
}

// loadConfig puts the configuration together and checks all of it.
func loadConfig(cmd *cobra.Command, environ []string) (config, error) {
	c, _, err := loadOrigins(cmd, environ)
	return c, err
}

// loadOrigins also tells where what was given comes from. An error of what was given
// is one of the command: to try again does not help.
func loadOrigins(cmd *cobra.Command, environ []string) (config, origins, error) {
	var c config
	from := origins{}
	err := c.load(cmd, environ, from)
	if err == nil {
		c.setDefaults()
		err = from.locate(c.HTTP.readKeys())
	}
	if err == nil {
		err = from.locate(c.validate())
	}
	if err != nil {
		err = usageError{err}
	}
	return c, from, err
}

// load takes over the file, then the environment, then flags.
func (c *config) load(cmd *cobra.Command, environ []string, from origins) error {
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "FRESHET_") || fromKubernetes.MatchString(name) {
			continue
		}
		if !knownEnv(name) {
			return fmt.Errorf("environment variable %s is not known%s", name, settingsfile.Nearest(name, envNames()))
		}
		env[name] = value
	}
	path := env[configEnv]
	if f := cmd.Flags().Lookup("config"); f.Changed {
		path = f.Value.String()
	}
	if path != "" {
		if err := c.read(path, from); err != nil {
			return err
		}
	}
	for _, s := range settings {
		switch value, ok := env[s.env]; {
		case ok && value == "" && strings.HasSuffix(s.key, "api_key"):
			// Somebody wants a key, and what was to hold it is missing: no other is meant, nor none.
			return fmt.Errorf("%s is empty, which is no key; unset it if it is to give none", s.env)
		case value != "": // an image may set a variable that cannot be unset
			if err := s.set(c, value); err != nil {
				return fmt.Errorf("%s: %w", s.env, err)
			}
			from[s.key] = s.env
		}
		if f := cmd.Flags().Lookup(s.flag); f != nil && f.Changed {
			if err := s.set(c, f.Value.String()); err != nil {
				return fmt.Errorf("--%s: %w", s.flag, err)
			}
			from[s.key] = "--" + s.flag
		}
	}
	return nil
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

func (c *config) read(path string, from origins) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var wrong *settingsfile.Error
	if !errors.As(settingsfile.Read(raw, c), &wrong) {
		return from.add(path, raw)
	}
	where := path
	if wrong.Line > 0 {
		where = fmt.Sprintf("%s:%d", path, wrong.Line)
	}
	if wrong.Unknown != "" {
		near := settingsfile.Nearest(wrong.Unknown, wrong.Known)
		if near == "" { // it may stand in the wrong place
			near = settingsfile.Nearest(wrong.Unknown, keys(reflect.TypeFor[config]()))
		}
		return fmt.Errorf("%s: unknown key %q%s", where, wrong.Unknown, near)
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
