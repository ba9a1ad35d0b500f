package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	settingsfile "freshet/ingest/settings"
)

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print the completion of a shell",
		Long: `Prints a script with which the shell completes the commands of freshet, their flags and
what these take. Bash needs the package bash-completion.`,
		Example: `  source <(freshet completion bash)                                # this shell
  freshet completion bash > /etc/bash_completion.d/freshet         # every one from now on
  freshet completion zsh > "${fpath[1]}/_freshet"
  freshet completion fish > ~/.config/fish/completions/freshet.fish
  freshet completion powershell | Out-String | Invoke-Expression`,
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			write, ok := map[string]func(io.Writer) error{
				"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":        root.GenZshCompletion,
				"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
				"powershell": root.GenPowerShellCompletionWithDesc,
			}[args[0]]
			if !ok {
				return usageError{fmt.Errorf("%q is not %s%s", args[0], strings.Join(shells, ", "), settingsfile.Nearest(args[0], shells))}
			}
			return write(cmd.OutOrStdout())
		},
	}
}

// The shell completes what follows; that these flags are there is for the caller to see to.

// completeWords offers the words that a flag takes.
func completeWords(cmd *cobra.Command, flag string, words []string) {
	mustComplete(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// completeFiles offers files with one of the extensions.
func completeFiles(cmd *cobra.Command, flag string, extensions ...string) {
	mustComplete(cmd.MarkFlagFilename(flag, extensions...))
}

// completeFolders offers folders.
func completeFolders(cmd *cobra.Command, flag string) { mustComplete(cmd.MarkFlagDirname(flag)) }

func mustComplete(err error) {
	if err != nil {
		panic("BUG: " + err.Error()) // there is no such flag
	}
}

// filesOf completes an argument with files of the extensions.
func filesOf(extensions ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return extensions, cobra.ShellCompDirectiveFilterFileExt
	}
}
