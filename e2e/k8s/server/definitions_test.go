package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// definitions makes the custom resources' definitions of the schemas by which kubeconform
// judges: files named group-kind-version, whose group has a dot.
func definitions(t *testing.T, schemas string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(schemas, "*.*-*-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		parts := strings.Split(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		group, singular, version := parts[0], parts[1], parts[2]
		plural := singular + "s"
		kind, known := kinds[singular]
		if !known {
			t.Fatalf("%s: no kind is known for it", file)
		}
		definition, err := json.Marshal(map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": plural + "." + group},
			"spec": map[string]any{
				"group": group, "scope": "Namespaced",
				"names": map[string]any{"kind": kind, "plural": plural, "singular": singular},
				"versions": []any{map[string]any{
					"name": version, "served": true, "storage": true,
					"schema": map[string]any{"openAPIV3Schema": structural(schema)},
				}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, definition)
	}
	if len(list) != len(kinds) {
		t.Fatalf("%d definitions, want those of %v", len(list), kinds)
	}
	return list
}

// kinds has the spelling of each, which the files' names lack.
var kinds = map[string]string{
	"flinkdeployment": "FlinkDeployment",
	"kafka":           "Kafka",
	"kafkanodepool":   "KafkaNodePool",
	"kafkatopic":      "KafkaTopic",
	"kafkauser":       "KafkaUser",
	"prometheusrule":  "PrometheusRule",
	"servicemonitor":  "ServiceMonitor",
}

// structural takes back what made a definition's schema strict: the server itself refuses
// members that it does not name.
func structural(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = structural(v[i])
		}
	case map[string]any:
		if closed, ok := v["additionalProperties"].(bool); ok && !closed {
			delete(v, "additionalProperties")
		}
		for k := range v {
			v[k] = structural(v[k])
		}
	}
	return v
}
