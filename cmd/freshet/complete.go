package main

import "github.com/spf13/cobra"

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
