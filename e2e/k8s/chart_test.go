package k8s

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestChartLint(t *testing.T) {
	for name, values := range charts {
		if _, err := helm(append([]string{"lint", "--strict", "chart"}, values...)...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChartRefuses gives values that the chart does not have.
func TestChartRefuses(t *testing.T) {
	for _, value := range []string{"replica=2", "image.name=x", "persistence.accessModes={ReadWriteMany}", "keys.apiKey=x", "service.type=Fast"} {
		if _, err := helm("template", "freshet", "chart", "--set", value); err == nil {
			t.Errorf("%s is taken", value)
		}
	}
}

// TestChartWithTLS gives the port certificates: the kubelet and Prometheus have to ask by TLS.
func TestChartWithTLS(t *testing.T) {
	for scheme, values := range map[string][]string{
		"HTTP":  nil,
		"HTTPS": {"--set", "config.http.tls.cert=/etc/tls/tls.crt,config.http.tls.key=/etc/tls/tls.key,serviceMonitor.tlsConfig.serverName=freshet"},
	} {
		out, err := helm(append([]string{"template", "freshet", "chart", "--set", "serviceMonitor.enabled=true"}, values...)...)
		if err != nil {
			t.Fatal(err)
		}
		for want, n := range map[string]int{"port: http, scheme: " + scheme + "}": 3, "scheme: " + strings.ToLower(scheme) + "\n": 1} {
			if got := strings.Count(string(out), want); got != n {
				t.Errorf("%s: %d times %q, not %d", scheme, got, want, n)
			}
		}
		if got := strings.Contains(string(out), "serverName: freshet"); got != (scheme == "HTTPS") {
			t.Errorf("%s: a server's name: %v", scheme, got)
		}
	}
}

// TestChartLabelsWhatIsWatched: a Prometheus may take only what has a label of its own.
func TestChartLabelsWhatIsWatched(t *testing.T) {
	out, err := helm("template", "freshet", "chart", "--show-only", "templates/monitoring.yaml",
		"--set", "serviceMonitor.enabled=true,serviceMonitor.labels.release=prometheus,alerts.enabled=true,alerts.labels.release=prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if o != nil && text(o, "metadata", "labels", "release") != "prometheus" {
			t.Errorf("%s: %v", o.name(), at(o, "metadata", "labels"))
		}
	}
}

// TestChartIsTheBase compares the two ways to deploy: with the values of
// chart/examples/strimzi.yaml the chart makes what k8s/freshet is with its monitoring.
func TestChartIsTheBase(t *testing.T) {
	ofBase := map[string]string{}
	ofProduction := comparable(t, "overlays/production")
	for name, o := range comparable(t, "freshet") {
		ofBase[name] = o
	}
	for _, name := range []string{"ServiceMonitor/freshet", "PrometheusRule/freshet", "ConfigMap/freshet-dashboard"} {
		ofBase[name] = ofProduction[name]
	}
	ofChart := comparable(t, "chart/strimzi")
	if a, b := slices.Sorted(maps.Keys(ofBase)), slices.Sorted(maps.Keys(ofChart)); !reflect.DeepEqual(a, b) {
		t.Errorf("the base has\n%v, the chart\n%v", a, b)
	}
	for name, o := range ofBase {
		if diff := cmp.Diff(strings.Split(o, "\n"), strings.Split(ofChart[name], "\n")); diff != "" {
			t.Errorf("%s (-base +chart)\n%s", name, diff)
		}
	}
}

var hashed = regexp.MustCompile(`^(freshet-config)-[a-z0-9]{10}$`)

// comparable returns a rendering's objects as YAML, without what only one of the ways has:
// Helm's labels and checksum, a Service's default type, an image's default policy, the default
// scheme, and the hash in the configuration's name.
func comparable(t *testing.T, render string) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, o := range objects(t, render) {
		var walk func(v any) any
		walk = func(v any) any {
			switch v := v.(type) {
			case []any:
				for i := range v {
					v[i] = walk(v[i])
				}
			case map[string]any:
				for _, k := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "checksum/config", "imagePullPolicy"} {
					delete(v, k)
				}
				if o.kind() == "Service" && v["type"] == "ClusterIP" {
					delete(v, "type")
				}
				if scheme, _ := v["scheme"].(string); strings.EqualFold(scheme, "http") {
					delete(v, "scheme")
				}
				for k := range v {
					v[k] = walk(v[k])
					if m, ok := v[k].(map[string]any); ok && len(m) == 0 && k == "annotations" {
						delete(v, k)
					}
				}
			case string:
				return hashed.ReplaceAllString(v, "$1")
			}
			return v
		}
		walk(map[string]any(o))
		if config := text(o, "data", "freshet.yaml"); config != "" {
			var parsed any
			if err := yaml.Unmarshal([]byte(config), &parsed); err != nil {
				t.Fatal(err)
			}
			o["data"] = map[string]any{"freshet.yaml": parsed}
		}
		data, _ := o["data"].(map[string]any)
		for k := range data {
			if s, ok := data[k].(string); ok {
				data[k] = strings.TrimSpace(s)
			}
		}
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		list[o.name()] = string(raw)
	}
	return list
}

// TestConfigurationRestarts checks that the pod's template changes with the configuration.
func TestConfigurationRestarts(t *testing.T) {
	checksum := func(values ...string) string {
		out, err := helm(append([]string{"template", "freshet", "chart", "--show-only", "templates/statefulset.yaml"}, values...)...)
		if err != nil {
			t.Fatal(err)
		}
		var o object
		if err := yaml.Unmarshal(out, &o); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(at(o, "spec", "template", "metadata", "annotations"))
	}
	if one, other := checksum(), checksum("--set", "config.log.level=debug"); one == other {
		t.Errorf("another configuration leaves the template as it is: %s", one)
	}
	for _, render := range kustomizations {
		for _, o := range objects(t, render) {
			if text(o, "data", "freshet.yaml") != "" && !hashed.MatchString(text(o, "metadata", "name")) {
				t.Errorf("%s: %s has no hash", render, o.name())
			}
		}
	}
}
