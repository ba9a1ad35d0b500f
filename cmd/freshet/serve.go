package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"freshet/api"
	"freshet/cmd/freshet/internal/rest"
	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/memory"
)

// drainTime bounds how long requests in progress may take once the process is
// told to end.
const drainTime = 10 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the database",
		Long: `Runs the database until it is told to end (SIGTERM or Ctrl-C), which lets requests in
progress finish. Everything has a default; a YAML file, then FRESHET_… variables, then
flags say otherwise. freshet config print shows what counts, and who says so.

Logs go to the standard error: text on a terminal, else JSON (--log-format).`,
		Example: `  freshet serve                              # REST at 127.0.0.1:6333, data in ./freshet-data
  freshet serve --config freshet.yaml        # sources, keys, models: docs/configuration.md
  FRESHET_API_KEY=… freshet serve --listen :6333`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Nobody else on the machine reads the data, also in a folder that they may enter.
			syscall.Umask(0o027 | syscall.Umask(0o027))
			c, err := loadConfig(cmd, os.Environ())
			if err != nil {
				return err
			}
			log, err := c.Log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			n, err := openNode(cmd.Context(), &c, log)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				log.Info("ended before the database was open")
				return nil
			}
			if err != nil {
				return err
			}
			return n.run(cmd.Context())
		},
	}
	addFlags(cmd)
	return cmd
}

// node is one running database: the port, the store, the sources.
type node struct {
	log     *slog.Logger
	front   *front
	db      *server.DB
	models  *embed.Models
	sources *ingest.Manager
	audit   *os.File      // nil: none
	memory  *memory.Guard // nil: there is no limit
	// unguard ends the look at the memory, and waits for that.
	unguard func()
}

// openNode takes the port and the data folder and loads what is in it. Meanwhile the
// port tells how far it is.
func openNode(ctx context.Context, c *config, log *slog.Logger) (_ *node, err error) {
	n := &node{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close(ctx))
		}
	}()
	progress := new(server.Progress)
	began := time.Now()
	n.guard(ctx, &c.Memory)
	files, err := openFiles()
	if err != nil {
		log.Debug("how many files may be open cannot be found out", "err", err) // 0: not known
	}
	n.front, err = listen(ctx, &c.HTTP, mostConnections(n.memory.Limit(), files), log, api.Loading(progress))
	if err != nil {
		return n, err
	}
	n.db, err = server.Open(ctx, c.Data, server.Options{
		Logger: log, SyncInterval: c.Storage.SyncInterval, Progress: progress,
		SnapshotsDir: c.Storage.SnapshotsDir, SnapshotsBucket: c.Storage.Snapshots.bucket(), MaxSnapshotBytes: int64(c.Storage.MaxSnapshotBytes),
		Memory: n.memory, RecallPercent: *c.Recall.CPUPercent,
		Disk: server.DiskOptions{HighPercent: c.Storage.HighWatermark, ReserveBytes: int64(c.Storage.Reserve)},
	})
	if err != nil {
		return n, err
	}
	registry := prometheus.NewRegistry()
	if n.models, err = embed.New(c.Embedding); err != nil {
		return n, err
	}
	if err := n.models.Register(registry); err != nil {
		return n, err
	}
	n.sources, err = ingest.New(c.Config, n.db, ingest.Options{Logger: log, Registry: registry, Models: n.models})
	if err != nil {
		return n, err
	}
	o, err := n.apiOptions(c, registry)
	if err != nil {
		return n, err
	}
	n.front.show(api.New(n.db, o).Handler())
	log.Info("freshet is ready", "version", version, "listen", n.front.address, "data", c.Data,
		"collections", len(n.db.Collections()), "sources", len(c.Sources), "loaded_in", time.Since(began).Round(time.Millisecond).String(),
		"memory_limit", bytesText(uint64(n.memory.Limit())))
	return n, nil
}

// guard has the memory looked at until the node is closed.
func (n *node) guard(ctx context.Context, c *memoryConfig) {
	if n.memory = c.guard(n.log); n.memory == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { n.memory.Run(ctx) })
	n.unguard = func() {
		cancel()
		wg.Wait()
	}
}

func (n *node) apiOptions(c *config, registry *prometheus.Registry) (api.Options, error) {
	full, readOnly := c.HTTP.keys()
	o := api.Options{
		Logger: n.log, Registry: registry, Version: version, Commit: commit(), Title: c.HTTP.Title,
		APIKeys: full, ReadOnlyAPIKeys: readOnly, Tokens: c.HTTP.JWT, Origins: c.HTTP.CORSOrigins, Local: c.HTTP.local(), Sources: n.sources, Models: n.models, Memory: n.memory, Connections: n.front.connections,
	}
	if lag := *c.HTTP.ReadyLag; lag > 0 {
		o.Behind = func() (sources int, records int64) { return n.sources.Behind(lag) }
	}
	if c.HTTP.AuditLog != "" {
		var err error
		n.audit, err = os.OpenFile(c.HTTP.AuditLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return o, fmt.Errorf("http.audit_log: %w", err)
		}
		o.Audit = slog.NewJSONHandler(n.audit, nil)
	}
	return o, nil
}

// run serves and consumes until ctx ends, then lets requests in progress
// finish and closes everything.
func (n *node) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { n.sources.Run(ctx) })
	select {
	case <-ctx.Done():
	case <-n.front.ended: // without its port the process has no use
	}
	cancel()
	n.log.Info("ending")
	err := n.front.end(ctx)
	n.front = nil
	wg.Wait()
	return errors.Join(err, n.close(ctx))
}

// close gives up what openNode took.
func (n *node) close(ctx context.Context) error {
	var errs []error
	if n.front != nil {
		errs = append(errs, n.front.end(ctx))
	}
	n.models.Close()
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.unguard != nil {
		n.unguard()
	}
	if n.audit != nil {
		errs = append(errs, n.audit.Close())
	}
	return errors.Join(errs...)
}

func healthCommand() *cobra.Command {
	var url string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running server whether it is ready; for container health checks",
		Example: `  freshet health
  freshet health --url http://db:6333 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := askHealth(cmd.Context(), url)
			if asJSON {
				answer := map[string]any{"url": url, "ready": err == nil}
				if err != nil {
					answer["error"] = oneLine(err)
				}
				return errors.Join(err, printJSON(cmd.OutOrStdout(), answer))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:6333", "address of the server")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	return cmd
}

func askHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := rest.Request(ctx, http.MethodGet, url, "", "/readyz", nil)
	if err != nil {
		return fmt.Errorf("--url %s: %w", url, err)
	}
	client := http.DefaultClient
	if ip := net.ParseIP(req.URL.Hostname()); ip != nil && ip.IsLoopback() {
		// The certificate names another host. Nothing is told to who answers.
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", url, res.Status)
	}
	return nil
}
