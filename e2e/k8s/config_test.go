package k8s

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfiguration has the binary check freshet.yaml of each rendering, with files in the
// place of what the pod mounts.
func TestConfiguration(t *testing.T) {
	checked := 0
	for render := range renders {
		for _, o := range objects(t, render) {
			config := text(o, "data", "freshet.yaml")
			if config == "" {
				continue
			}
			checked++
			path := mounted(t, config)
			if out, err := exec.Command(freshet, "config", "--config", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", render, err, out)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(config, "data:", "dataa:", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(freshet, "config", "--config", path).CombinedOutput(); err == nil {
				t.Errorf("%s: an unknown key is taken: %s", render, out)
			}
		}
	}
	if checked < 6 {
		t.Errorf("%d configurations", checked)
	}
}

// mounted writes the configuration into a folder that stands for the pod's root, and
// returns its path.
func mounted(t *testing.T, config string) string {
	t.Helper()
	root := t.TempDir()
	server := httptest.NewTLSServer(nil) // has a certificate
	defer server.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, content := range map[string]string{
		"/etc/freshet/keys/api-key":           "everything\n",
		"/etc/freshet/keys/read-only-api-key": "reading\n",
		"/etc/strimzi/ca/ca.crt":              certificate,
		"/etc/strimzi/user/password":          "sesame",
		"/etc/strimzi/user/sasl.jaas.config":  `org.apache.kafka.common.security.scram.ScramLoginModule required username="freshet" password="sesame";`,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, "freshet.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "/etc/", root+"/etc/")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
