package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	url, key, collection string
	out                  io.Writer
}

// call sends a request about the sources and prints the result.
func (c *sourceClient) call(ctx context.Context, method string, body any, query url.Values, path ...string) error {
	return c.send(ctx, method, body, query, "/sources"+strings.Join(path, ""))
}

// send sends a request about the collection and prints the result.
func (c *sourceClient) send(ctx context.Context, method string, body any, query url.Values, path string) error {
	if c.collection == "" {
		return usageError{fmt.Errorf("sources needs --collection")}
	}
	target := strings.TrimSuffix(c.url, "/") + "/collections/" + url.PathEscape(c.collection) + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(raw))
	if err != nil {
		return usageError{fmt.Errorf("--url: %w", err)}
	}
	if c.key != "" {
		req.Header.Set("api-key", c.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return c.print(res.Status, res.StatusCode, answer)
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 256 << 20

func (c *sourceClient) print(status string, code int, answer []byte) error {
	var envelope struct {
		Result json.RawMessage `json:"result"`
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil || code != http.StatusOK {
		var failed struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(envelope.Status, &failed) == nil && failed.Error != "" {
			return fmt.Errorf("%s", failed.Error)
		}
		return fmt.Errorf("the server answered %s: %.200s", status, answer)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, envelope.Result, "", "  "); err != nil {
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

func sourcesCommand() *cobra.Command {
	c := &sourceClient{}
	root := &cobra.Command{
		Use:   "sources",
		Short: "Manage the sources of a running server",
		Long: `Manages the sources of a collection of a running server over its REST API.
Results are printed as JSON. FILE is the description of a source, YAML or JSON by the
names of the configuration file; - stands for the standard input.

Exit codes: 0 done; 1 failed; 2 the command is wrong.`,
		Example: `  freshet sources create docs.yaml --collection docs
  freshet sources status docs --collection docs
  freshet sources move docs vector-embeddings:0:1200 --collection docs`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&c.url, "url", "http://127.0.0.1:6333", "the server")
	root.PersistentFlags().StringVar(&c.key, "api-key", "", "API key of the server")
	root.PersistentFlags().StringVar(&c.collection, "collection", "", "the collection that the sources feed")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })

	add := func(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Args: usage(args), RunE: func(cmd *cobra.Command, args []string) error {
			c.out = cmd.OutOrStdout()
			return run(cmd.Context(), args)
		}}
		root.AddCommand(cmd)
		return cmd
	}
	simple := func(use, short, method string, under ...string) {
		add(use+" SOURCE", short, cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			return c.call(ctx, method, nil, nil, at(args[0], under...)...)
		})
	}
	add("list", "List the sources", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return c.call(ctx, http.MethodGet, nil, nil)
	})
	simple("get", "Describe a source", http.MethodGet)
	simple("delete", "Remove a source", http.MethodDelete)
	simple("status", "Show what a source is doing", http.MethodGet, "/status")
	simple("pause", "Read no records until it is resumed", http.MethodPut, "/pause")
	simple("resume", "Go on from the positions", http.MethodPut, "/resume")
	simple("stop", "Close the connection to the brokers until it is resumed", http.MethodPut, "/stop")
	simple("offsets", "Show the positions", http.MethodGet, "/offsets")
	simple("reset", "Go on where the source's start says", http.MethodDelete, "/offsets")
	add("create FILE", "Add a source", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		body, err := readDescription(args[0])
		if err != nil {
			return err
		}
		return c.call(ctx, http.MethodPost, body, nil)
	})
	var limit int
	validate := add("validate FILE", "Tell what a source would make of records, without consuming any", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		body, err := readDescription(args[0])
		if err != nil {
			return err
		}
		return c.call(ctx, http.MethodPost, body, url.Values{"limit": {strconv.Itoa(limit)}}, ":validate")
	})
	validate.Flags().IntVar(&limit, "limit", 10, "records that are read")
	for verb, method := range map[string]string{"put": http.MethodPut, "patch": http.MethodPatch} {
		short := map[string]string{"put": "Add or replace a source", "patch": "Change some settings of a source; null takes one back to its default"}[verb]
		add(verb+" SOURCE FILE", short, cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
			body, err := readDescription(args[1])
			if err != nil {
				return err
			}
			return c.call(ctx, method, body, nil, at(args[0])...)
		})
	}
	c.positions(add)
	c.letters(add)
	c.replays(add)
	return root
}

func (c *sourceClient) replays(add adder) {
	add("replay FILE", "Build a new collection from the logs of the sources; FILE describes it", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		body, err := readDescription(args[0])
		if err != nil {
			return err
		}
		return c.send(ctx, http.MethodPost, body, nil, "/replay")
	})
	add("replays [INTO]", "Show replays, or the one into a collection", cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		path := "/replay"
		for _, into := range args {
			path += "/" + url.PathEscape(into)
		}
		return c.send(ctx, http.MethodGet, nil, nil, path)
	})
	add("cancel-replay INTO", "Forget a replay; what it has built is dropped unless an alias names it", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return c.send(ctx, http.MethodDelete, nil, nil, "/replay/"+url.PathEscape(args[0]))
	})
}

type adder = func(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command

func (c *sourceClient) positions(add adder) {
	var timestamp int64
	move := add("move SOURCE [TOPIC:PARTITION:OFFSET…]", "Go on elsewhere", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
		var body sources.Move
		var err error
		if timestamp >= 0 {
			body.Timestamp = &timestamp
		}
		if body.Offsets, err = parseOffsets(args[1:]); err != nil {
			return err
		}
		return c.call(ctx, http.MethodPatch, body, nil, at(args[0], "/offsets")...)
	})
	move.Flags().Int64Var(&timestamp, "timestamp", -1, "in all partitions, the first record that is not older; milliseconds since 1970")

	var topic string
	skip := add("skip SOURCE PARTITION OFFSET", "Leave out the next record of a partition", cobra.ExactArgs(3), func(ctx context.Context, args []string) error {
		partition, errPartition := strconv.ParseInt(args[1], 10, 32)
		offset, errOffset := strconv.ParseInt(args[2], 10, 64)
		if errPartition != nil || errOffset != nil {
			return usageError{fmt.Errorf("PARTITION and OFFSET are numbers, not %q and %q", args[1], args[2])}
		}
		number := int32(partition)
		return c.call(ctx, http.MethodPost, sources.Skip{Topic: topic, Partition: &number, Offset: &offset}, nil, at(args[0], "/skip")...)
	})
	skip.Flags().StringVar(&topic, "topic", "", "needed if the source has several")

	var timeout float64
	wait := add("wait SOURCE [TOPIC:PARTITION:OFFSET…]", "Wait until everything before the offsets is visible; without any, what is in the logs now", cobra.MinimumNArgs(1),
		func(ctx context.Context, args []string) error {
			offsets, err := parseOffsets(args[1:])
			if err != nil {
				return err
			}
			return c.call(ctx, http.MethodPost, map[string]any{"offsets": offsets, "timeout": timeout}, nil, at(args[0], "/wait")...)
		})
	wait.Flags().Float64Var(&timeout, "timeout", 60, "seconds")
}

func (c *sourceClient) letters(add adder) {
	var limit int
	var filter sources.LetterFilter
	var dryRun bool
	dlq := add("dlq SOURCE", "Show records that could not become points", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		query := url.Values{"limit": {strconv.Itoa(limit)}, "reason": {filter.Reason}}
		return c.call(ctx, http.MethodGet, nil, query, at(args[0], "/dlq")...)
	})
	dlq.Flags().IntVar(&limit, "limit", 20, "records that are shown")
	redrive := add("redrive SOURCE", "Try those again, by the present settings", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return c.call(ctx, http.MethodPost, sources.Redrive{Filter: filter, DryRun: dryRun}, nil, at(args[0], "/dlq/redrive")...)
	})
	redrive.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would come of it")
	for _, cmd := range []*cobra.Command{dlq, redrive} {
		cmd.Flags().StringVar(&filter.Reason, "reason", "", "only those with this reason")
	}
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
