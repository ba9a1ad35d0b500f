package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"freshet/cmd/freshet/internal/pipeline"
	"freshet/server"
)

type benchOptions struct {
	pipeline.Options
	npy, report  string
	dim, vectors int
	distance     string
	asJSON       bool
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure your own pipeline: from a producer over your brokers to the searches that find it",
		Long: `Measure your own pipeline: from a producer over your brokers to the searches that find it.

Makes topics of its own at your brokers, produces vectors to them at each of the rates,
consumes them into a database in a temporary folder while searches go on, and says where
the time went and whether it kept up. Then it measures how fast a backlog is consumed, and
the recall of searches on it. Topics and folder are removed in the end. If a topic is there
already, or the brokers cannot be reached, nothing is touched.`,
		Example: `  freshet bench --brokers localhost:9092
  freshet bench --brokers localhost:9092 --vectors mine.npy --rates 500,5000 --report bench.html
  freshet bench --config freshet.yaml --backlog 200000 --rates 1000 --json >bench.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd, &o) },
	}
	f := cmd.Flags()
	f.String("config", "", "configuration file, of which the brokers and how to reach them count (environment: "+configEnv+")")
	f.String("brokers", "", "Kafka brokers, host:port,… (environment: FRESHET_BROKERS)")
	f.StringVar(&o.Topic, "topic", "freshet-bench", "what the names of the topics begin with; -RATE and -backlog follow")
	f.IntVar(&o.Partitions, "partitions", 3, "of each topic")
	f.IntVar(&o.Replicas, "replicas", -1, "of each partition; -1 for the brokers' default")
	f.BoolVar(&o.Keep, "keep", false, "leave the topics")
	f.StringVar(&o.npy, "vectors", "", ".npy file of vectors, at most a million; otherwise they are generated")
	f.IntVar(&o.dim, "dim", 384, "dimensions of generated vectors")
	f.IntVar(&o.vectors, "generate", 20_000, "how many are generated; they are produced again when they are used up")
	f.StringVar(&o.distance, "distance", string(server.Cosine), "Cosine, Dot, Euclid or Manhattan")
	f.IntSliceVar(&o.Rates, "rates", []int{100, 500, 1000, 2000}, "records per second, one after the other")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "at each rate")
	f.IntVar(&o.Backlog, "backlog", 20_000, "records of the backlog; 0 for none")
	f.DurationVar(&o.Settling, "settling", 5*time.Minute, "how long records may take to be found after the last was produced")
	f.StringVar(&o.report, "report", "", "HTML file to write the report to, with plots")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runBench(cmd *cobra.Command, o *benchOptions) (err error) {
	c, err := loadConfig(cmd, os.Environ())
	if err != nil {
		return err
	}
	o.Kafka = c.Kafka
	o.Distance = server.Distance(o.distance)
	switch o.Distance {
	case server.Cosine, server.Dot, server.Euclid, server.Manhattan:
	default:
		return usageError{fmt.Errorf("--distance %q is not Cosine, Dot, Euclid or Manhattan", o.distance)}
	}
	if o.npy != "" {
		o.Vectors, err = pipeline.ReadNPY(o.npy)
	} else {
		o.Vectors, err = pipeline.Generate(o.dim, o.vectors, 1)
	}
	if err != nil {
		return err
	}
	o.Progress = func(doing string) {
		if isTerminal(os.Stderr) {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), doing) // nobody depends on it
		}
	}
	report, err := pipeline.Run(cmd.Context(), o.Options)
	if err != nil {
		return err
	}
	if o.report != "" {
		if err := writeReport(o.report, report); err != nil {
			return err
		}
	}
	if o.asJSON {
		return report.JSON(cmd.OutOrStdout())
	}
	return report.Text(cmd.OutOrStdout())
}

func writeReport(path string, report *pipeline.Report) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.HTML(f)
}
