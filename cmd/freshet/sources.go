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
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"freshet/server/sources"
)

// sourceClient asks a running server about the sources of a collection.
type sourceClient struct {
	remote
	collection string
	asJSON     bool

	out  io.Writer
	show shower                             // of the command that runs
	args []string                           // of it
	draw func(doing string, done, of int64) // nil if nobody sees it
}

// call sends a request about the sources and prints the result.
func (c *sourceClient) call(ctx context.Context, method string, body any, query url.Values, path ...string) error {
	return c.send(ctx, method, body, query, "/sources"+strings.Join(path, ""))
}

// send sends a request about the collection and prints the result.
func (c *sourceClient) send(ctx context.Context, method string, body any, query url.Values, path string) error {
	path, err := c.path(path)
	if err != nil {
		return err
	}
	return c.ask(ctx, method, body, query, path)
}

// ask sends a request and prints the result.
func (c *sourceClient) ask(ctx context.Context, method string, body any, query url.Values, path string) error {
	result, err := c.fetch(ctx, method, body, query, path)
	if err != nil {
		return err
	}
	return c.print(result)
}

// path is that of what is under the collection.
func (c *sourceClient) path(under string) (string, error) {
	if c.collection == "" {
		return "", usageError{errors.New("sources needs --collection")}
	}
	return "/collections/" + url.PathEscape(c.collection) + under, nil
}

// fetch sends a request and returns the result.
func (c *sourceClient) fetch(ctx context.Context, method string, body any, query url.Values, path string) (json.RawMessage, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := c.request(ctx, method, path, query, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return c.result(req)
}

// print writes a result for people or as JSON.
func (c *sourceClient) print(result json.RawMessage) error {
	if !c.asJSON {
		return c.show(c.out, c.args, result)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, result, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	_, err := pretty.WriteTo(c.out)
	return err
}

// at is the path of what is under a source.
func at(source string, under ...string) []string {
	return append([]string{"/" + url.PathEscape(source)}, under...)
}

// subcommand is one of freshet sources.
type subcommand struct {
	use, short string
	example    string // what follows "freshet sources"
	args       cobra.PositionalArgs
	show       shower
	run        func(ctx context.Context, args []string) error
}

func (c *sourceClient) add(root *cobra.Command, s subcommand) *cobra.Command {
	cmd := &cobra.Command{Use: s.use, Short: s.short, Args: usage(s.args), RunE: func(cmd *cobra.Command, args []string) error {
		c.out, c.show, c.args, c.draw = cmd.OutOrStdout(), s.show, args, nil
		if isTerminal(cmd.ErrOrStderr()) {
			c.draw = stages(cmd.ErrOrStderr())
		}
		return s.run(cmd.Context(), args)
	}}
	for example := range strings.Lines(s.example) {
		cmd.Example += "  freshet sources " + example
	}
	root.AddCommand(cmd)
	return cmd
}

func sourcesCommand() *cobra.Command {
	c := &sourceClient{}
	root := &cobra.Command{
		Use:   "sources",
		Short: "Manage the sources of a running server",
		Long: `Manages the sources of a collection of a running server over its REST API. FILE is the
description of a source, YAML or JSON by the names of the configuration file, or such a
file with one source; - stands for the standard input. Results are text for people, with
--json what the server answered.

Exit codes: 0 done; 1 failed, which may pass; 2 the command or the description is wrong,
or the server refuses it.`,
		Example: `  freshet sources list                                   # of all collections
  freshet sources create docs.yaml --collection docs
  freshet sources status docs --collection docs
  freshet sources move docs vector-embeddings:0:1200 --collection docs`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.addFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&c.collection, "collection", "", "the collection that the sources feed")
	root.PersistentFlags().BoolVar(&c.asJSON, "json", false, "print JSON")

	c.looks(root)
	c.states(root)
	c.descriptions(root)
	c.positions(root)
	c.letters(root)
	c.replays(root)
	return root
}

// simple is a command of a request without a body.
func (c *sourceClient) simple(root *cobra.Command, verb, short, example string, show shower, method string, under ...string) {
	c.add(root, subcommand{verb + " SOURCE", short, example, cobra.ExactArgs(1), show, func(ctx context.Context, args []string) error {
		return c.call(ctx, method, nil, nil, at(args[0], under...)...)
	}})
}

func (c *sourceClient) looks(root *cobra.Command) {
	c.add(root, subcommand{
		"list", "List the sources, of all collections without --collection", "list\nlist --collection docs --json",
		cobra.NoArgs, shows(showSources), func(ctx context.Context, _ []string) error {
			if c.collection == "" {
				return c.ask(ctx, http.MethodGet, nil, nil, "/sources")
			}
			return c.call(ctx, http.MethodGet, nil, nil)
		},
	})
	c.simple(root, "get", "Describe a source, as create and put take it", "get docs --collection docs >docs.yaml", shows(showSource), http.MethodGet)
	c.simple(root, "status", "Show what a source is doing", "status docs --collection docs", shows(showStatus), http.MethodGet, "/status")
}

func (c *sourceClient) states(root *cobra.Command) {
	c.simple(root, "pause", "Read no records until it is resumed", "pause docs --collection docs", said("%s is paused"), http.MethodPut, "/pause")
	c.simple(root, "resume", "Go on from the positions", "resume docs --collection docs", said("%s goes on"), http.MethodPut, "/resume")
	c.simple(root, "stop", "Close the connection to the brokers until it is resumed", "stop docs --collection docs", said("%s is stopped"), http.MethodPut, "/stop")
	c.simple(root, "delete", "Remove a source; points and positions stay", "delete docs --collection docs", said("%s is removed; points and positions stay"), http.MethodDelete)
}

func (c *sourceClient) descriptions(root *cobra.Command) {
	c.add(root, subcommand{
		"create FILE", "Add a source", "create docs.yaml --collection docs",
		cobra.ExactArgs(1), shows(showAdded), func(ctx context.Context, args []string) error {
			body, err := readSource(args[0])
			if err != nil {
				return err
			}
			return c.call(ctx, http.MethodPost, body, nil)
		},
	})
	var limit int
	validate := c.add(root, subcommand{
		"validate FILE", "Tell what a source would make of records, without consuming any", "validate docs.yaml --collection docs --limit 100",
		cobra.ExactArgs(1), shows(showValidation), func(ctx context.Context, args []string) error {
			body, err := readSource(args[0])
			if err != nil {
				return err
			}
			return c.call(ctx, http.MethodPost, body, url.Values{"limit": {strconv.Itoa(limit)}}, ":validate")
		},
	})
	validate.Flags().IntVar(&limit, "limit", 10, "records that are read")
	change := func(verb, short, example, method string) {
		c.add(root, subcommand{verb + " SOURCE FILE", short, example, cobra.ExactArgs(2), shows(showAdded), func(ctx context.Context, args []string) error {
			body, err := readSource(args[1])
			if err != nil {
				return err
			}
			return c.call(ctx, method, body, nil, at(args[0])...)
		}})
	}
	change("put", "Add or replace a source", "put docs docs.yaml --collection docs", http.MethodPut)
	change("patch", "Change some settings of a source; null takes one back to its default",
		"patch docs change.yaml --collection docs                # batch: {max: 200}", http.MethodPatch)
}

func (c *sourceClient) replays(root *cobra.Command) {
	c.add(root, subcommand{
		"replay FILE", "Build a new collection from the logs of the sources; FILE describes it", "replay docs_v2.yaml --collection docs",
		cobra.ExactArgs(1), shows(showReplay), func(ctx context.Context, args []string) error {
			body, err := readDescription(args[0])
			if err != nil {
				return err
			}
			return c.send(ctx, http.MethodPost, body, nil, "/replay")
		},
	})
	show := func(w io.Writer, args []string, result json.RawMessage) error {
		if len(args) > 0 {
			return shows(showReplay)(w, args, result)
		}
		return shows(showReplays)(w, args, result)
	}
	c.add(root, subcommand{
		"replays [INTO]", "Show replays, or the one into a collection", "replays --collection docs\nreplays docs_v2 --collection docs",
		cobra.MaximumNArgs(1), show, func(ctx context.Context, args []string) error {
			path := "/replay"
			for _, into := range args {
				path += "/" + url.PathEscape(into)
			}
			return c.send(ctx, http.MethodGet, nil, nil, path)
		},
	})
	c.add(root, subcommand{
		"cancel-replay INTO", "Forget a replay; what it has built is dropped unless an alias names it", "cancel-replay docs_v2 --collection docs",
		cobra.ExactArgs(1), shows(showCancelled), func(ctx context.Context, args []string) error {
			return c.send(ctx, http.MethodDelete, nil, nil, "/replay/"+url.PathEscape(args[0]))
		},
	})
}

func (c *sourceClient) positions(root *cobra.Command) {
	c.simple(root, "offsets", "Show the positions", "offsets docs --collection docs", shows(showOffsets), http.MethodGet, "/offsets")
	c.simple(root, "reset", "Go on where the source's start says", "reset docs --collection docs", shows(showOffsets), http.MethodDelete, "/offsets")
	var timestamp int64
	move := c.add(root, subcommand{
		"move SOURCE [TOPIC:PARTITION:OFFSET…]", "Go on elsewhere",
		"move docs vector-embeddings:0:1200 vector-embeddings:1:1180 --collection docs\nmove docs --timestamp 1767225600000 --collection docs   # everything since then once more",
		cobra.MinimumNArgs(1), shows(showOffsets), func(ctx context.Context, args []string) error {
			var body sources.Move
			var err error
			if timestamp >= 0 {
				body.Timestamp = &timestamp
			}
			if body.Offsets, err = parseOffsets(args[1:]); err != nil {
				return err
			}
			return c.call(ctx, http.MethodPatch, body, nil, at(args[0], "/offsets")...)
		},
	})
	move.Flags().Int64Var(&timestamp, "timestamp", -1, "in all partitions, the first record that is not older; milliseconds since 1970")

	var topic string
	skip := c.add(root, subcommand{
		"skip SOURCE PARTITION OFFSET", "Leave out the next record of a partition", "skip docs 0 1200 --collection docs",
		cobra.ExactArgs(3), shows(showOffsets), func(ctx context.Context, args []string) error {
			partition, errPartition := strconv.ParseInt(args[1], 10, 32)
			offset, errOffset := strconv.ParseInt(args[2], 10, 64)
			if errPartition != nil || errOffset != nil {
				return usageError{fmt.Errorf("PARTITION and OFFSET are numbers, not %q and %q", args[1], args[2])}
			}
			number := int32(partition)
			return c.call(ctx, http.MethodPost, sources.Skip{Topic: topic, Partition: &number, Offset: &offset}, nil, at(args[0], "/skip")...)
		},
	})
	skip.Flags().StringVar(&topic, "topic", "", "needed if the source has several")

	var timeout float64
	wait := c.add(root, subcommand{
		"wait SOURCE [TOPIC:PARTITION:OFFSET…]", "Wait until everything before the offsets is visible; without any, what is in the logs now",
		"wait docs --collection docs\nwait docs vector-embeddings:0:1200 --collection docs --timeout 5",
		cobra.MinimumNArgs(1), said("%s: all of it is visible"), func(ctx context.Context, args []string) error {
			offsets, err := parseOffsets(args[1:])
			if err != nil {
				return err
			}
			return c.wait(ctx, args[0], map[string]any{"offsets": offsets, "timeout": timeout})
		},
	})
	wait.Flags().Float64Var(&timeout, "timeout", 60, "seconds")
}

func (c *sourceClient) letters(root *cobra.Command) {
	var limit int
	var filter sources.LetterFilter
	var dryRun bool
	dlq := c.add(root, subcommand{
		"dlq SOURCE", "Show records that could not become points", "dlq docs --collection docs\ndlq docs --collection docs --reason wrong_dimension --json",
		cobra.ExactArgs(1), shows(showLetters), func(ctx context.Context, args []string) error {
			query := url.Values{"limit": {strconv.Itoa(limit)}, "reason": {filter.Reason}}
			return c.call(ctx, http.MethodGet, nil, query, at(args[0], "/dlq")...)
		},
	})
	dlq.Flags().IntVar(&limit, "limit", 20, "records that are shown")
	redrive := c.add(root, subcommand{
		"redrive SOURCE", "Try those again, by the present settings", "redrive docs --collection docs --dry-run\nredrive docs --collection docs --reason no_id",
		cobra.ExactArgs(1), shows(showRedriven), func(ctx context.Context, args []string) error {
			return c.call(ctx, http.MethodPost, sources.Redrive{Filter: filter, DryRun: dryRun}, nil, at(args[0], "/dlq/redrive")...)
		},
	})
	redrive.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would come of it")
	for _, cmd := range []*cobra.Command{dlq, redrive} {
		cmd.Flags().StringVar(&filter.Reason, "reason", "", "only those with this reason")
	}
}

// readSource reads the description of a source, also out of a configuration that has one.
func readSource(file string) (json.RawMessage, error) {
	raw, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	var configuration struct{ Sources []json.RawMessage }
	if err := json.Unmarshal(raw, &configuration); err != nil {
		return raw, nil //nolint:nilerr // the server tells more of what is wrong with it
	}
	if configuration.Sources == nil {
		return raw, nil
	}
	if n := len(configuration.Sources); n != 1 {
		return nil, usageError{fmt.Errorf("%s: sources: there are %d, and not one; give each a file of its own", file, n)}
	}
	return configuration.Sources[0], nil
}

// readDescription reads YAML, of which JSON is a part.
func readDescription(file string) (json.RawMessage, error) {
	var raw []byte
	var err error
	if file == "-" {
		raw, err = io.ReadAll(os.Stdin)
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, usageError{err}
	}
	var members map[string]any
	if err := yaml.Unmarshal(raw, &members); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return json.Marshal(members)
}

func parseOffsets(args []string) ([]sources.Offset, error) {
	var list []sources.Offset
	for _, arg := range args {
		parts := strings.Split(arg, ":")
		if len(parts) != 3 {
			return nil, usageError{fmt.Errorf("%q is not TOPIC:PARTITION:OFFSET", arg)}
		}
		partition, errPartition := strconv.ParseInt(parts[1], 10, 32)
		offset, errOffset := strconv.ParseInt(parts[2], 10, 64)
		if errPartition != nil || errOffset != nil {
			return nil, usageError{fmt.Errorf("%q is not TOPIC:PARTITION:OFFSET", arg)}
		}
		list = append(list, sources.Offset{
			Partition: sources.TopicPartition{Topic: parts[0], Partition: int32(partition)},
			Offset:    &sources.KafkaOffset{Offset: offset},
		})
	}
	return list, nil
}
