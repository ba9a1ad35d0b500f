package server

import (
	"bytes"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestServer(t *testing.T) {
	c := start(t)
	all := renderings(t, c)
	t.Run("takes", func(t *testing.T) { testTakes(t, c, all) })
	t.Run("takes pods", func(t *testing.T) { testPods(t, c, all) })
	t.Run("refuses", func(t *testing.T) { testRefuses(t, c, all) })
	t.Run("refuses pods", func(t *testing.T) { testRefusesPods(t, c, all) })
}

// judge applies objects without any effect, as kubectl by itself and as the server does it.
func (c *cluster) judge(objects []byte) error {
	for _, side := range []string{"--server-side=false", "--server-side=true"} {
		if _, err := c.do(objects, "-n", namespace, "apply", "--dry-run=server", "--validate=strict", side, "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

func testTakes(t *testing.T, c *cluster, all map[string][]byte) {
	for name, rendering := range all {
		if err := c.judge(rendering); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testPods has pods created: of what makes pods the server only warns, Pod Security refuses
// the pods themselves.
func testPods(t *testing.T, c *cluster, all map[string][]byte) {
	for name, rendering := range all {
		for _, o := range objects(t, rendering) {
			if p := pod(o); p != nil {
				if err := c.create(t, p); err != nil {
					t.Errorf("%s: %s: %v", name, o.name(), err)
				}
			}
		}
	}
}

func (c *cluster) create(t *testing.T, o object) error {
	t.Helper()
	raw, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.do(raw, "-n", namespace, "create", "--dry-run=server", "--validate=strict", "-f", "-")
	return err
}

// testRefuses makes mistakes, most of them such as no schema finds.
func testRefuses(t *testing.T, c *cluster, all map[string][]byte) {
	production := string(all["overlays/production"])
	for _, mistake := range []struct{ object, right, wrong, complaint string }{
		// Of the wrong type, and unknown.
		{"Deployment/embedding", "replicas: 1", "replicas: one", "replicas"},
		{"KafkaTopic/vector-embeddings", "partitions: 6", "partitions: six", "spec.partitions"},
		{"Service/freshet", "targetPort:", "targetPor:", `unknown field "spec.ports[0].targetPor"`},
		{"KafkaTopic/vector-embeddings", "partitions: 6", "partition: 6", `unknown field "spec.partition"`},
		// What custom resources' definitions have values and patterns for.
		{"FlinkDeployment/vector-ingestion", "v2_3", "v9_9", "spec.flinkVersion"},
		{"ServiceMonitor/freshet", "interval: 15s", "interval: soon", "interval"},
		// What only the server knows.
		{"StatefulSet/freshet", "mountPath: /data", "mountPath: /etc/freshet/keys", "must be unique"},
		{"StatefulSet/freshet", "selector:\n    matchLabels:\n", "selector:\n    matchLabels:\n      app: other\n", "does not match template"},
		{"StatefulSet/freshet", "allowPrivilegeEscalation: false", "privileged: true", "violate PodSecurity"},
	} {
		changed := ""
		for document := range strings.SplitSeq(production, "\n---\n") {
			if objects(t, []byte(document))[0].name() == mistake.object {
				changed = strings.Replace(document, mistake.right, mistake.wrong, 1)
				if changed == document {
					t.Errorf("%s has no %q", mistake.object, mistake.right)
				}
			}
		}
		if err := c.judge([]byte(changed)); err == nil || !strings.Contains(err.Error(), mistake.complaint) {
			t.Errorf("%s with %q: %v, want %q", mistake.object, mistake.wrong, err, mistake.complaint)
		}
	}
}

// testRefusesPods takes from a good pod what Pod Security asks for.
func testRefusesPods(t *testing.T, c *cluster, all map[string][]byte) {
	for _, mistake := range []struct{ right, wrong, complaint string }{
		{"allowPrivilegeEscalation: false", "privileged: true", "privileged"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation != false"},
		{"runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"},
		{"type: RuntimeDefault", "type: Unconfined", "seccompProfile"},
		{"- ALL", "- NET_RAW", "unrestricted capabilities"},
	} {
		for _, o := range objects(t, all["freshet"]) {
			p := pod(o)
			if p == nil {
				continue
			}
			raw, err := yaml.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(raw, []byte(mistake.right)) {
				t.Fatalf("the pod has no %q:\n%s", mistake.right, raw)
			}
			var wrong object
			if err := yaml.Unmarshal(bytes.ReplaceAll(raw, []byte(mistake.right), []byte(mistake.wrong)), &wrong); err != nil {
				t.Fatal(err)
			}
			err = c.create(t, wrong)
			if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") || !strings.Contains(err.Error(), mistake.complaint) {
				t.Errorf("%q: %v, want %q", mistake.wrong, err, mistake.complaint)
			}
		}
	}
}
