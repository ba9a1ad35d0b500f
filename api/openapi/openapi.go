package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed *.yaml
var files embed.FS

// Document returns the description as JSON.
var Document = sync.OnceValues(func() ([]byte, error) {
	doc, err := assemble()
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
})

type object = map[string]any

// shared is the file that has what all operations share.
const shared = "document.yaml"

func assemble() (object, error) {
	doc, err := read(shared)
	if err != nil {
		return nil, err
	}
	components := member(doc, "components")
	schemas, paths := member(components, "schemas"), object{}
	tags := []any{}
	names, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, entry := range names {
		if entry.Name() == shared {
			continue
		}
		area, err := read(entry.Name())
		if err != nil {
			return nil, err
		}
		if err := merge(schemas, member(member(area, "components"), "schemas")); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		routes := member(area, "paths")
		for route, item := range routes {
			for method, op := range item.(object) {
				if err := expand(op.(object), route, area["tag"]); err != nil {
					return nil, fmt.Errorf("%s: %s %s: %w", entry.Name(), method, route, err)
				}
			}
		}
		for route, item := range routes {
			if paths[route] == nil {
				paths[route] = object{}
			}
			if err := merge(paths[route].(object), item.(object)); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", entry.Name(), route, err)
			}
		}
		if tag, ok := area["tag"]; ok {
			tags = append(tags, object{"name": tag})
		}
	}
	for _, response := range member(components, "responses") {
		r := response.(object)
		if r["$error"] != nil {
			delete(r, "$error")
			content := jsonContent(object{"$ref": "Error"})
			maps.Copy(content, member(r, "content"))
			r["content"] = content
		}
	}
	doc["paths"], doc["tags"] = paths, tags
	return full(doc).(object), nil
}

func read(name string) (object, error) {
	raw, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var doc object
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(name), err)
	}
	return doc, nil
}

// member returns a member that is an object, empty if it is not there.
func member(o object, name string) object {
	m, ok := o[name].(object)
	if !ok {
		return object{}
	}
	return m
}

func merge(dst, src object) error {
	for name, value := range src {
		if _, ok := dst[name]; ok {
			return fmt.Errorf("%s is in another file, too", name)
		}
		dst[name] = value
	}
	return nil
}

// usual are the errors that any operation with an envelope can have.
var usual = []int{400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 500, 503, 507}

// tableTypes are the media types of bodies that are tables.
var tableTypes = []string{"application/vnd.apache.arrow.stream", "application/x-npy"}

// expand replaces the abbreviations of an operation.
func expand(op object, route string, tag any) error {
	take := func(name string) any {
		value := op[name]
		delete(op, name)
		return value
	}
	op["operationId"], op["tags"] = take("id"), []any{tag}

	parameters, _ := op["parameters"].([]any)
	add := func(name string) { parameters = append(parameters, object{"$ref": "#/components/parameters/" + name}) }
	for _, part := range strings.Split(route, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			add(strings.TrimSuffix(name, "}"))
		}
	}
	query, _ := take("query").([]any)
	for _, name := range query {
		add(fmt.Sprint(name))
	}
	beside, tables := take("table").([]any)
	for _, name := range beside {
		add(fmt.Sprint(name))
	}
	reads := take("read") != nil
	if reads {
		for _, name := range []string{"consistency", "timeout", "minOffsets", "consistencyLevel", "maxStaleness"} {
			add(name)
		}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}

	if body := take("body"); body != nil {
		content := jsonContent(body)
		if tables {
			for _, media := range tableTypes {
				content[media] = object{"schema": object{"type": "string", "format": "binary"}}
			}
		}
		op["requestBody"] = object{"required": true, "content": content}
	}

	responses := object{}
	statuses, _ := take("errors").([]any)
	result, plain := take("result"), take("plain")
	switch {
	case plain != nil:
		responses["200"] = object{"description": "The answer.", "content": plain}
	case result != nil:
		ok := object{"description": "The result.", "content": jsonContent(envelope(result))}
		if reads {
			ok["headers"] = object{
				"X-Freshet-Offsets":      object{"$ref": "#/components/headers/Offsets"},
				"X-Freshet-Staleness-Ms": object{"$ref": "#/components/headers/Staleness"},
			}
		}
		responses["200"] = ok
	case len(statuses) == 0:
		return fmt.Errorf("neither result nor plain nor errors")
	}
	if take("accepted") != nil {
		responses["202"] = object{"description": "It goes on without the client.", "content": jsonContent(object{
			"type": "object", "required": []any{"status", "time"},
			"properties": object{"status": object{"const": "accepted"}, "time": object{"$ref": "Time"}},
		})}
	}
	if plain == nil {
		for _, status := range usual {
			statuses = append(statuses, status)
		}
	}
	for _, status := range statuses {
		code := fmt.Sprint(status)
		if _, err := strconv.Atoi(code); err != nil {
			return fmt.Errorf("errors: %s is not a status", code)
		}
		responses[code] = object{"$ref": "#/components/responses/" + code}
	}
	op["responses"] = responses
	return nil
}

func jsonContent(schema any) object {
	return object{"application/json": object{"schema": schema}}
}

func envelope(result any) object {
	return object{
		"type": "object", "required": []any{"result", "status", "time"},
		"properties": object{"result": result, "status": object{"const": "ok"}, "time": object{"$ref": "Time"}},
	}
}

// full returns the value with abbreviated references and properties written out.
func full(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = full(v[i])
		}
	case object:
		if ref, ok := v["$ref"].(string); ok && !strings.Contains(ref, "/") {
			v["$ref"] = "#/components/schemas/" + ref
		}
		for _, name := range slices.Collect(maps.Keys(v)) {
			v[name] = full(v[name])
		}
		if properties, ok := v["properties"].(object); ok {
			for _, name := range slices.Collect(maps.Keys(properties)) {
				if bare, ok := strings.CutSuffix(name, "?"); ok {
					properties[bare] = object{"anyOf": []any{properties[name], object{"type": "null"}}}
					delete(properties, name)
				}
			}
		}
	}
	return value
}
