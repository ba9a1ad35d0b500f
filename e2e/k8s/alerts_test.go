package k8s

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The alerts and the dashboard, and the tests of the alerts.
const (
	charted    = "chart/files"
	monitoring = "freshet/monitoring"
)

func promtool(args ...string) ([]byte, error) {
	return output(exec.Command(filepath.Join(cache, "prometheus", "usr", "bin", "promtool"), args...))
}

// alertRules returns the rules of the PrometheusRule.
func alertRules(t *testing.T) (spec any, alerts []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(charted, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := yaml.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	for _, group := range at(o, "spec", "groups").([]any) {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			alerts = append(alerts, text(rule.(map[string]any), "alert"))
		}
	}
	return o["spec"], alerts
}

func TestAlerts(t *testing.T) {
	spec, _ := alertRules(t)
	rules, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(monitoring, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"rules.yaml": rules, "tests.yaml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := promtool("check", "rules", filepath.Join(dir, "rules.yaml")); err != nil {
		t.Error(err)
	}
	if _, err := promtool("test", "rules", filepath.Join(dir, "tests.yaml")); err != nil {
		t.Error(err)
	}
}

// TestAlertsAreTestedAndExplained demands of each alert a test in which it fires, one in
// which it does not, and a line of the documentation.
func TestAlertsAreTestedAndExplained(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(monitoring, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert    string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Expected) > 0
			silent[c.Alert] = silent[c.Alert] || len(c.Expected) == 0
		}
	}
	explained, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, alerts := alertRules(t)
	for _, alert := range alerts {
		if !fires[alert] || !silent[alert] {
			t.Errorf("%s: fires in a test: %v, is silent in one: %v", alert, fires[alert], silent[alert])
		}
		if !strings.Contains(string(explained), "| `"+alert+"` |") {
			t.Errorf("docs/deploy.md does not say what to do about %s", alert)
		}
	}
}

// TestMetricsExist looks for each metric that an alert or the dashboard names in the
// documentation, which is compared with the code elsewhere.
func TestMetricsExist(t *testing.T) {
	documented, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	ofLibraries := regexp.MustCompile(`^(go|process)_`)
	for _, name := range []string{"alerts.yaml", "dashboard.json"} {
		raw, err := os.ReadFile(filepath.Join(charted, name))
		if err != nil {
			t.Fatal(err)
		}
		var file any
		if err := yaml.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, expr := range expressions(file) {
			for _, metric := range metricsIn(expr) {
				checked++
				if !ofLibraries.MatchString(metric) && !strings.Contains(string(documented), "`"+metric+"`") {
					t.Errorf("%s: %s is no documented metric", name, metric)
				}
			}
		}
		if checked < 10 {
			t.Errorf("%s names %d metrics", name, checked)
		}
	}
}

// expressions returns all members called expr.
func expressions(v any) (list []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			list = append(list, expressions(e)...)
		}
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && k == "expr" {
				list = append(list, s)
			}
			list = append(list, expressions(e)...)
		}
	}
	return list
}

var (
	inBraces = regexp.MustCompile(`\{[^}]*\}|\b(by|on|without|group_left|group_right)\s*\([^)]*\)`)
	metric   = regexp.MustCompile(`[a-z]+(_[a-z0-9]+)+`)
	suffix   = regexp.MustCompile(`_(bucket|sum|count)$`)
	function = regexp.MustCompile(`^(histogram_quantile|avg_over_time|group_left|group_right)$`)
)

// metricsIn returns the metrics of an expression: names with an underscore that are not in
// braces or lists of labels, histograms by their names.
func metricsIn(expr string) (list []string) {
	for _, name := range metric.FindAllString(inBraces.ReplaceAllString(expr, ""), -1) {
		if name = suffix.ReplaceAllString(name, ""); !function.MatchString(name) && name != "rate_interval" {
			list = append(list, name)
		}
	}
	return list
}
