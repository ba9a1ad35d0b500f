package server

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const namespace = "vectors" // of k8s/namespace

// cluster is an API server with its etcd, and nothing else: no controllers, no nodes.
type cluster struct {
	kubectl    string
	helm       string
	kubeconfig string
	manifests  string // the folder k8s, where kubectl runs
}

// start starts one for a test.
func start(t *testing.T) *cluster {
	t.Helper()
	cache, err := filepath.Abs("../../../.cache")
	if err != nil {
		t.Fatal(err)
	}
	tool := exec.Command("go", "tool", "-n", "helm") // builds it, if need be
	tool.Dir = ".."
	helm, err := output(tool)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &cluster{
		kubectl:    filepath.Join(cache, "python-k8s", "bin", "kubectl"),
		helm:       strings.TrimSpace(string(helm)),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
		manifests:  "../../../k8s",
	}
	etcd, secure := "http://"+freeAddress(t), freeAddress(t)
	host, port, err := net.SplitHostPort(secure)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tokens"), []byte("secret,admin,admin,system:masters\n"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "accounts.pem")
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	write(t, c.kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://%s", certificate-authority: "%s"}}]
users: [{name: admin, user: {token: secret}}]
`, secure, filepath.Join(dir, "apiserver.crt")))

	peers := "http://" + freeAddress(t)
	run(t, filepath.Join(dir, "etcd.log"), filepath.Join(cache, "etcd", "usr", "bin", "etcd"),
		"--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	ended := run(t, filepath.Join(dir, "apiserver.log"), filepath.Join(cache, "kube-apiserver"),
		"--etcd-servers", etcd,
		"--bind-address", host, "--secure-port", port, "--cert-dir", dir,
		"--service-cluster-ip-range", "10.0.0.0/24",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--token-auth-file", filepath.Join(dir, "tokens"), "--authorization-mode", "RBAC",
		"--allow-privileged") // as clusters do: Pod Security is to refuse
	c.await(t, ended)
	c.prepare(t)
	return c
}

// await waits until the server is ready.
func (c *cluster) await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		_, err := c.do(nil, "get", "--raw", "/readyz")
		if err == nil {
			return
		}
		select {
		case <-ended:
			t.Fatal("the API server has ended")
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API server is not ready: %v", err)
		}
	}
}

// prepare makes what a manifest expects in a cluster: the custom resources' definitions, the
// namespace, and what controllers would make there.
func (c *cluster) prepare(t *testing.T) {
	t.Helper()
	for _, definition := range definitions(t, filepath.Join(c.manifests, "schemas")) {
		if _, err := c.do(definition, "create", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"},
		{"apply", "-k", "namespace"},
		{"-n", namespace, "create", "serviceaccount", "default"},
		{"-n", namespace, "create", "serviceaccount", "flink"}, // of the chart of Flink's operator
	} {
		if _, err := c.do(nil, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// do runs kubectl in the folder of the manifests. What the server warns of is an error.
func (c *cluster) do(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(c.kubectl, append([]string{"--kubeconfig", c.kubeconfig, "--warnings-as-errors"}, args...)...)
	cmd.Dir = c.manifests
	cmd.Stdin = bytes.NewReader(stdin)
	return output(cmd)
}

// output runs a program and returns what it writes; what it complains of is in the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, complaints.Bytes())
	}
	return out, nil
}

// run starts a program that is killed at the end of the test. If the test fails, the end of
// what it wrote is told.
func run(t *testing.T, log, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = file.Close()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), text[max(0, len(text)-4000):])
		}
	})
	return done
}

// freeAddress returns one of this machine that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
