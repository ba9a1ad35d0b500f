package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSourcesCommand checks which requests the commands send.
func TestSourcesCommand(t *testing.T) {
	t.Setenv("FRESHET_API_KEY", "")
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
		answer := `{"result":{"a":1},"status":"ok","time":0}`
		if r.Header.Get("api-key") != "k" {
			w.WriteHeader(http.StatusForbidden)
			answer = `{"status":{"error":"Forbidden: no"},"time":0}`
		}
		if _, err := io.WriteString(w, answer); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(file, []byte("name: s\ntopics: [t]\nbatch: {max: 5}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := command()
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(append([]string{"sources"}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	const description = `{"batch":{"max":5},"name":"s","topics":["t"]}`
	const one = "/collections/c/sources/s%20x"
	for _, test := range []struct{ args, want string }{
		{"list", "GET /collections/c/sources"},
		{"create FILE", "POST /collections/c/sources " + description},
		{"validate FILE", "POST /collections/c/sources:validate?limit=10 " + description},
		{"get SOURCE", "GET " + one},
		{"put SOURCE FILE", "PUT " + one + " " + description},
		{"patch SOURCE FILE", "PATCH " + one + " " + description},
		{"delete SOURCE", "DELETE " + one},
		{"status SOURCE", "GET " + one + "/status"},
		{"pause SOURCE", "PUT " + one + "/pause"},
		{"resume SOURCE", "PUT " + one + "/resume"},
		{"stop SOURCE", "PUT " + one + "/stop"},
		{"offsets SOURCE", "GET " + one + "/offsets"},
		{"reset SOURCE", "DELETE " + one + "/offsets"},
		{"move SOURCE --timestamp 7", "PATCH " + one + `/offsets {"offsets":null,"timestamp":7}`},
		{"move SOURCE t:1:5", "PATCH " + one + `/offsets {"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":1},"offset":{"kafka_offset":5}}],"timestamp":null}`},
		{"skip SOURCE 1 5", "POST " + one + `/skip {"topic":"","partition":1,"offset":5}`},
		{"wait SOURCE", "POST " + one + `/wait {"offsets":null,"timeout":60}`},
		{"dlq SOURCE --reason no_id", "GET " + one + "/dlq?limit=20&reason=no_id"},
		{"replay FILE", "POST /collections/c/replay " + description},
		{"replays", "GET /collections/c/replay"},
		{"replays SOURCE", "GET /collections/c/replay/s%20x"},
		{"cancel-replay SOURCE", "DELETE /collections/c/replay/s%20x"},
		{"redrive SOURCE --dry-run", "POST " + one + `/dlq/redrive {"filter":{"reason":"","topic":"","partition":null,"offset":null},"dry_run":true}`},
	} {
		args := strings.Fields(test.args)
		for i := range args {
			args[i] = strings.NewReplacer("SOURCE", "s x", "FILE", file).Replace(args[i])
		}
		args = append(args, "--url", server.URL, "--collection", "c", "--api-key", "k", "--json")
		if out, err := run(args...); err != nil || got != test.want || out != "{\n  \"a\": 1\n}\n" {
			t.Errorf("%s: %v %s\n%s, want\n%s", test.args, err, out, got, test.want)
		}
	}
	if _, err := run("list", "--url", server.URL, "--collection", "c"); err == nil || err.Error() != "Forbidden: no" || exitCode(err) != 2 {
		t.Errorf("without a key: %v", err)
	}
	t.Setenv("FRESHET_API_KEY", "k")
	for content, want := range map[string]string{
		"kafka: {}\nsources:\n  - name: s\n    topics: [t]\n":              `POST /collections/c/sources {"name":"s","topics":["t"]}`,
		"sources: [{name: s}, {name: t}]":                                  "sources: there are 2, and not one",
		"name: s\ntopics: [t]\n# of a configuration, sources are a list\n": `POST /collections/c/sources {"name":"s","topics":["t"]}`,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run("create", file, "--url", server.URL, "--collection", "c", "--json"); (err != nil || got != want) && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %s, %v", content, got, err)
		}
	}
	if out, err := run("list", "--url", server.URL, "--json"); err != nil || got != "GET /sources" {
		t.Errorf("with the key of the environment, of all collections: %s %v %s", got, err, out)
	}
	for _, args := range []string{"get s", "move s t:x:1 --collection c", "skip s a 1 --collection c", "create none.yaml --collection c", "list --nonsense"} {
		if _, err := run(strings.Fields(args)...); err == nil || exitCode(err) != 2 {
			t.Errorf("%s: %v", args, err)
		}
	}
}
