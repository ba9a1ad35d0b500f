package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"freshet/ingest"
	settingsfile "freshet/ingest/settings"
	"freshet/server"
)

// doctorParts are what can be examined, in order.
var doctorParts = []struct {
	name    string
	examine func(ctx context.Context, c *config, o server.ExamineOptions) error
}{
	{"folder", func(ctx context.Context, c *config, o server.ExamineOptions) error {
		return server.Examine(ctx, c.Data, o)
	}},
	{"machine", func(_ context.Context, c *config, o server.ExamineOptions) error {
		examineMachine(c, o.Report)
		return nil
	}},
	{"brokers", func(ctx context.Context, c *config, o server.ExamineOptions) error {
		return ingest.Examine(ctx, c.Config, o.Report)
	}},
	{"snapshots", func(ctx context.Context, c *config, o server.ExamineOptions) error {
		return examineSnapshots(ctx, &c.Storage, o.Report)
	}},
}

// diagnosis is a finding with the part that it is about.
type diagnosis struct {
	Part string `json:"part"`
	server.Finding
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	var names []string
	for _, p := range doctorParts {
		names = append(names, p.name)
	}
	cmd := &cobra.Command{
		Use:   "doctor [folder] [machine] [brokers] [snapshots]",
		Short: "Examine the data folder, the machine, the brokers and the bucket of snapshots, and say what to do",
		Long: `Examines, without changing anything,

  folder     the data folder: whether it is in use, the format, the checksums of all that
             is in it, and whether points, graphs, positions and catalog go together;
             all of it is read, and no server may use it meanwhile
  machine    kernels, memory, disk and its marks, limits
  brokers    of the configured sources: whether they answer, whether the topics are there
             and may be read
  snapshots  whether the bucket they are kept in answers and may be listed

and says for each thing that is wrong what to do. Without an argument it examines all.
The status is 1 if there is a problem, 0 if there are only warnings or none.`,
		Example: `  freshet doctor --config freshet.yaml
  freshet doctor folder --data /var/lib/freshet
  freshet doctor machine brokers --config freshet.yaml --json   # beside a running server`,
		Args: usage(func(_ *cobra.Command, args []string) error {
			for _, a := range args {
				if !slices.Contains(names, a) {
					return fmt.Errorf("%q is not %s%s", a, strings.Join(names, ", "), settingsfile.Nearest(a, names))
				}
			}
			return nil
		}),
		ValidArgsFunction: cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(cmd, os.Environ())
			if err != nil {
				return err
			}
			return diagnose(cmd, &c, args, asJSON)
		},
	}
	addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func diagnose(cmd *cobra.Command, c *config, parts []string, asJSON bool) error {
	found := []diagnosis{}
	problems := 0
	var errs []error
	draw := stages(cmd.ErrOrStderr())
	for _, p := range doctorParts {
		if len(parts) > 0 && !slices.Contains(parts, p.name) {
			continue
		}
		err := p.examine(cmd.Context(), c, server.ExamineOptions{
			Progress: func(done, of int64) { draw("reading", done, of) },
			Report: func(f server.Finding) {
				found = append(found, diagnosis{p.name, f})
				if f.Level == server.Problem {
					problems++
				}
			},
		})
		errs = append(errs, err)
	}
	draw("", 0, 0)
	if problems > 0 {
		errs = append(errs, fmt.Errorf("problems found: %d", problems))
	}
	err := errors.Join(errs...)
	if asJSON {
		return errors.Join(err, printJSON(cmd.OutOrStdout(), map[string]any{"healthy": err == nil, "findings": found}))
	}
	return errors.Join(printDiagnoses(cmd.OutOrStdout(), found), err)
}

func printDiagnoses(w io.Writer, found []diagnosis) error {
	for _, d := range found {
		text := fmt.Sprintf("%-8s %s: %s\n", d.Level, d.What, d.Text)
		if d.Advice != "" {
			text += fmt.Sprintf("%-8s → %s\n", "", d.Advice)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}
