package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"freshet/ingest"
	"freshet/ingest/decode"
	settingsfile "freshet/ingest/settings"
)

// readSource sets what to read if the flags ask for a topic that is there.
func (o *benchOptions) readSource(given *pflag.FlagSet, list []ingest.Source) (err error) {
	switch {
	case o.source != "":
		err = without(given, "is what the source says that --source names", "source-format", "source-id", "source-vector", "distance")
		if err == nil {
			err = o.takeSource(given.Changed("topic"), list)
		}
	case o.format != "":
		o.Read = &ingest.Source{Topics: []string{o.Topic}, Format: decode.Format(o.format), ID: o.id}
		o.Read.OnCreate.Distance = o.Distance
		if o.vector != "" {
			o.Read.Vectors = map[string]string{"": o.vector}
		}
	default:
		return without(given, "is for a topic that is there, of which --source or --source-format says what its records are",
			"source-id", "source-vector", "records")
	}
	if err != nil {
		return err
	}
	return without(given, "is for topics that are made, and one that is there is read",
		"partitions", "replicas", "keep", "vectors", "dim", "generate", "rates", "highest", "backlog")
}

// without returns an error if one of the flags was given.
func without(given *pflag.FlagSet, why string, names ...string) error {
	for _, name := range names {
		if given.Changed(name) {
			return fmt.Errorf("--%s %s", name, why)
		}
	}
	return nil
}

// takeSource takes what to read from the configuration. Of several topics --topic chooses.
func (o *benchOptions) takeSource(chosen bool, list []ingest.Source) error {
	var names []string
	var found []ingest.Source
	for _, s := range list {
		whole := s.Collection + "/" + s.Name
		names = append(names, s.Name, whole)
		if o.source == s.Name || o.source == whole {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("--source: the configuration has no source %q%s", o.source, settingsfile.Nearest(o.source, names))
	case 1:
	default:
		return fmt.Errorf("--source: %d collections have a source %q; COLLECTION/NAME says which", len(found), o.source)
	}
	source := found[0]
	switch {
	case !chosen && len(source.Topics) == 1:
		o.Topic = source.Topics[0]
	case !chosen:
		return fmt.Errorf("--source: %q has more than one topic; --topic says which to read", o.source)
	case !source.Consumes(o.Topic):
		return fmt.Errorf("--topic: %q is not among the topics of source %q, %s", o.Topic, o.source, cmp.Or(source.TopicsRegex, strings.Join(source.Topics, ", ")))
	}
	source.Topics, source.TopicsRegex = []string{o.Topic}, ""
	o.Read, o.Distance = &source, source.OnCreate.Distance
	return nil
}
