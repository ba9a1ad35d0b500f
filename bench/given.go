package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	filters "freshet/server/filter"
)

// Filters may come with the data, so that no filter of ours judges itself: a folder holds
// the rows' payloads in payload.jsonl.zst, a line each, the filters in filters.json, and in
// gt_filter_NAME_ids.npy the rows that are nearest to each query of those that match.

// givenFilter is a filter of filters.json.
type givenFilter struct {
	Matches int             `json:"matching_points"`
	Filter  json.RawMessage `json:"qdrant_filter"`
}

// readFilters returns the filters in the folder, by name, and adds the members they are on.
func readFilters(folder string, base, queries *matrix, members payloads) (all []filtered, err error) {
	text, err := os.ReadFile(filepath.Join(folder, "filters.json"))
	if err != nil {
		return nil, err
	}
	var given map[string]givenFilter
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("filters.json: %w", err)
	}
	rows, err := readPayloads(filepath.Join(folder, "payload.jsonl.zst"), base.rows)
	if err != nil {
		return nil, err
	}
	for name, g := range given {
		f := filtered{name: name, matches: g.Matches, filter: &filters.Filter{}}
		if err := json.Unmarshal(g.Filter, f.filter); err != nil {
			return nil, fmt.Errorf("filters.json: %s: %w", name, err)
		}
		var conditions any
		if err := json.Unmarshal(g.Filter, &conditions); err != nil {
			return nil, fmt.Errorf("filters.json: %s: %w", name, err)
		}
		for _, key := range keysIn(conditions) {
			if members[key], err = memberOf(rows, key); err != nil {
				return nil, fmt.Errorf("filters.json: %s: %w", name, err)
			}
		}
		path := filepath.Join(folder, "gt_filter_"+name+"_ids.npy")
		nearest, err := readNPY(path)
		if err != nil {
			return nil, err
		}
		wanted := min(k, f.matches)
		if nearest.rows < queries.rows || nearest.dim < wanted || wanted == 0 {
			return nil, fmt.Errorf("%s: %d rows of %d, for %d queries and %d matches", path, nearest.rows, nearest.dim, queries.rows, f.matches)
		}
		for q := range queries.rows {
			row := int(nearest.row(q)[wanted-1])
			if row < 0 || row >= base.rows {
				return nil, fmt.Errorf("%s: row %d of %d", path, row, base.rows)
			}
			f.kth = append(f.kth, float32(dot(queries.row(q), base.row(row))))
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b filtered) int { return a.matches - b.matches })
	return all, nil
}

// readPayloads reads a JSON object from each of so many lines.
func readPayloads(path string, rows int) (all []map[string]json.RawMessage, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		var payload map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &payload); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(all)+1, err)
		}
		all = append(all, payload)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(all) != rows {
		return nil, fmt.Errorf("%s: %d lines for %d vectors", path, len(all), rows)
	}
	return all, nil
}

// keysIn returns the payload keys that conditions name.
func keysIn(conditions any) (keys []string) {
	switch c := conditions.(type) {
	case []any:
		for _, each := range c {
			keys = append(keys, keysIn(each)...)
		}
	case map[string]any:
		if key, ok := c["key"].(string); ok {
			return []string{key}
		}
		for _, each := range c {
			keys = append(keys, keysIn(each)...)
		}
	}
	return keys
}

// memberOf returns the rows' values of a member. The first of them says what index they get.
func memberOf(rows []map[string]json.RawMessage, key string) (m member, err error) {
	for _, row := range rows {
		value := row[key]
		m.values = append(m.values, value)
		if m.schema != "" || len(value) == 0 {
			continue
		}
		switch first := value[0]; {
		case first == '"':
			m.schema = "keyword"
		case first == 't' || first == 'f':
			m.schema = "bool"
		case first == '-' || first >= '0' && first <= '9':
			m.schema = "integer"
		default:
			return member{}, fmt.Errorf("%s: %s: want a string, a bool or an integer", key, value)
		}
	}
	if m.schema == "" {
		return member{}, fmt.Errorf("no payload has %s", key)
	}
	return m, nil
}
