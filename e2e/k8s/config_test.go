package k8s

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
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

// TestRights has Kafka's user allowed what the configuration needs: sources read their
// topics; dead letters are written, and read to be shown and tried again.
func TestRights(t *testing.T) {
	allowed := map[string][]string{}
	var config struct {
		Sources []struct {
			Topics  []string
			Letters string `json:"errors.deadletterqueue.topic.name"`
		}
	}
	for _, o := range objects(t, "overlays/production") {
		if err := yaml.Unmarshal([]byte(text(o, "data", "freshet.yaml")), &config); err != nil {
			t.Fatal(err)
		}
		if o.name() != "KafkaUser/freshet" {
			continue
		}
		for _, acl := range at(o, "spec", "authorization", "acls").([]any) {
			acl := acl.(map[string]any)
			var operations []string
			into(t, acl["operations"], &operations)
			allowed[text(acl, "resource", "name")] = operations
		}
	}
	demand := func(topic string, operations ...string) {
		for _, operation := range operations {
			if !slices.Contains(allowed[topic], operation) {
				t.Errorf("%s of %q is not allowed", operation, topic)
			}
		}
	}
	if len(config.Sources) == 0 {
		t.Fatal("there is no source")
	}
	for _, source := range config.Sources {
		for _, topic := range source.Topics {
			demand(topic, "Read", "Describe")
		}
		demand(source.Letters, "Read", "Write", "Describe")
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
