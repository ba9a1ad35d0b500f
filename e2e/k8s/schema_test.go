package k8s

import (
	"bytes"
	"strings"
	"testing"
)

// conform compares objects with the schemas of their kinds. Members and kinds that no
// schema knows are errors.
func conform(manifests []byte) ([]byte, error) {
	cmd := tool("kubeconform", "-strict", "-summary",
		"-schema-location", "schemas/{{.ResourceKind}}{{.KindSuffix}}.json",
		"-schema-location", "schemas/{{.Group}}-{{.ResourceKind}}-{{.ResourceAPIVersion}}.json")
	cmd.Stdin = bytes.NewReader(manifests)
	return output(cmd)
}

func TestSchemas(t *testing.T) {
	var all [][]byte
	for _, manifests := range renders {
		all = append(all, manifests)
	}
	if _, err := conform(bytes.Join(all, []byte("\n---\n"))); err != nil {
		t.Error(err)
	}
}

// TestSchemasRefuse makes a mistake in every kind of object.
func TestSchemasRefuse(t *testing.T) {
	for kind, mistake := range map[string][2]string{
		"Namespace":           {"metadata:", "metadat:"},
		"ConfigMap":           {"data:", "dat:"},
		"Service":             {"targetPort", "targetPor"},
		"StatefulSet":         {"serviceName", "servicName"},
		"Deployment":          {"replicas: 1", "replicas: one"},
		"NetworkPolicy":       {"podSelector", "podSelecto"},
		"PodDisruptionBudget": {"maxUnavailable", "maxUnavailabl"},
		"Kafka":               {"entityOperator", "entityOperato"},
		"KafkaNodePool":       {"- broker", "- brokers"},
		"KafkaTopic":          {"partitions: 6", "partitions: six"},
		"KafkaUser":           {"- Read", "- read"},
		"FlinkDeployment":     {"v2_3", "v9_9"},
		"ServiceMonitor":      {"endpoints", "endpoint"},
		"PrometheusRule":      {"expr:", "exp:"},
	} {
		found := false
		for _, document := range strings.Split(string(renders["overlays/production"]), "\n---\n") {
			if found || !strings.Contains(document, "\nkind: "+kind+"\n") {
				continue
			}
			wrong := strings.Replace(document, mistake[0], mistake[1], 1)
			if wrong == document {
				continue // the next of the kind has it
			}
			found = true
			if _, err := conform([]byte(wrong)); err == nil {
				t.Errorf("%s: %q is taken", kind, mistake[1])
			}
		}
		if !found {
			t.Errorf("there is no %s with %q", kind, mistake[0])
		}
	}
}
