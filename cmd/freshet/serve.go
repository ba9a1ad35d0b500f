package main

import (
	"context"
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
	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
)

// drainTime bounds how long requests in progress may take once the process is
// told to end.
const drainTime = 10 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the database",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, os.Environ())
			if err != nil {
				return err
			}
			log, err := c.Log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			n, err := openNode(cmd.Context(), &c, log)
			if err != nil {
				return err
			}
			return n.run(cmd.Context())
		},
	}
	addFlags(cmd)
	return cmd
}

// node is one running database: the listener, the store, the sources.
type node struct {
	log      *slog.Logger
	listener net.Listener
	db       *server.DB
	models   *embed.Models
	http     *http.Server
	sources  *ingest.Manager
	audit    *os.File // nil: none
}

// openNode takes the port and the data folder and loads what is in it.
func openNode(ctx context.Context, c *config, log *slog.Logger) (_ *node, err error) {
	n := &node{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	n.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.HTTP.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return n, fmt.Errorf("%s is in use by another process; --listen takes another address", c.HTTP.Listen)
	}
	if err != nil {
		return n, fmt.Errorf("listen: %w", err)
	}
	began := time.Now()
	n.db, err = server.Open(ctx, c.Data, server.Options{
		Logger: log, SyncInterval: c.Storage.SyncInterval,
		SnapshotsDir: c.Storage.SnapshotsDir, MaxSnapshotBytes: int64(c.Storage.MaxSnapshotBytes),
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
	full, readOnly := c.HTTP.keys()
	o := api.Options{
		Logger: log, Registry: registry, Version: version, Commit: commit(), Title: c.HTTP.Title,
		APIKeys: full, ReadOnlyAPIKeys: readOnly, Tokens: c.HTTP.JWT, Sources: n.sources, Models: n.models,
	}
	if c.HTTP.AuditLog != "" {
		n.audit, err = os.OpenFile(c.HTTP.AuditLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return n, fmt.Errorf("http.audit_log: %w", err)
		}
		o.Audit = slog.NewJSONHandler(n.audit, nil)
	}
	n.http = api.New(n.db, o).HTTPServer()
	log.Info("freshet is ready", "version", version, "listen", n.listener.Addr().String(), "data", c.Data,
		"collections", len(n.db.Collections()), "sources", len(c.Sources), "loaded_in", time.Since(began).Round(time.Millisecond).String())
	return n, nil
}

// run serves and consumes until ctx ends, then lets requests in progress
// finish and closes everything.
func (n *node) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { n.sources.Run(ctx) })
	served := make(chan error, 1)
	wg.Go(func() {
		err := n.http.Serve(n.listener)
		cancel() // without its listener the process has no use
		served <- err
	})
	<-ctx.Done()
	n.log.Info("ending")
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer stop()
	errShutdown := n.http.Shutdown(drain)
	if errors.Is(errShutdown, context.DeadlineExceeded) {
		n.log.Warn("requests in progress were cut off", "after", drainTime.String())
		errShutdown = n.http.Close()
	}
	wg.Wait()
	err := <-served
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	n.listener = nil // closed by the HTTP server
	return errors.Join(err, errShutdown, n.close())
}

// close gives up what openNode took.
func (n *node) close() error {
	var errs []error
	if n.listener != nil {
		errs = append(errs, n.listener.Close())
	}
	n.models.Close()
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.audit != nil {
		errs = append(errs, n.audit.Close())
	}
	return errors.Join(errs...)
}

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running server whether it is ready; for container health checks",
		Args:  cobra.NoArgs,
	}
	url := cmd.Flags().String("url", "http://127.0.0.1:6333", "address of the server")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s", *url, res.Status)
		}
		return nil
	}
	return cmd
}
