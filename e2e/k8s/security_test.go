package k8s

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// pods returns the pods that an object makes, by name. Those of Strimzi and of Flink's
// operator are put together of what their templates say about security.
func pods(t *testing.T, o object) map[string]*corev1.PodTemplateSpec {
	t.Helper()
	template := func(from any) *corev1.PodTemplateSpec {
		p := new(corev1.PodTemplateSpec)
		into(t, from, p)
		return p
	}
	strimzi := func(containers []string, path ...string) *corev1.PodTemplateSpec {
		p := new(corev1.PodTemplateSpec)
		into(t, at(o, append(path, "pod", "securityContext")...), &p.Spec.SecurityContext)
		for _, c := range containers {
			container := corev1.Container{Name: c}
			into(t, at(o, append(path, c, "securityContext")...), &container.SecurityContext)
			p.Spec.Containers = append(p.Spec.Containers, container)
		}
		return p
	}
	switch o.kind() {
	case "StatefulSet", "Deployment", "DaemonSet", "Job":
		return map[string]*corev1.PodTemplateSpec{o.name(): template(at(o, "spec", "template"))}
	case "KafkaNodePool":
		return map[string]*corev1.PodTemplateSpec{o.name(): strimzi([]string{"kafkaContainer"}, "spec", "template")}
	case "Kafka":
		return map[string]*corev1.PodTemplateSpec{
			o.name() + "-entity-operator": strimzi([]string{"topicOperatorContainer", "userOperatorContainer"}, "spec", "entityOperator", "template"),
		}
	case "FlinkDeployment":
		for _, part := range []string{"jobManager", "taskManager"} {
			spec, _ := at(o, "spec", part, "podTemplate", "spec").(map[string]any)
			for member := range spec {
				if member != "affinity" {
					t.Errorf("%s: %s has a template with %s: this test knows only the common one", o.name(), part, member)
				}
			}
		}
		return map[string]*corev1.PodTemplateSpec{o.name(): template(at(o, "spec", "podTemplate"))}
	case "Pod", "CronJob", "ReplicaSet":
		t.Errorf("%s: this test does not know its pods", o.name())
	}
	return nil
}

// TestPodSecurity has every pod judged by the rules that the API server applies.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	eachRendering(t, func(t *testing.T, render string) {
		for _, o := range objects(t, render) {
			for name, p := range pods(t, o) {
				for _, result := range evaluator.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec) {
					if !result.Allowed {
						t.Errorf("%s: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
					}
				}
			}
		}
	})
}

// TestFreshetsPod asserts what Pod Security does not ask for.
func TestFreshetsPod(t *testing.T) {
	for _, render := range []string{"freshet", "overlays/minimal", "overlays/production", "chart", "chart/strimzi", "chart/insecure"} {
		found := false
		for _, o := range objects(t, render) {
			if o.name() != "StatefulSet/freshet" {
				continue
			}
			found = true
			// Else a pod that is never ready, for its configuration, is not replaced by one with another.
			if text(o, "spec", "podManagementPolicy") != "Parallel" {
				t.Errorf("%s: a pod that does not become ready holds up its own update", render)
			}
			p := pods(t, o)[o.name()].Spec
			c := p.Containers[0]
			if root := c.SecurityContext.ReadOnlyRootFilesystem; root == nil || !*root {
				t.Errorf("%s: the root can be written to", render)
			}
			if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
				t.Errorf("%s: the pod has a token for the API server", render)
			}
			if len(c.Env) > 0 {
				t.Errorf("%s: %v: secrets come as files", render, c.Env)
			}
			if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
				t.Errorf("%s: a probe is missing", render)
			}
			if c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: memory has no limit", render)
			}
		}
		if !found {
			t.Errorf("%s has no StatefulSet freshet", render)
		}
	}
}

// TestTaintedNodes has everything that is to run beside the model tolerate the taint of its nodes.
func TestTaintedNodes(t *testing.T) {
	taint := corev1.Taint{Key: "workload", Value: "vector-ingestion", Effect: corev1.TaintEffectNoSchedule}
	checked := 0
	for _, o := range objects(t, "overlays/production") {
		for name, p := range pods(t, o) {
			if strings.HasPrefix(o.kind(), "Kafka") {
				continue
			}
			checked++
			if !slices.ContainsFunc(p.Spec.Tolerations, func(of corev1.Toleration) bool {
				return of.Key == taint.Key && of.Value == taint.Value && of.Effect == taint.Effect
			}) {
				t.Errorf("%s does not tolerate %s", name, taint.ToString())
			}
		}
	}
	if checked != 3 {
		t.Errorf("%d kinds of pods", checked)
	}
}

// TestFlinkRunsTheClass: it refuses a program whose class is not public.
func TestFlinkRunsTheClass(t *testing.T) {
	for _, o := range objects(t, "flink") {
		class := text(o, "spec", "job", "entryClass")
		if class == "" {
			continue
		}
		source, err := os.ReadFile("../examples/flink/" + class + ".java")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "\npublic class "+class+" {") {
			t.Errorf("%s is not public", class)
		}
		return
	}
	t.Error("no job names a class")
}

// TestSelectors checks that whatever selects pods selects one of the same rendering.
func TestSelectors(t *testing.T) {
	const render = "overlays/production"
	labels := []map[string]string{
		{"strimzi.io/cluster": "events", "strimzi.io/pool-name": "node"},              // of Strimzi's operator
		{"app": "vector-ingestion", "component": "taskmanager"},                       // of Flink's
		{"app.kubernetes.io/name": "flink-kubernetes-operator", "freshet-client": ""}, // others'
		{"freshet-client": "true"},
	}
	for _, o := range objects(t, render) {
		for _, p := range pods(t, o) {
			if len(p.Labels) > 0 {
				labels = append(labels, p.Labels)
			}
		}
	}
	checked := map[string]int{}
	for _, o := range objects(t, render) {
		for _, selector := range selectors(map[string]any(o)) {
			checked[o.kind()]++
			if !slices.ContainsFunc(labels, func(of map[string]string) bool {
				for k, v := range selector {
					if of[k] != v {
						return false
					}
				}
				return true
			}) {
				t.Errorf("%s: %v selects no pod", o.name(), selector)
			}
		}
	}
	for _, kind := range []string{"Service", "StatefulSet", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "FlinkDeployment"} {
		if checked[kind] == 0 {
			t.Errorf("no selector in any %s: found %v", kind, slices.Sorted(maps.Keys(checked)))
		}
	}
}

// selectors finds what selects pods: matchLabels beside no namespaces, and the selector of a
// Service.
func selectors(o map[string]any) []map[string]string {
	var list []map[string]string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				if k == "namespaceSelector" {
					continue
				}
				if m, ok := e.(map[string]any); ok && k == "matchLabels" {
					list = append(list, stringsOf(m))
				}
				walk(e)
			}
		}
	}
	switch o["kind"] {
	case "ServiceMonitor": // of services
	case "Service":
		if m, ok := at(o, "spec", "selector").(map[string]any); ok {
			list = append(list, stringsOf(m))
		}
	default:
		walk(o)
	}
	return list
}

func stringsOf(m map[string]any) map[string]string {
	out := map[string]string{}
	for k := range m {
		out[k] = text(m, k)
	}
	return out
}
