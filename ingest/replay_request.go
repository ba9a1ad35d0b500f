package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"freshet/server"
	"freshet/server/sources"
)

// parseReplay reads the request of a replay, with defaults, and checks what can be
// checked without the collection.
func parseReplay(raw []byte) (sources.Replay, error) {
	var want sources.Replay
	if len(raw) > maxReplayBytes {
		return want, invalid("", "the description of a replay has at most %d bytes, this one %d", maxReplayBytes, len(raw))
	}
	if err := strictJSON(raw, &want); err != nil {
		return want, err
	}
	if err := server.CheckName(want.Into); err != nil {
		return want, invalid("into", "%v", err)
	}
	if _, err := parseFrom(want.From); err != nil {
		return want, err
	}
	return want, completeGate(&want.Gate)
}

// strictJSON reads JSON without unknown members.
func strictJSON(raw []byte, dst any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(dst)
	if err == nil {
		if _, after := d.Token(); !errors.Is(after, io.EOF) {
			return invalid("", "there is more than one JSON value")
		}
		return nil
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return invalid(kind.Field, "it is %s, not %s", kind.Value, inJSON(kind.Type))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "there is no such setting")
	}
	return invalid("", "it is not JSON: %v", err)
}

// inJSON says what a type of a request's member is written as.
func inJSON(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return inJSON(t.Elem())
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float64:
		return "a number"
	default:
		return "an integer within its limits"
	}
}

// parseFrom reads where a replay begins.
func parseFrom(raw json.RawMessage) (sources.Move, error) {
	var move sources.Move
	var text string
	if len(raw) == 0 || string(raw) == "null" {
		return move, nil
	}
	if json.Unmarshal(raw, &text) == nil {
		if text != "earliest" {
			return move, invalid("from", `%.40q is not "earliest", {"timestamp": …} or {"offsets": […]}`, text)
		}
		return move, nil
	}
	if err := strictJSON(raw, &move); err != nil {
		var wrong *server.Error
		if errors.As(err, &wrong) {
			wrong.Path = strings.TrimSuffix("from."+wrong.Path, ".")
		}
		return move, err
	}
	switch {
	case (move.Timestamp == nil) == (move.Offsets == nil):
		return move, invalid("from", "needs either timestamp or offsets")
	case move.Timestamp != nil && *move.Timestamp < 0:
		return move, invalid("from.timestamp", "%d is not a time in milliseconds since 1970", *move.Timestamp)
	}
	for i, o := range move.Offsets {
		if o.Offset == nil {
			return move, invalid(fmt.Sprintf("from.offsets[%d].offset", i), "is needed")
		}
	}
	return move, nil
}

// startOf is the start, for partitions that come to be later, of sources that begin
// where parseFrom has found no fault.
func startOf(from json.RawMessage) string {
	if move, _ := parseFrom(from); move.Timestamp != nil {
		return fmt.Sprintf("timestamp:%d", *move.Timestamp)
	}
	return "earliest"
}

// beginnings returns where the sources of a replay begin in each partition, and how
// many records are gone from before that, if all were asked for.
func beginnings(ctx context.Context, feeding []*managed, want *sources.Replay) (positions []server.Position, gap int64, err error) {
	move, err := parseFrom(want.From)
	if err != nil {
		return nil, 0, err
	}
	used := make([]bool, len(move.Offsets))
	for _, g := range feeding {
		err := g.current().look(ctx, func(l *look) error {
			given := map[partition]int64{}
			for i, o := range move.Offsets {
				p := partition{o.Partition.Topic, o.Partition.Partition}
				b, ok := l.logs[p]
				_, twice := given[p]
				path := fmt.Sprintf("from.offsets[%d]", i)
				switch at := o.Offset.Offset; {
				case !ok:
					continue // another source may have it
				case twice:
					return invalid(path+".partition", "topic %.200q, partition %d is there twice", p.topic, p.number)
				case at < b.start || at > b.end:
					return invalid(path+".offset.kafka_offset", "%d is outside of the log, which goes from %d to %d", at, b.start, b.end)
				default:
					given[p], used[i] = at, true
				}
			}
			all, err := l.all(ctx, l.source.start)
			if err != nil {
				return err
			}
			for _, position := range all {
				p := partition{position.Stream.Topic, position.Stream.Partition}
				switch at, ok := given[p]; {
				case ok:
					position.Next = at
				case move.Timestamp == nil:
					gap += l.logs[p].start
				}
				positions = append(positions, position)
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	for i, ok := range used {
		if !ok {
			p := move.Offsets[i].Partition
			return nil, 0, invalid(fmt.Sprintf("from.offsets[%d].partition", i), "no source has a topic %.200q with a partition %d", p.Topic, p.Partition)
		}
	}
	return positions, gap, nil
}
