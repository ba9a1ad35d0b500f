package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"freshet/cmd/freshet/internal/move"
)

func importCommand() *cobra.Command {
	o := move.Import{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Copy points from a file or from a running Qdrant into a collection",
		Long: `Copies points into a collection of a running server.

FILE is one of
  .jsonl, .ndjson  one point a line: {"id": 1, "vector": […], "payload": {…}}
  .parquet         columns id, vector (or vector.NAME for each named vector),
                   payload (a JSON object), freshet.expires_at (milliseconds
                   since 1970); other columns become the payload's members
  .npy             one vector a row; ids are the numbers of the rows, from 0;
                   --payload FILE.jsonl has a payload on each line

Without a file, --from-qdrant names a running server (Qdrant or Freshet). The
collection is made as it is there: configuration, payload indexes, points and
aliases.

An import that was interrupted goes on where it was when the same command is run
again in the same directory: a state file (--state) says how far it came, and is
removed at the end.

Exit codes: 0 done; 1 failed, try again; 2 the data or the command is wrong.`,
		Example: `  freshet import --from-qdrant http://qdrant:6333 --collection docs
  freshet import points.parquet --collection docs --distance Cosine
  freshet import vectors.npy --payload payload.jsonl --collection docs`,
		Args: usage(cobra.MaximumNArgs(1)),
	}
	f := cmd.Flags()
	f.StringVar(&o.To.URL, "url", "http://127.0.0.1:6333", "server to import into")
	f.StringVar(&o.To.APIKey, "api-key", "", "API key of --url")
	f.StringVar(&o.From.URL, "from-qdrant", "", "server to copy from")
	f.StringVar(&o.From.APIKey, "from-api-key", "", "API key of --from-qdrant")
	f.StringVar(&o.FromName, "from-collection", "", "its collection there, if it is called differently")
	f.StringVar(&o.Collection, "collection", "", "collection to import into")
	f.StringVar(&o.Payload, "payload", "", "JSONL file with the payloads of an .npy file")
	f.StringVar(&o.Distance, "distance", "", "make a missing collection for a file: Cosine, Dot, Euclid or Manhattan")
	f.BoolVar(&o.Append, "append", false, "with --from-qdrant: add to a collection that exists")
	f.IntVar(&o.Batch, "batch", 256, "points of one request")
	f.IntVar(&o.Parallel, "parallel", 4, "requests at a time")
	f.StringVar(&o.State, "state", "", "state file (default .freshet-import-….json in this directory)")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			o.File = args[0]
		}
		if o.Collection == "" || (o.File == "") == (o.From.URL == "") {
			return usageError{fmt.Errorf("import needs --collection and either a file or --from-qdrant")}
		}
		if o.FromName == "" {
			o.FromName = o.Collection
		}
		o.Progress = progress(cmd.ErrOrStderr(), "importing")
		result, err := o.Run(cmd.Context())
		return report(cmd.OutOrStdout(), "imported into", result, asJSON, err)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

func exportCommand() *cobra.Command {
	o := move.Export{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the points of a collection to a .jsonl or .parquet file",
		Long: `Writes all points of a collection of a running server (Freshet or Qdrant), with
vectors and payloads, in the order of their ids, to a file that import reads. The
file is there when it is whole.

Exit codes: 0 done; 1 failed, try again; 2 the data or the command is wrong.`,
		Example: `  freshet export docs.parquet --collection docs`,
		Args:    usage(cobra.ExactArgs(1)),
	}
	f := cmd.Flags()
	f.StringVar(&o.From.URL, "url", "http://127.0.0.1:6333", "server to export from")
	f.StringVar(&o.From.APIKey, "api-key", "", "API key of the server")
	f.StringVar(&o.Collection, "collection", "", "collection to export")
	f.IntVar(&o.Batch, "batch", 256, "points of one request")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Collection == "" {
			return usageError{fmt.Errorf("export needs --collection")}
		}
		o.File = args[0]
		o.Progress = progress(cmd.ErrOrStderr(), "exporting")
		result, err := o.Run(cmd.Context())
		return report(cmd.OutOrStdout(), "exported from", result, asJSON, err)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

// usageError is a command line that is wrong.
type usageError struct{ error }

// ExitCode is the code that the process ends with.
func (usageError) ExitCode() int { return 2 }

func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// progress draws a bar on a terminal, and nothing elsewhere.
func progress(w io.Writer, what string) func(points, of int64) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(points, of int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(of, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(points) // a bar that cannot be drawn is no reason to stop
	}
}

func report(w io.Writer, did string, result move.Result, asJSON bool, err error) error {
	if asJSON {
		answer := struct {
			move.Result
			Error string `json:"error,omitempty"`
		}{Result: result}
		if err != nil {
			answer.Error = oneLine(err)
		}
		if errPrint := json.NewEncoder(w).Encode(answer); err == nil {
			err = errPrint
		}
		return err
	}
	if err != nil {
		return err
	}
	before := ""
	if result.Before > 0 {
		before = fmt.Sprintf(", %d before", result.Before)
	}
	_, err = fmt.Fprintf(w, "%d points %s %s in %.1f s%s\n", result.Points, did, result.Collection, result.Seconds, before)
	return err
}
