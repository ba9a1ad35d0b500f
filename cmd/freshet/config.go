package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"freshet/ingest"
	"freshet/server/embed"
)

// config is everything that can be configured. The file, then the
// environment, then flags say it; docs/configuration.md describes it.
type config struct {
	Data    string        `yaml:"data"` // the data folder
	HTTP    httpConfig    `yaml:"http"`
	Log     logConfig     `yaml:"log"`
	Storage storageConfig `yaml:"storage"`
	Memory  memoryConfig  `yaml:"memory"`
	Recall  recallConfig  `yaml:"recall"`

	// Embedding names the models that make vectors of texts.
	Embedding embed.Config `yaml:"embedding"`

	ingest.Config `yaml:",inline"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text, json, or auto: text on a terminal, else JSON
}

type storageConfig struct {
	// SyncInterval bounds how long data from Kafka may be only in memory: what
	// a crash of the machine takes is read from the log again.
	SyncInterval time.Duration `yaml:"sync_interval"`
	// SnapshotsDir is the folder of snapshots; by default one in the data folder.
	SnapshotsDir string `yaml:"snapshots_dir"`
	// Snapshots says where they are kept, if not in that folder.
	Snapshots snapshotsConfig `yaml:"snapshots_config"`
	// MaxSnapshotBytes bounds a snapshot that is recovered.
	MaxSnapshotBytes ingest.Bytes `yaml:"max_snapshot_bytes"`
	// HighWatermark is the share of the disk in use, in percent, from which nothing is
	// written.
	HighWatermark float64 `yaml:"high_watermark"`
	// Reserve is given up when there is no space left.
	Reserve ingest.Bytes `yaml:"reserve"`
}

type recallConfig struct {
	// CPUPercent is how much of one core's time the recall of searches may be measured in;
	// 0: it is not.
	CPUPercent *float64 `yaml:"cpu_percent"`
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
	c.Log.Format = cmp.Or(c.Log.Format, "auto")
	c.Storage.SyncInterval = cmp.Or(c.Storage.SyncInterval, 100*time.Millisecond)
	c.Storage.SnapshotsDir = cmp.Or(c.Storage.SnapshotsDir, filepath.Join(c.Data, "snapshots"))
	c.Storage.Snapshots.Storage = cmp.Or(c.Storage.Snapshots.Storage, snapshotsLocal)
	c.Storage.MaxSnapshotBytes = cmp.Or(c.Storage.MaxSnapshotBytes, 1<<40)
	c.Storage.HighWatermark = cmp.Or(c.Storage.HighWatermark, 95)
	c.Storage.Reserve = cmp.Or(c.Storage.Reserve, 64<<20)
	if c.Recall.CPUPercent == nil {
		percent := 1.0
		c.Recall.CPUPercent = &percent
	}
	c.Embedding.SetDefaults()
	c.Config.SetDefaults()
}

func (c *config) validate() error {
	var errs []error
	if err := c.HTTP.validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.Log.level(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains(logFormats, c.Log.Format) {
		errs = append(errs, fmt.Errorf("log.format: %q is not auto, text or json", c.Log.Format))
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
	if p := *c.Recall.CPUPercent; p != 0 && !(p >= 0.01 && p <= 100) {
		errs = append(errs, fmt.Errorf("recall.cpu_percent: %g is neither 0 nor from 0.01 to 100", p))
	}
	errs = append(errs, c.Storage.Snapshots.validate(), c.Memory.validate(), c.Embedding.Validate(), c.Config.Validate(), c.validateModels())
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
	if l.Format == "json" || l.Format == "auto" && !isTerminal(w) {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// Words that settings take.
var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"auto", "text", "json"}
	distances  = []string{"Cosine", "Dot", "Euclid", "Manhattan"}
)

// print writes the configuration without its secrets.
func (c config) print(w io.Writer) error {
	raw, err := c.yaml()
	if err == nil {
		_, err = w.Write(raw)
	}
	return err
}

// yaml returns the configuration without its secrets.
func (c config) yaml() ([]byte, error) {
	c.HTTP.APIKey, c.HTTP.AltAPIKey, c.HTTP.ReadOnlyAPIKey = "", "", ""
	c.Embedding = c.Embedding.Shown()
	return yaml.Marshal(c)
}
