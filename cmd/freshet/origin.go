package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	settingsfile "freshet/ingest/settings"
)

// origins tell where the settings that were given come from, by path: file:line, a
// variable or a flag.
type origins map[string]string

// add takes note of what a file says.
func (o origins) add(file string, raw []byte) error {
	lines, err := settingsfile.Lines(raw)
	for path, line := range lines {
		o[path] = fmt.Sprintf("%s:%d", file, line)
	}
	return err
}

// of returns where a setting comes from: it, or what it is in, was given.
func (o origins) of(path string) (string, bool) {
	for path != "" {
		if from, ok := o[path]; ok {
			return from, true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return "", false
}

// locate puts before each of the errors where the setting that it begins with comes from.
func (o origins) locate(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joined errors themselves are meant
		var located []error
		for _, one := range many.Unwrap() {
			located = append(located, o.locate(one))
		}
		return errors.Join(located...)
	}
	if err == nil {
		return nil
	}
	path, _, _ := strings.Cut(err.Error(), ": ")
	// A member of a map is quoted in errors: embed["x"].model.
	path = strings.NewReplacer(`["`, ".", `"]`, "").Replace(path)
	if from, ok := o.of(path); ok {
		return fmt.Errorf("%s: %w", from, err)
	}
	return err
}

const byDefault = "default"

// comment returns a configuration with a comment on each line that has a value, saying
// where that comes from.
func (o origins) comment(raw []byte) ([]byte, error) {
	lines, err := settingsfile.Lines(raw)
	if err != nil {
		return nil, err
	}
	text := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	deepest := map[int]string{}
	for path, line := range lines {
		if len(path) > len(deepest[line]) {
			deepest[line] = path
		}
	}
	for line, path := range deepest {
		if strings.HasSuffix(text[line-1], ":") {
			continue // what is below has comments of its own
		}
		text[line-1] = fmt.Sprintf("%-52s # %s", text[line-1], o.given(path))
	}
	return []byte(strings.Join(text, "\n") + "\n"), nil
}

// given returns where a value comes from. What was not given itself is a default, also
// in an object that was.
func (o origins) given(path string) string {
	if from, ok := o[path]; ok {
		return from
	}
	return byDefault
}

// setting is a value with where it comes from.
type setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

// list returns all settings by their paths.
func (o origins) list(raw []byte) ([]setting, error) {
	var all any
	if err := yaml.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	var found []setting
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				walk(strings.TrimPrefix(path+"."+name, "."), v[name])
			}
			if len(v) > 0 {
				return
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), v[i])
			}
			if len(v) > 0 {
				return
			}
		}
		found = append(found, setting{path, value, o.given(path)})
	}
	walk("", all)
	return found, nil
}

func configCommand() *cobra.Command {
	var asJSON bool
	root := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration and print all of it",
		Long: `Puts the configuration together as serve does, checks it and prints all of it. An
error names the file, the line and the setting, or the variable or the flag. Keys and
passwords are not printed. With --json it is an object of the same names.`,
		Example: `  freshet config --config freshet.yaml
  freshet config print --config freshet.yaml
  FRESHET_LISTEN=:6333 freshet config print --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, os.Environ())
			if err != nil {
				return err
			}
			if !asJSON {
				return c.print(cmd.OutOrStdout())
			}
			raw, err := c.yaml()
			if err == nil {
				raw, err = yaml.YAMLToJSON(raw)
			}
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), json.RawMessage(raw))
		},
	}
	addFlags(root)
	root.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	root.AddCommand(configPrintCommand())
	return root
}

func configPrintCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print each setting with where it comes from",
		Long: `Prints the configuration with a comment behind each value that tells where it comes
from: file:line, the variable, the flag, or default. With --json it is a list of
{"key", "value", "origin"}.`,
		Example: `  freshet config print --config freshet.yaml | grep -v default`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, from, err := loadOrigins(cmd, os.Environ())
			if err != nil {
				return err
			}
			return printOrigins(cmd.OutOrStdout(), c, from, asJSON)
		},
	}
	addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printOrigins(w io.Writer, c config, from origins, asJSON bool) error {
	raw, err := c.yaml()
	if err != nil {
		return err
	}
	if !asJSON {
		if raw, err = from.comment(raw); err == nil {
			_, err = w.Write(raw)
		}
		return err
	}
	list, err := from.list(raw)
	if err != nil {
		return err
	}
	return printJSON(w, list)
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
