// Command freshet is the vector database: serve runs it, demo shows it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"freshet/api"
	settingsfile "freshet/ingest/settings"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "freshet:", oneLine(err))
		os.Exit(exitCode(err))
	}
}

// exitCode is 1 unless the error says otherwise.
func exitCode(err error) int {
	var own interface{ ExitCode() int }
	if errors.As(err, &own) {
		return own.ExitCode()
	}
	return 1
}

// oneLine joins what errors.Join put on lines of their own.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "freshet",
		Short: "A vector database that consumes Kafka topics itself and speaks Qdrant's REST API",
		Long: `Freshet is a vector database that consumes Kafka topics itself and speaks Qdrant's
REST API. One process is the whole server; all that it keeps is in its data folder.

Begin with the demo, which brings a broker with it, or serve a topic of your own and
look at http://localhost:6333/dashboard.

Exit codes: 0 done; 1 failed, which may pass; 2 the command, the configuration or the
data are wrong, or a server refuses, and trying again does not help; 74 the disk has
failed.`,
		Example: `  freshet demo                               # see it work
  freshet serve --config freshet.yaml        # run the database
  freshet config print --config freshet.yaml # what counts, and who says so
  freshet sources list --collection docs     # what feeds a collection
  freshet import points.parquet --collection docs
  source <(freshet completion bash)          # completion; zsh and fish, too`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.Args = noArgs
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(serveCommand(), configCommand(), demoCommand(), benchCommand(), doctorCommand(), importCommand(), exportCommand(), sourcesCommand(), snapshotCommand(), healthCommand(), completionCommand(), versionCommand())
	root.SetHelpCommand(helpCommand(root))
	return root
}

// helpCommand refuses what there is no help for.
func helpCommand(root *cobra.Command) *cobra.Command {
	root.InitDefaultHelpCmd()
	help, _, _ := root.Find([]string{"help"}) // it was just made
	help.Args = func(_ *cobra.Command, args []string) error {
		if found, rest, _ := root.Find(args); len(rest) > 0 {
			return noArgs(found, rest)
		}
		return nil
	}
	return help
}

// wrongFlag names the nearest flag to one that there is not.
func wrongFlag(cmd *cobra.Command, err error) error {
	var missing interface{ GetSpecifiedName() string }
	if errors.As(err, &missing) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		err = fmt.Errorf("%w%s", err, settingsfile.Nearest("--"+missing.GetSpecifiedName(), names))
	}
	return usageError{err}
}

// usageError is a command line that is wrong, or a configuration.
type usageError struct{ error }

// ExitCode is the code that the process ends with.
func (usageError) ExitCode() int { return 2 }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return usageError{fmt.Errorf("%w: %s", err, cmd.UseLine())}
		}
		return nil
	}
}

// noArgs refuses arguments. One of a command that has others below it was meant for one of
// them.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return usageError{fmt.Errorf("there is no command %q%s", strings.TrimPrefix(cmd.CommandPath()+" ", "freshet ")+args[0], settingsfile.Nearest(args[0], names))}
	default:
		return usageError{fmt.Errorf("%s takes no argument, such as %q", cmd.CommandPath(), args[0])}
	}
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and the commit it was built from",
		Example: `  freshet version --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version, "commit": commit(), "api": api.CompatibleVersion, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "freshet", version, commit())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// commit returns the revision that the Go tool recorded, "unknown" if none.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
