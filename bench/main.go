// Command bench measures freshet beside what its users have instead, in one
// run on one machine. It asserts nothing; it prints tables. `make bench` does
// the set-up.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	source
	engines []string
	filters string
	rounds  int
	full    bool
}

// part is a part of the benchmark, on one set of data.
type part struct {
	name, short string
	run         func(ctx context.Context, d *dataset, o options) (*section, error)
}

var allParts = []part{
	{"graph", "Recall, rates, memory and latencies of inserts beside hnswlib, faiss and usearch", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchGraph(ctx, d, o.engines, o.rounds)
	}},
	{"updates", "A graph whose points were all replaced three times beside one built afresh", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchUpdates(ctx, d, o.rounds)
	}},
	{"latency", "Searches beside inserts", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchLatency(ctx, d)
	}},
	{"filters", "Searches among some of the points", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchFilters(ctx, d, o.filters, o.rounds, atLeast)
	}},
	{"bound", "Searches beside what the memory can deliver", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchBound(ctx, d, o.rounds)
	}},
	{"tuning", "What m, ef_construct and codes do to inserts, memory, searches and recall", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchTuning(ctx, d, o.rounds)
	}},
	{"ingest", "Time from produce to searchable beside the broker's own transit", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchIngest(ctx, d)
	}},
	{"backlog", "How fast a backlog in Kafka becomes searchable, and searches meanwhile", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchBacklog(ctx, d)
	}},
	{"batches", "A backlog in Kafka consumed in batches of fixed sizes", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchBatches(ctx, d)
	}},
	{"http", "What HTTP adds to the time of a search", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchHTTP(ctx, d)
	}},
	{"rest", "Upserts and searches per second over REST beside those of the graph alone", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchREST(ctx, d)
	}},
	{"restart", "Time from opening a folder to the first answer", func(ctx context.Context, d *dataset, _ options) (*section, error) {
		return benchRestart(ctx, d)
	}},
	{"snapshots", "How long upserts stand still while snapshots are taken", func(ctx context.Context, d *dataset, o options) (*section, error) {
		return benchSnapshots(ctx, d, o.rounds)
	}},
}

// do measures the part on the data of the options.
func (p part) do(ctx context.Context, o options) error {
	d, err := open(o.source)
	if err != nil {
		return err
	}
	s, err := p.run(ctx, d, o)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", p.name, d.name, err)
	}
	s.Part, s.Data, s.Dim, s.Size = p.name, d.name, d.base.dim, d.base.rows
	return s.finish(os.Stdout)
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "bench", Short: "Measure freshet", SilenceUsage: true, SilenceErrors: true}
	var o options
	flags := root.PersistentFlags()
	flags.StringVar(&o.base, "base", "", ".npy file of vectors (float16 or float32); default: the sample in examples/minilm")
	flags.StringVar(&o.queries, "queries", "", ".npy file of queries")
	flags.StringVar(&o.name, "name", "", "what the tables call the vectors; default: the name of the file")
	flags.StringVar(&o.shape, "synthetic", "", "generate vectors: "+clusteredShape+" or "+gaussianShape)
	flags.IntVar(&o.dim, "dim", 384, "dimensions of generated vectors")
	flags.IntVar(&o.size, "size", 10_000, "number of generated vectors")
	flags.StringVar(&o.filters, "filters", "", "folder of payloads and filters of the vectors, and what is right for them")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of searches; medians count")
	flags.StringSliceVar(&o.engines, "engines", engineNames(), "that take part in graph")
	for _, p := range allParts {
		root.AddCommand(&cobra.Command{Use: p.name, Short: p.short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return p.do(cmd.Context(), o)
		}})
	}
	all := &cobra.Command{Use: "all", Short: "All parts, on several sets of data unless --base or --synthetic names one, and the report", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		if err := runAll(cmd.Context(), o); err != nil {
			return err
		}
		return writeReport(cmd.Context())
	}}
	all.Flags().BoolVar(&o.full, "full", false, "up to a million vectors and 1,536 dimensions: hours")
	root.AddCommand(all,
		&cobra.Command{Use: "report", Short: "Write docs/benchmarks.md of what was measured", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return writeReport(cmd.Context())
		}},
		&cobra.Command{Use: "engine NAME BASE QUERIES", Hidden: true, Args: cobra.ExactArgs(3), RunE: func(cmd *cobra.Command, args []string) error {
			return serveEngine(cmd.Context(), args[0], args[1], args[2], os.Stdin, os.Stdout)
		}},
	)
	return root
}

func (o options) check() error {
	if o.rounds < 1 || o.rounds > 1000 {
		return fmt.Errorf("--rounds %d: want 1 to 1,000", o.rounds)
	}
	for _, name := range o.engines {
		if !slices.Contains(engineNames(), name) {
			return fmt.Errorf("--engines: no %q among %s", name, strings.Join(engineNames(), ", "))
		}
	}
	return o.source.check()
}
