package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"freshet/cmd/freshet/internal/outfile"
	"freshet/cmd/freshet/internal/pipeline"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
)

type benchOptions struct {
	pipeline.Options
	npy, report  string
	dim, vectors int
	distance     string
	asJSON       bool

	// Of a topic that is there: a source of the configuration, or what its records are.
	source, format, id, vector string
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure your own pipeline: from a producer over your brokers to the searches that find it",
		Long: `Measure your own pipeline: from a producer over your brokers to the searches that find it.

Makes topics of its own at your brokers, produces vectors to them at each of the rates,
consumes them into a database in a temporary folder while searches go on, and says where
the time went and whether it kept up. Further rates seek the highest that is kept up with,
beyond which the lag grows. Then it measures how fast a backlog is consumed, and
the recall of searches on it. Topics and folder are removed in the end. If a topic is there
already, or the brokers cannot be reached, nothing is touched.

With --source or --source-format it reads a topic of yours instead, and writes nothing at all
to the brokers: how fast it catches up with --records of it, how long what comes in the next
--duration takes, by stage, and the recall of searches for neighbours of some of its points.
--source takes all that a source of the configuration says of its records, vectors of texts by
the models included.

A run that fails or is interrupted (Ctrl-C) reports what it had measured until then, and
says why it ended. Exit codes: 0 all was measured; 1 failed or interrupted, try again;
2 the command is wrong.`,
		Example: `  freshet bench --brokers localhost:9092
  freshet bench --brokers localhost:9092 --vectors mine.npy --rates 500,5000 --report bench.html
  freshet bench --brokers localhost:9092 --topic embeddings --source-format auto
  freshet bench --config freshet.yaml --source articles --records 20000
  freshet bench --config freshet.yaml --backlog 200000 --rates 1000 --json >bench.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd, &o) },
	}
	f := cmd.Flags()
	f.String("config", "", "configuration file, of which the brokers, how to reach them and --source count (environment: "+configEnv+")")
	f.String("brokers", "", "Kafka brokers, host:port,… (environment: FRESHET_BROKERS)")
	f.StringVar(&o.Topic, "topic", "freshet-bench", "what the names of the topics begin with; -RATE and -backlog follow. With --source-format the topic to read, with --source which one of its topics")
	f.IntVar(&o.Partitions, "partitions", 3, "of each topic")
	f.IntVar(&o.Replicas, "replicas", -1, "of each partition; -1 for the brokers' default")
	f.BoolVar(&o.Keep, "keep", false, "leave the topics")
	f.StringVar(&o.npy, "vectors", "", ".npy file of vectors, at most a million; otherwise they are generated")
	f.IntVar(&o.dim, "dim", 384, "dimensions of generated vectors")
	f.IntVar(&o.vectors, "generate", 20_000, "how many are generated; they are produced again when they are used up")
	f.StringVar(&o.distance, "distance", string(server.Cosine), "Cosine, Dot, Euclid or Manhattan")
	f.IntSliceVar(&o.Rates, "rates", []int{100, 500, 1000, 2000}, "records per second, one after the other")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "at each rate")
	f.BoolVar(&o.Highest, "highest", true, "seek the highest rate that is kept up with, by further steps")
	f.IntVar(&o.Backlog, "backlog", 20_000, "records of the backlog; 0 for none: recall is then that of the last of the rates")
	f.DurationVar(&o.Settling, "settling", 5*time.Minute, "how long records may take to be found after the last was produced")
	f.StringVar(&o.source, "source", "", "read a topic of this source of --config: NAME or COLLECTION/NAME")
	f.StringVar(&o.format, "source-format", "", "read the --topic, which is there: "+decode.FormatNames())
	f.StringVar(&o.id, "source-id", "", "where the id is: key, key.FIELD, value.FIELD or header.NAME; default by format")
	f.StringVar(&o.vector, "source-vector", "", "where the vector is: value.FIELD; default value.embedding or value.vector")
	f.IntVar(&o.Records, "records", 100_000, "of the topic to read at most, from its beginning; 0 for all")
	f.StringVar(&o.report, "report", "", "HTML file to write the report to, with plots")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	completeFiles(cmd, "config", "yaml", "yml")
	completeFiles(cmd, "vectors", "npy")
	completeFiles(cmd, "report", "html")
	completeWords(cmd, "distance", distances)
	completeWords(cmd, "source-format", strings.Split(decode.FormatNames(), ", "))
	return cmd
}

func runBench(cmd *cobra.Command, o *benchOptions) (err error) {
	c, err := loadConfig(cmd, os.Environ())
	if err != nil {
		return err
	}
	o.Kafka, o.Registry = c.Kafka, c.SchemaRegistry
	o.Distance = server.Distance(o.distance)
	if err := checkDistance(o.distance); err != nil {
		return err
	}
	if err := o.readSource(cmd.Flags(), c.Sources); err != nil {
		return usageError{err}
	}
	if o.Models, err = embed.New(c.Embedding); err != nil {
		return err
	}
	defer o.Models.Close()
	switch {
	case o.Read != nil: // it brings its own
	case o.npy != "":
		o.Vectors, err = pipeline.ReadNPY(o.npy)
	default:
		o.Vectors, err = pipeline.Generate(o.dim, o.vectors, 1)
	}
	if err != nil {
		return usageError{err}
	}
	o.Progress = stages(cmd.ErrOrStderr())
	file, err := openReport(o.report)
	if err != nil {
		return err
	}
	report, err := pipeline.Run(cmd.Context(), o.Options)
	o.Progress("", 0, 0)
	return errors.Join(err, o.write(cmd.OutOrStdout(), file, report))
}

// openReport opens a file for a report; "" is none. It is opened before anything is measured, so
// that a path that cannot be written costs no run.
func openReport(path string) (*outfile.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := outfile.Create(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("--report: %w", err)}
	}
	return f, nil
}

// write prints what was measured, also when the run came to no good end.
func (o *benchOptions) write(out io.Writer, file *outfile.File, report *pipeline.Report) error {
	if report.Empty() {
		if file == nil {
			return nil
		}
		return file.Discard()
	}
	var errFile error
	if file != nil {
		if errFile = file.End(report.HTML(file)); errFile != nil {
			errFile = fmt.Errorf("--report: %w", errFile)
		}
	}
	if o.asJSON {
		return errors.Join(report.JSON(out), errFile)
	}
	return errors.Join(report.Text(out), errFile)
}
