package k8s

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var (
	cache   string                // .cache of the repository
	freshet string                // the binary
	tools   = map[string]string{} // paths of the programs of this module's go.mod
	renders = map[string][]byte{} // YAML by what it is the rendering of
)

// kustomizations are the folders that are applied, or may be, by themselves.
var kustomizations = []string{"freshet", "kafka", "flink", "inference", "overlays/minimal", "overlays/production"}

// charts are the values that the chart is rendered with.
var charts = map[string][]string{
	"chart":          nil,
	"chart/strimzi":  {"-f", "chart/examples/strimzi.yaml"},
	"chart/insecure": {"-f", "chart/examples/insecure.yaml"},
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if cache, err = filepath.Abs("../../.cache"); err != nil {
		return 0, err
	}
	for _, name := range []string{"helm", "kubeconform", "actionlint"} {
		path, err := output(exec.Command("go", "tool", "-n", name)) // builds it, if need be
		if err != nil {
			return 0, err
		}
		tools[name] = strings.TrimSpace(string(path))
	}
	if err := os.Chdir("../../k8s"); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "freshet-k8s-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	freshet = filepath.Join(dir, "freshet")
	build := exec.Command("go", "build", "-o", freshet, "./cmd/freshet")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build freshet: %w\n%s", err, out)
	}
	for _, folder := range kustomizations {
		if renders[folder], err = output(exec.Command(python("kubectl"), "kustomize", folder)); err != nil {
			return 0, err
		}
	}
	for name, values := range charts {
		if renders[name], err = helm(append([]string{"template", "freshet", "chart", "--namespace", "vectors"}, values...)...); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// python returns the path of a program of the environment that setup.sh made.
func python(program string) string { return filepath.Join(cache, "python-k8s", "bin", program) }

// tool runs a program of this module's go.mod.
func tool(name string, args ...string) *exec.Cmd {
	return exec.Command(tools[name], args...)
}

func helm(args ...string) ([]byte, error) { return output(tool("helm", args...)) }

// output runs a program and returns what it writes; what it complains of is in the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, complaints.Bytes())
	}
	return out, nil
}

// object is one object of a rendering.
type object map[string]any

func (o object) kind() string { return text(o, "kind") }
func (o object) name() string { return o.kind() + "/" + text(o, "metadata", "name") }

// at returns the member at the end of a path, nil if there is none.
func at(o map[string]any, path ...string) any {
	var v any = o
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(o map[string]any, path ...string) string {
	s, _ := at(o, path...).(string)
	return s
}

// objects returns what a rendering consists of.
func objects(t *testing.T, render string) []object {
	t.Helper()
	var list []object
	for _, document := range bytes.Split(renders[render], []byte("\n---\n")) {
		var o object
		if err := yaml.Unmarshal(document, &o); err != nil {
			t.Fatalf("%s: %v", render, err)
		}
		if o != nil {
			list = append(list, o)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no objects", render)
	}
	return list
}

// into converts what was read into a type of Kubernetes.
func into(t *testing.T, from, to any) {
	t.Helper()
	raw, err := yaml.Marshal(from)
	if err == nil {
		err = yaml.UnmarshalStrict(raw, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// eachRendering runs a test for each of them.
func eachRendering(t *testing.T, test func(t *testing.T, render string)) {
	for render := range renders {
		t.Run(render, func(t *testing.T) { test(t, render) })
	}
}
