package server

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// renderings returns all that can be applied: each kustomization, and the chart with
// different values.
func renderings(t *testing.T, c *cluster) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	err := filepath.WalkDir(c.manifests, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || bytes.Contains(raw, []byte("\nkind: Component\n")) {
			return err
		}
		folder, err := filepath.Rel(c.manifests, filepath.Dir(path))
		if err != nil {
			return err
		}
		list[folder], err = c.do(nil, "kustomize", folder)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{
		"default": nil,
		"another": {
			"--set", "replicas=3,service.type=LoadBalancer,persistence.storageClass=fast,podDisruptionBudget.maxUnavailable=2",
			"--set", "priorityClassName=system-cluster-critical,nodeSelector.disk=nvme,keys.secret=,config.http.insecure=true",
			"--set", "env[0].name=FRESHET_LOG_LEVEL,env[0].value=debug,image.pullSecrets[0].name=registry",
			"--set", "tolerations[0].key=workload,tolerations[0].operator=Exists,podAnnotations.team=search",
			"--set", "extraVolumes[0].name=ca,extraVolumes[0].configMap.name=ca,extraVolumeMounts[0].name=ca,extraVolumeMounts[0].mountPath=/etc/ca",
		},
	}
	examples, err := filepath.Glob(filepath.Join(c.manifests, "chart", "examples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		values[filepath.Base(example)] = []string{"-f", filepath.Join("chart", "examples", filepath.Base(example))}
	}
	for name, args := range values {
		helm := exec.Command(c.helm, append([]string{"template", "freshet", "chart", "--namespace", namespace}, args...)...)
		helm.Dir = c.manifests
		if list["chart with "+name+" values"], err = output(helm); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// object is one object of a rendering.
type object map[string]any

func (o object) name() string { return text(o, "kind") + "/" + text(o, "metadata", "name") }

// member returns the one at the end of a path, nil if there is none.
func member(o map[string]any, path ...string) map[string]any {
	for _, p := range path {
		o, _ = o[p].(map[string]any)
	}
	return o
}

func text(o map[string]any, path ...string) string {
	s, _ := member(o, path[:len(path)-1]...)[path[len(path)-1]].(string)
	return s
}

func objects(t *testing.T, rendering []byte) []object {
	t.Helper()
	var list []object
	for document := range strings.SplitSeq(string(rendering), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if o != nil {
			list = append(list, o)
		}
	}
	return list
}

// pod returns one as the object's controller makes it, nil if it makes none. Those of
// Strimzi are not here: their operator puts them together.
func pod(o object) object {
	template := member(o, "spec", "template")
	volumes := func() []any { v, _ := member(template, "spec")["volumes"].([]any); return v }
	switch text(o, "kind") {
	case "Deployment":
	case "StatefulSet":
		claims, _ := member(o, "spec")["volumeClaimTemplates"].([]any)
		for _, claim := range claims {
			name := text(claim.(map[string]any), "metadata", "name")
			member(template, "spec")["volumes"] = append(volumes(), map[string]any{
				"name": name, "persistentVolumeClaim": map[string]any{"claimName": name},
			})
		}
	case "FlinkDeployment":
		template = member(o, "spec", "podTemplate")
		containers, _ := member(template, "spec")["containers"].([]any)
		for _, container := range containers {
			container.(map[string]any)["image"] = text(o, "spec", "image")
		}
	default:
		return nil
	}
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": text(o, "metadata", "name") + "-0", "labels": member(template, "metadata")["labels"]},
		"spec":     template["spec"],
	}
}
