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
	"time"

	"github.com/spf13/cobra"

	"freshet/examples/minilm"
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

// dataset is what a benchmark works on: rows of length 1.
type dataset struct{ base, queries *matrix }

func command() *cobra.Command {
	root := &cobra.Command{Use: "bench", Short: "Measure freshet", SilenceUsage: true, SilenceErrors: true}
	base := root.PersistentFlags().String("base", "", ".npy file of vectors (float16 or float32); default: the sample in examples/minilm")
	queries := root.PersistentFlags().String("queries", "", ".npy file of queries")
	add := func(name, short string, run func(ctx context.Context, d *dataset) error) {
		root.AddCommand(&cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := load(*base, *queries)
			if err != nil {
				return err
			}
			return run(cmd.Context(), d)
		}})
	}
	add("graph", "Recall, queries per second and build rate beside hnswlib, one thread each", benchGraph)
	add("ingest", "Time from produce to searchable beside the broker's own transit", benchIngest)
	add("filter", "Recall and time of filtered searches beside exact scans of the matches", benchFilter)
	add("http", "What HTTP adds to the time of a search", benchHTTP)
	return root
}

func load(base, queries string) (*dataset, error) {
	d := &dataset{}
	var err error
	if base == "" && queries == "" {
		d.base, err = fromSample(minilm.Base())
		if err == nil {
			d.queries, err = fromSample(minilm.Queries())
		}
	} else {
		d.base, err = readNPY(base)
		if err == nil {
			d.queries, err = readNPY(queries)
		}
	}
	if err != nil {
		return nil, err
	}
	if d.base.dim != d.queries.dim {
		return nil, fmt.Errorf("vectors of %d dimensions, queries of %d", d.base.dim, d.queries.dim)
	}
	d.base.normalize()
	d.queries.normalize()
	return d, nil
}

func fromSample(rows []minilm.Row, err error) (*matrix, error) {
	m := &matrix{rows: len(rows), dim: minilm.Dim}
	for _, row := range rows {
		m.data = append(m.data, row.Vector...)
	}
	return m, err
}

// quantile returns the q-quantile by the nearest rank.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
