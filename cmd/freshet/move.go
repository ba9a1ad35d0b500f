package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"freshet/cmd/freshet/internal/move"
	settingsfile "freshet/ingest/settings"
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
	f.StringVar(&o.To.APIKey, "api-key", "", "API key of --url (environment: FRESHET_API_KEY)")
	f.StringVar(&o.From.URL, "from-qdrant", "", "server to copy from")
	f.StringVar(&o.From.APIKey, "from-api-key", "", "API key of --from-qdrant")
	f.StringVar(&o.FromName, "from-collection", "", "its collection there, if it is called differently")
	f.StringVar(&o.Collection, "collection", "", "collection to import into")
	f.StringVar(&o.Payload, "payload", "", "JSONL file with the payloads of an .npy file")
	cmd.ValidArgsFunction = filesOf("jsonl", "ndjson", "parquet", "npy")
	f.StringVar(&o.Distance, "distance", "", "make a missing collection for a file: Cosine, Dot, Euclid or Manhattan")
	completeWords(cmd, "distance", distances)

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
		err := without(f, "is for --from-qdrant", "from-collection", "from-api-key", "append")
		if o.File == "" {
			err = without(f, "is for a file", "distance", "payload")
		}
		if err != nil {
			return usageError{err}
		}
		if err := checkDistance(o.Distance); o.Distance != "" && err != nil {
			return err
		}
		if o.FromName == "" {
			o.FromName = o.Collection
		}
		o.To.APIKey = keyOr(o.To.APIKey)
		again := again(cmd.ErrOrStderr())
		o.From.Again, o.To.Again = again, again
		draw := stages(cmd.ErrOrStderr())
		o.Progress = func(points, of int64) { draw("importing", points, of) }
		result, err := o.Run(cmd.Context())
		draw("", 0, 0)
		return report(cmd.OutOrStdout(), "imported into", result, asJSON, err)
	}
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
	f.StringVar(&o.From.APIKey, "api-key", "", "API key of the server (environment: FRESHET_API_KEY)")
	f.StringVar(&o.Collection, "collection", "", "collection to export")
	f.IntVar(&o.Batch, "batch", 256, "points of one request")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Collection == "" {
			return usageError{fmt.Errorf("export needs --collection")}
		}
		o.File = args[0]
		o.From.APIKey = keyOr(o.From.APIKey)
		o.From.Again = again(cmd.ErrOrStderr())
		draw := stages(cmd.ErrOrStderr())
		o.Progress = func(points, of int64) { draw("exporting", points, of) }
		result, err := o.Run(cmd.Context())
		draw("", 0, 0)
		return report(cmd.OutOrStdout(), "exported from", result, asJSON, err)
	}
	return cmd
}

// checkDistance refuses what --distance does not take.
func checkDistance(name string) error {
	if slices.Contains(distances, name) {
		return nil
	}
	return usageError{fmt.Errorf("--distance %q is not Cosine, Dot, Euclid or Manhattan%s", name, settingsfile.Nearest(name, distances))}
}

// againEvery is how often it is said that something is tried again.
const againEvery = 30 * time.Second

// again says why what may pass is tried again: nobody wonders for minutes what is going on.
func again(w io.Writer) func(error) {
	var mu sync.Mutex
	var said time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(said) < againEvery {
			return
		}
		said = time.Now()
		if isTerminal(w) {
			_, _ = fmt.Fprintln(w) // behind the bar; it goes on below
		}
		_, _ = fmt.Fprintf(w, "freshet: %s; trying again\n", oneLine(err)) // the error itself comes at the end
	}
}

// isTerminal says whether somebody sees what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stages draws bars on a terminal for several things, one after the other, and nothing
// elsewhere. Doing nothing clears the last.
func stages(w io.Writer) func(doing string, done, of int64) {
	if !isTerminal(w) {
		return func(string, int64, int64) {}
	}
	var now string
	var bar *progressbar.ProgressBar
	return func(doing string, done, of int64) {
		// A bar that cannot be drawn is no reason to stop.
		if doing != now && bar != nil {
			_ = bar.Clear()
			bar = nil
		}
		if now = doing; now == "" {
			return
		}
		if bar == nil {
			bar = progressbar.NewOptions64(of, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(doing),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done)
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
