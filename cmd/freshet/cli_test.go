package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// run executes a command line and returns what it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := command()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

// runWith is run with something on the standard input.
func runWith(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = f
	defer func() {
		os.Stdin = before
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	return run(t, args...)
}

// TestExitCodes checks what a script can tell failures apart by.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, wrong := write("good.yaml", "data: x\n"), write("wrong.yaml", "log:\n  level: loud\n")
	read := write("read.yaml", `kafka: {bootstrap.servers: "127.0.0.1:1"}
sources:
  - {name: articles, collection: one, topics: [a, b], format: json}
  - {name: articles, collection: two, topics.regex: "c.*", format: json}
  - {name: single, topics: [d], format: json}
`)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	answering := func(status int, text string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if _, err := fmt.Fprintf(w, `{"status":{"error":%q},"time":0}`, text); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	refuses, busy := answering(http.StatusNotFound, "no such thing"), answering(http.StatusServiceUnavailable, "later")
	locked := answering(http.StatusUnauthorized, "who are you")
	for _, x := range []struct {
		args []string
		code int
		text string
	}{
		{nil, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"config", "--config", good}, 0, ""},
		{[]string{"srve"}, 2, `there is no command "srve"; did you mean serve?`},
		{[]string{"serve", "--lisen", "x"}, 2, "unknown flag: --lisen; did you mean --listen?"},
		{[]string{"serve", "now"}, 2, "takes no argument"},
		{[]string{"config", "print", "now"}, 2, "takes no argument"},
		{[]string{"config", "--config", wrong}, 2, wrong + `:2: log.level: "loud" is not`},
		{[]string{"config", "--config", filepath.Join(dir, "none")}, 2, "read the configuration"},
		{[]string{"serve", "--data", filepath.Join(dir, "data"), "--listen", taken.Addr().String()}, 1, "in use by another process"},
		{[]string{"health", "--url", away.URL}, 1, "refused"},
		{[]string{"health", "--url", "http://a b"}, 2, "--url"},
		{[]string{"sources", "list", "--url", "localhost:6333"}, 2, "--url localhost:6333: no address of a server"},
		{[]string{"completion", "bahs"}, 2, `"bahs" is not bash, zsh, fish, powershell; did you mean bash?`},
		{[]string{"completion"}, 2, "freshet completion bash|zsh|fish|powershell"},
		{[]string{"help", "srve"}, 2, `there is no command "srve"; did you mean serve?`},
		{[]string{"help", "sources", "lst"}, 2, `there is no command "sources lst"; did you mean list?`},
		{[]string{"help", "sources", "list"}, 0, ""},
		{[]string{"help"}, 0, ""},
		{[]string{"demo", "--rate", "0"}, 2, "--rate 0 is not between"},
		{[]string{"bench", "--brokers", "x:1", "--records", "5"}, 2, "--records is for a topic that is there"},
		{[]string{"bench", "--brokers", "x:1", "--source-format", "auto", "--rates", "5"}, 2, "--rates is for topics that are made"},
		{[]string{"bench", "--brokers", "x:1", "--source-format", "aut"}, 2, `--source-format: "aut" is not one of`},
		{[]string{"bench", "--brokers", "x:1", "--source", "a"}, 2, `--source: the configuration has no source "a"`},
		{[]string{"bench", "--config", read, "--source", "article"}, 2, "did you mean articles?"},
		{[]string{"bench", "--config", read, "--source", "articles"}, 2, "2 collections have a source"},
		{[]string{"bench", "--config", read, "--source", "one/articles"}, 2, `more than one topic; --topic says which`},
		{[]string{"bench", "--config", read, "--source", "one/articles", "--topic", "c"}, 2, `"c" is not among the topics of source "one/articles", a, b`},
		{[]string{"bench", "--config", read, "--source", "two/articles", "--topic", "mine.c"}, 2, `"mine.c" is not among the topics of source "two/articles", c.*`},
		{[]string{"bench", "--config", read, "--source", "two/articles", "--topic", "c"}, 1, "the brokers 127.0.0.1:1 cannot be reached"},
		{[]string{"bench", "--config", read, "--source", "single"}, 1, "the brokers 127.0.0.1:1 cannot be reached"},
		{[]string{"bench", "--config", read, "--source", "single", "--source-id", "key"}, 2, "--source-id is what the source says"},
		{[]string{"bench", "--config", read, "--source", "single", "--rates", "5"}, 2, "--rates is for topics that are made"},
		{[]string{"bench", "--brokers", "x:1", "--duration", "0s"}, 2, "--duration 0s is not between"},
		{[]string{"import"}, 2, "import needs --collection"},
		{[]string{"import", "a", "b"}, 2, "freshet import [FILE]"},
		{[]string{"import", "x.npy", "--collection", "c", "--distance", "cosine"}, 2, `--distance "cosine" is not Cosine, Dot, Euclid or Manhattan; did you mean Cosine?`},
		{[]string{"import", "x.npy", "--collection", "c", "--append"}, 2, "--append is for --from-qdrant"},
		{[]string{"import", "--from-qdrant", away.URL, "--collection", "c", "--distance", "Dot"}, 2, "--distance is for a file"},
		{[]string{"import", "--from-qdrant", "nonsense", "--collection", "c"}, 2, "nonsense: no address of a server"},
		{[]string{"export", "x.jsonl", "--collection", "c", "--url", away.URL, "--batch", "-1"}, 2, "batch"},
		{[]string{"sources", "get", "s"}, 2, "sources needs --collection"},
		{[]string{"sources", "lst"}, 2, `there is no command "sources lst"; did you mean list?`},
		{[]string{"snapshot", "creat"}, 2, `there is no command "snapshot creat"; did you mean create?`},
		{[]string{"config", "prin"}, 2, `there is no command "config prin"; did you mean print?`},
		{[]string{"sources", "list", "--url", refuses.URL}, 2, "no such thing"},
		{[]string{"sources", "list", "--url", busy.URL}, 1, "later"},
		{[]string{"snapshot", "download", "x", dir, "--url", away.URL}, 2, "is there and is no file"},
		{[]string{"snapshot", "upload", dir, "--collection", "c", "--url", away.URL}, 2, "is a folder"},
		{[]string{"snapshot", "list", "--url", refuses.URL}, 2, "no such thing"},
		{[]string{"snapshot", "list", "--url", locked.URL}, 2, "who are you (FRESHET_API_KEY or --api-key gives one)"},
		{[]string{"sources", "list", "--collection", "c", "--url", away.URL}, 1, "refused"},
	} {
		_, err := run(t, x.args...)
		code := 0
		if err != nil {
			code = exitCode(err)
		}
		if code != x.code || err != nil && !strings.Contains(err.Error(), x.text) {
			t.Errorf("%q: code %d, want %d: %v", x.args, code, x.code, err)
		}
	}
}

// TestHelpTeaches checks that each command has examples that it understands, and that
// each whose result is of use to a program prints JSON.
func TestHelpTeaches(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Name() == "help" {
			return // cobra's
		}
		if c.Short == "" {
			t.Errorf("%s has no description", path)
		}
		if c.Example == "" {
			t.Errorf("%s has no example", path)
		}
		if c.Flag("json") == nil && path != "freshet serve" && path != "freshet completion" && len(c.Commands()) == 0 {
			t.Errorf("%s has no --json", path)
		}
		for _, line := range strings.Split(c.Example, "\n") {
			line, _, _ = strings.Cut(line, "#")
			_, line, found := strings.Cut(line, "freshet ")
			if !found {
				continue
			}
			line, _, _ = strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ")"), "|")
			root := command()
			root.InitDefaultCompletionCmd()
			target, rest, err := root.Find(strings.Fields(line))
			if err == nil {
				err = target.ParseFlags(rest)
			}
			if err != nil || target == root {
				t.Errorf("the example of %s is not understood: %q: %v", path, line, err)
			}
		}
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(command())
}

func TestCompletion(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"ser"}, "serve\t"},
		{[]string{"serve", "--log-format", ""}, "json\n"},
		{[]string{"serve", "--log-level", "w"}, "warn\n"},
		{[]string{"import", "--distance", ""}, "Cosine\n"},
		{[]string{"import", ""}, "parquet\n"},
		{[]string{"config", "p"}, "print\t"},
		{[]string{"bench", "--source-format", "av"}, "avro\n"},
		{[]string{"bench", "--report", ""}, "html\n"},
	} {
		if out, err := run(t, append([]string{cobra.ShellCompRequestCmd}, x.args...)...); err != nil || !strings.Contains(out, x.want) {
			t.Errorf("%q: %v\n%s", x.args, err, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, err := run(t, "completion", shell); err != nil || !strings.Contains(out, "freshet") {
			t.Errorf("%s: %v %d bytes", shell, err, len(out))
		}
	}
}

func TestResultsAsJSON(t *testing.T) {
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ready.Close()
	for _, x := range []struct {
		args   []string
		member string
		fails  bool
	}{
		{[]string{"version", "--json"}, "commit", false},
		{[]string{"config", "--json"}, "kafka", false},
		{[]string{"health", "--json", "--url", ready.URL}, "ready", false},
		{[]string{"health", "--json", "--url", ready.URL + "/"}, "ready", false},
		{[]string{"health", "--json", "--url", "http://127.0.0.1:1"}, "error", true},
		{[]string{"demo", "--json", "--rate", "10000"}, "recall", false},
	} {
		out, err := run(t, x.args...)
		var answer map[string]any
		if errJSON := json.Unmarshal([]byte(out), &answer); errJSON != nil || answer[x.member] == nil || (err != nil) != x.fails {
			t.Errorf("%q: %v, %v\n%s", x.args, err, errJSON, out)
		}
	}
}

// TestOrigins checks that each value is printed with where it comes from.
func TestOrigins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "freshet.yaml")
	file := `http: {listen: "127.0.0.1:7000"}
kafka:
  bootstrap.servers: a:9092
sources:
  - name: docs
    topics: [a, b]
    batch: &batch {max: 100}
  - name: more
    topics: [c]
    batch: *batch
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FRESHET_API_KEY", "secret")
	t.Setenv("FRESHET_TITLE", "mine")
	args := []string{"config", "print", "--config", path, "--log-level", "warn"}
	raw, err := run(t, append(args, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	var list []setting
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range list {
		got[s.Key] = strings.Replace(s.Origin, path, "file", 1)
	}
	for key, want := range map[string]string{
		"http.listen": "file:1", "kafka.bootstrap.servers": "file:3", "sources[0].name": "file:5", "sources[0].topics[1]": "file:6",
		"sources[0].batch.max": "file:7", "sources[0].batch.min": "default", "sources[1].batch.max": "file:7", "sources[1].name": "file:8",
		"http.title": "FRESHET_TITLE", "log.level": "--log-level", "log.format": "default", "data": "default",
	} {
		if got[key] != want {
			t.Errorf("%s comes from %q, want %q", key, got[key], want)
		}
	}
	text, err := run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(raw+text, "secret") {
		t.Errorf("a key is printed:\n%s", text)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !strings.HasSuffix(line, ":") && !strings.Contains(line, " # ") {
			t.Errorf("no origin in %q", line)
		}
	}
	// With its comments it is a configuration, and the same one.
	first, errFirst := load(t, file, []string{"FRESHET_TITLE=mine"}, "--log-level", "warn")
	again, errAgain := load(t, text, nil)
	if err := errors.Join(errFirst, errAgain); err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := errors.Join(first.print(&a), again.print(&b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.String(), b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestWrongValuesAreLocated checks that an error names file and line, variable or flag.
func TestWrongValuesAreLocated(t *testing.T) {
	for _, x := range []struct {
		file string
		env  []string
		args []string
		want string
	}{
		{"\nstorage:\n  sync_interval: 1h", nil, nil, "freshet.yaml:3: storage.sync_interval: "},
		{"kafka: {bootstrap.servers: 'a:1'}\nsources:\n  - name: a\n    topics: [t]\n    embed:\n      x: {model: m, text: value.f}", nil, nil, `freshet.yaml:6: sources[0].embed["x"].model: `},
		{"sources:\n  - name: a\n    topics: [t]\n    batch:\n      max: -1\nkafka: {bootstrap.servers: 'a:1'}", nil, nil, "freshet.yaml:4: sources[0].batch: min 1 and max -1"},
		{"log:\n  level: loud\n", nil, []string{"--log-level", "lod"}, `--log-level: log.level: "lod"`},
		{"", []string{"FRESHET_LISTEN=6333"}, nil, `FRESHET_LISTEN: http.listen: "6333" is not host:port`},
		{"http:\n  api_key: ${file:/none}", nil, nil, "freshet.yaml:2: http.api_key: "},
		{"storage: {snapshot_dir: x}", nil, nil, `freshet.yaml:1: unknown key "snapshot_dir"; did you mean snapshots_dir?`},
		{"log: {lissten: x}", nil, nil, `unknown key "lissten"; did you mean listen?`},
		{"data: x\n---\ndata: y", nil, nil, "freshet.yaml:3: a second document begins here"},
	} {
		_, err := load(t, x.file, x.env, x.args...)
		if err == nil || !strings.Contains(err.Error(), x.want) || exitCode(err) != 2 {
			t.Errorf("%q %v %v: got %v, want %s", x.file, x.env, x.args, err, x.want)
		}
	}
}

func TestLogsAreJSONBesideATerminal(t *testing.T) {
	for format, want := range map[string]string{"auto": "{", "json": "{", "text": "time="} {
		l := logConfig{Level: "info", Format: format}
		var out bytes.Buffer
		log, err := l.logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("here")
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}
