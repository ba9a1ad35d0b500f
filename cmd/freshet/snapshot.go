package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"freshet/cmd/freshet/internal/outfile"
	"freshet/cmd/freshet/internal/rest"
	settingsfile "freshet/ingest/settings"
)

// snapshotClient asks a running server about snapshots.
type snapshotClient struct {
	remote
	collection string // "": of the whole storage
	checksum   string // that what is restored has to have
	locationAs string // API key of the server that a location names
	asJSON     bool

	out  io.Writer
	draw func(doing string, done, of int64)
}

// snapshotInfo describes a snapshot as the server does.
type snapshotInfo struct {
	Name     string `json:"name"`
	Created  string `json:"creation_time"`
	Size     int64  `json:"size"`
	Checksum string `json:"checksum"`
}

func snapshotCommand() *cobra.Command {
	c := &snapshotClient{}
	root := &cobra.Command{
		Use:   "snapshot",
		Short: "Take, fetch and restore snapshots of a running server",
		Long: `Manages the snapshots of a running server over its REST API: those of a collection, or
without --collection those of the whole storage. A snapshot has the positions in Kafka's
log: what is restored reads on from there.`,
		Example: `  freshet snapshot create --collection docs
  freshet snapshot download NAME docs.snapshot --collection docs
  freshet snapshot upload docs.snapshot --collection docs --url http://other:6333`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.addFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&c.collection, "collection", "", "the collection; without one, the whole storage")
	add := func(use, short, example string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Example: "  freshet snapshot " + example, Args: usage(args), RunE: func(cmd *cobra.Command, args []string) error {
			c.out = cmd.OutOrStdout()
			c.draw = stages(cmd.ErrOrStderr())
			defer c.draw("", 0, 0)
			return run(cmd.Context(), args)
		}}
		cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
		root.AddCommand(cmd)
		return cmd
	}
	add("create", "Take a snapshot, which the server keeps", "create --collection docs", cobra.NoArgs, c.create)
	add("list", "List the snapshots that the server keeps", "list --collection docs", cobra.NoArgs, c.list)
	add("delete NAME", "Remove a snapshot", "delete NAME --collection docs", cobra.ExactArgs(1), c.remove)
	add("download NAME [FILE]", "Fetch a snapshot; goes on where it was interrupted", "download NAME --collection docs", cobra.RangeArgs(1, 2), c.download)
	upload := add("upload FILE", "Restore a collection from a file", "upload docs.snapshot --collection docs", cobra.ExactArgs(1), c.upload)
	restore := add("restore NAME|URL", "Restore a collection from a snapshot that the server keeps, or can reach", "restore NAME --collection docs", cobra.ExactArgs(1), c.restore)
	restore.Long = restore.Short + `.

NAME is one of the list, URL a file in the server's folder of snapshots (file:///…), an
object of its bucket (s3://…) or one that another server has (http://…, https://…). The collection is replaced as a whole,
or stays as it is.`
	restore.Flags().StringVar(&c.locationAs, "location-api-key", "", "API key of the server of the URL")
	for _, cmd := range []*cobra.Command{upload, restore} {
		cmd.Flags().StringVar(&c.checksum, "checksum", "", "SHA-256 that the snapshot has to have")
	}
	upload.ValidArgsFunction = filesOf("snapshot")
	return root
}

// path is that of the snapshots, or of what is under them.
func (c *snapshotClient) path(under ...string) string {
	path := "/snapshots"
	if c.collection != "" {
		path = "/collections/" + url.PathEscape(c.collection) + path
	}
	for _, name := range under {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// ask sends a request and decodes the result.
func (c *snapshotClient) ask(ctx context.Context, method, path string, result any) error {
	req, err := c.request(ctx, method, path, nil, nil)
	if err != nil {
		return err
	}
	raw, err := c.result(req)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

// tell prints what was done, for people or as JSON.
func (c *snapshotClient) tell(result any, format string, args ...any) error {
	if c.asJSON {
		return printJSON(c.out, result)
	}
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

func (s snapshotInfo) String() string {
	return fmt.Sprintf("%s  %s  %s  sha256:%s", s.Name, s.Created, bytesText(uint64(s.Size)), s.Checksum)
}

func (c *snapshotClient) create(ctx context.Context, _ []string) error {
	var info snapshotInfo
	if err := c.ask(ctx, http.MethodPost, c.path(), &info); err != nil {
		return err
	}
	return c.tell(info, "%s", info)
}

func (c *snapshotClient) list(ctx context.Context, _ []string) error {
	list := []snapshotInfo{}
	if err := c.ask(ctx, http.MethodGet, c.path(), &list); err != nil {
		return err
	}
	if c.asJSON {
		return printJSON(c.out, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(c.out, "there are no snapshots")
		return err
	}
	for _, info := range list {
		if _, err := fmt.Fprintln(c.out, info); err != nil {
			return err
		}
	}
	return nil
}

func (c *snapshotClient) remove(ctx context.Context, args []string) error {
	var done bool
	if err := c.ask(ctx, http.MethodDelete, c.path(args[0]), &done); err != nil {
		return err
	}
	return c.tell(map[string]any{"deleted": args[0]}, "%s is removed", args[0])
}

// find returns what the server says of a snapshot.
func (c *snapshotClient) find(ctx context.Context, name string) (snapshotInfo, error) {
	var list []snapshotInfo
	if err := c.ask(ctx, http.MethodGet, c.path(), &list); err != nil {
		return snapshotInfo{}, err
	}
	var names []string
	for _, info := range list {
		if info.Name == name {
			return info, nil
		}
		names = append(names, info.Name)
	}
	return snapshotInfo{}, usageError{fmt.Errorf("the server has no snapshot %q%s", name, settingsfile.Nearest(name, names))}
}

// open begins to read a snapshot, from a byte on if it is still the same. It returns
// where the body begins.
func (c *snapshotClient) open(ctx context.Context, info snapshotInfo, from int64) (body io.ReadCloser, at int64, err error) {
	req, err := c.request(ctx, http.MethodGet, c.path(info.Name), nil, nil)
	if err != nil {
		return nil, 0, err
	}
	if from > 0 && info.Checksum != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		req.Header.Set("If-Range", `"`+info.Checksum+`"`)
	}
	res, err := rest.Client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		return res.Body, 0, nil
	case http.StatusPartialContent:
		return res.Body, from, nil
	default:
		return nil, 0, errors.Join(rest.Refusal(res), res.Body.Close())
	}
}

func (c *snapshotClient) download(ctx context.Context, args []string) error {
	file := filepath.Base(args[0])
	if len(args) == 2 {
		file = args[1]
	}
	if err := outfile.Replaceable(file); err != nil {
		return usageError{err}
	}
	info, err := c.find(ctx, args[0])
	if err != nil {
		return err
	}
	if err := c.fetch(ctx, info, file); err != nil {
		return err
	}
	return c.tell(map[string]any{"file": file, "size": info.Size, "checksum": info.Checksum}, "%s is in %s, %s", info.Name, file, bytesText(uint64(info.Size)))
}

func (c *snapshotClient) restore(ctx context.Context, args []string) error {
	if c.collection == "" {
		return usageError{errors.New("restore needs --collection")}
	}
	body, err := json.Marshal(map[string]any{"location": args[0], "checksum": c.checksum, "api_key": c.locationAs})
	if err != nil {
		return err
	}
	req, err := c.request(ctx, http.MethodPut, c.path("recover"), nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if _, err := c.result(req); err != nil {
		return err
	}
	return c.restored(args[0])
}

func (c *snapshotClient) restored(from string) error {
	return c.tell(map[string]any{"collection": c.collection, "restored_from": from}, "the collection %s is as in %s", c.collection, from)
}

func (c *snapshotClient) upload(ctx context.Context, args []string) error {
	if c.collection == "" {
		return usageError{errors.New("upload needs --collection")}
	}
	f, err := os.Open(args[0])
	if err != nil {
		return usageError{err}
	}
	stat, err := f.Stat()
	if err == nil && stat.IsDir() {
		err = usageError{fmt.Errorf("%s is a folder", args[0])}
	}
	if err == nil {
		err = c.send(ctx, f, stat.Size())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return c.restored(args[0])
}
