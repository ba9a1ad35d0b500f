package main

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
)

// load reads a configuration file with the given environment and flags.
func load(t *testing.T, file string, environ []string, args ...string) (config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "freshet.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := serveCommand()
	if err := cmd.ParseFlags(append([]string{"--config", path}, args...)); err != nil {
		t.Fatal(err)
	}
	return loadConfig(cmd, environ)
}

func TestConfigurationIsRead(t *testing.T) {
	c, err := load(t, `
data: /var/lib/freshet
http: {listen: "127.0.0.1:7000", cors_origins: ["https://a.example", "http://localhost:3000", "*"]}
log: {level: warn, format: json}
storage: {sync_interval: 50ms}
recall: {cpu_percent: 0}
kafka:
  bootstrap.servers: a:9092,b:9092
sources:
  - name: docs
    topics: [vector-embeddings]
    format: upsert-kafka
    id: key
    vectors: {"": value.embedding}
    payload: {exclude: [text], kafka: true}
    on_create: {auto: true, distance: Dot}
    start: latest
    batch: {target_p99_ms: 200}
    buffer: {partition_bytes: 2MiB}
    errors.tolerance: all
    errors.deadletterqueue.topic.name: docs.dlq
`, []string{"FRESHET_LOG_LEVEL=debug", "FRESHET_BROKERS=env:9092", "FRESHET_SERVICE_HOST=10.0.0.1", "FRESHET_PORT_6333_TCP=tcp://10.0.0.1:6333", "OTHER=1"},
		"--brokers", "flag:9092")
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Data, want.HTTP.Listen, want.Log = "/var/lib/freshet", "127.0.0.1:7000", logConfig{Level: "debug", Format: "json"}
	want.HTTP.CORSOrigins = []string{"https://a.example", "http://localhost:3000", "*"}
	want.Storage.SyncInterval = 50 * time.Millisecond
	*want.Recall.CPUPercent = 0
	want.Storage.SnapshotsDir = "/var/lib/freshet/snapshots"
	want.Kafka.BootstrapServers = "flag:9092"
	want.Sources = []ingest.Source{{
		Name: "docs", Topics: []string{"vector-embeddings"}, Format: decode.UpsertKafka, ID: "key",
		Vectors: map[string]string{"": "value.embedding"}, Payload: decode.Payload{Exclude: []string{"text"}, Kafka: true},
		OnCreate: ingest.OnCreate{Auto: true, Distance: "Dot"}, Start: "latest", Batch: ingest.Batch{TargetP99Ms: 200},
		Buffer: ingest.Buffer{PartitionBytes: 2 << 20}, DeadLetterTopic: "docs.dlq",
	}}
	want.setDefaults()
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What is printed can be read again.
	printed, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(t, string(printed), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("printed and read again (-before +after)\n%s", diff)
	}
}

func TestConfigurationIsRefused(t *testing.T) {
	for _, x := range []struct {
		file string
		env  []string
		args []string
		want string
	}{
		{"dat: x", nil, nil, `:1: unknown key "dat"; did you mean data?`},
		{"\nkafka:\n  bootstrap.server: a:1", nil, nil, `:3: unknown key "bootstrap.server"; did you mean bootstrap.servers?`},
		{"sources: [{name: a, topic: [t]}]", nil, nil, `unknown key "topic"; did you mean topics?`},
		{"embedding: {models: [{name: a, urls: x}]}", nil, nil, `unknown key "urls"; did you mean url?`},
		{"embedding: {models: [{name: a, url: 'http://a/v1/embeddings'}]}", nil, nil, "embedding.models[0].dimension: 0 is not from 1 to 65536"},
		{"kafka: {bootstrap.servers: 'a:1'}\nsources: [{name: a, topics: [t], embed: {'': {model: m, text: value.f}}}]", nil, nil, `sources[0].embed[""].model: "m" is no model of embedding.models; none is configured`},
		{"sources: [{name: a, embed: {'': {modl: m}}}]", nil, nil, `unknown key "modl"; did you mean model?`},
		{"zzzzzzzzz: 1", nil, nil, `unknown key "zzzzzzzzz"`},
		{"http: [1]", nil, nil, `:1: `},
		{"a: [", nil, nil, `:1: `},
		{"storage: {high_watermark: 101}", nil, nil, "storage.high_watermark: 101 is not from 10 to 100"},
		{"recall: {cpu_percent: 101}", nil, nil, "recall.cpu_percent: 101 is neither 0 nor from 0.01 to 100"},
		{"recall: {cpu_percent: 0.001}", nil, nil, "recall.cpu_percent: 0.001 is neither 0 nor from 0.01 to 100"},
		{"storage: {reserve: 1KiB}", nil, nil, "storage.reserve: 1024 is not from 1MiB to 1024GiB"},
		{"storage: {snapshots_config: {snapshots_storage: gcs}}", nil, nil, `storage.snapshots_config.snapshots_storage: "gcs" is not local or s3`},
		{"storage: {snapshots_config: {s3_config: {bucket: abc}}}", nil, nil, "storage.snapshots_config.s3_config: needs snapshots_storage: s3"},
		{"storage: {snapshots_config: {snapshots_storage: s3}}", nil, nil, "storage.snapshots_config.s3_config.bucket: is needed"},
		{"storage: {snapshots_config: {snapshots_storage: s3, s3_config: {bucket: abc, endpoint_url: host}}}", nil, nil, ":1: storage.snapshots_config.s3_config.endpoint_url: it is not of the form"},
		{"storage: {snapshots_config: {snapshots_storage: s3, s3_config: {bucket: abc, access_key: a}}}", nil, nil, "s3_config: access_key and secret_key belong together"},
		{"storage: {snapshots_config: {snapshots_storage: s3, s3_config: {bucket: abc, access_key: a, secret_key: '${file:/nowhere}'}}}", nil, nil, "s3_config.secret_key: open /nowhere"},
		{"storage: {snapshots_config: {snapshots_storage: s3, s3_config: {bucket: abc, access_key: '${file:/dev/null}', secret_key: b}}}", nil, nil, "s3_config.access_key: holds nothing"},
		{"storage: {sync_interval: 1h}", nil, nil, "storage.sync_interval: 1h0m0s is not between 1ms and 1m"},
		{"sources: [{name: a, topics: [t]}]", nil, nil, "kafka.bootstrap.servers: is needed"},
		{"", []string{"FRESHET_DATAA=x"}, nil, "environment variable FRESHET_DATAA is not known; did you mean FRESHET_DATA?"},
		{"", nil, []string{"--listen", "0.0.0.0:6333"}, "http.listen: 0.0.0.0:6333 can be reached from other machines"},
		{"", nil, []string{"--listen", ":6333"}, "http.listen: :6333 can be reached"},
		{"", nil, []string{"--listen", "6333"}, `http.listen: "6333" is not host:port`},
		{"", nil, []string{"--log-level", "loud"}, `log.level: "loud" is not`},
		{"", nil, []string{"--insecure=maybe"}, `--insecure: "maybe" is not true or false`},
		{"http: {read_only_api_key: r}", nil, nil, "http.read_only_api_key: needs http.api_key"},
		{"http: {api_key: a, read_only_api_key: a}", nil, nil, "http.read_only_api_key: is the same as http.api_key"},
		{"http: {api_key: a, alt_api_key: a}", nil, nil, "http.alt_api_key: is the same as http.api_key"},
		{"http: {tls: {cert: a}}", nil, nil, "http.tls: cert and key belong together"},
		{"http: {tls: {client_ca: a}}", nil, nil, "http.tls.client_ca: needs http.tls.cert"},
		{"http: {cors_origins: ['*', 'https://a.example/']}", nil, nil, `http.cors_origins[1]: "https://a.example/" is neither * nor scheme://host`},
		{"http: {cors_origins: ['https://A.example']}", nil, nil, "http.cors_origins[0]: "},
		{"http: {cors_origins: ['https://a.example:443']}", nil, nil, "http.cors_origins[0]: "},
		{"http: {cors_origins: [a.example]}", nil, nil, "http.cors_origins[0]: "},
		{"http: {cors_origins: ['']}", nil, nil, "http.cors_origins[0]: "},
		{"http: {ready_lag: -1s}", nil, nil, "http.ready_lag: -1s is negative"},
		{"http: {jwt_rbac: true}", nil, nil, "http.jwt_rbac: needs http.api_key"},
		{"", []string{"FRESHET_API_KEY=a b"}, nil, "http.api_key: a key consists of visible characters"},
		{"http: {api_key: a}", []string{"FRESHET_API_KEY="}, nil, "FRESHET_API_KEY is empty, which is no key"},
		{"", []string{"FRESHET_ALT_API_KEY="}, nil, "FRESHET_ALT_API_KEY is empty, which is no key"},
		{"", []string{"FRESHET_READ_ONLY_API_KEY="}, nil, "FRESHET_READ_ONLY_API_KEY is empty, which is no key"},
		{"http: {api_key: '${file:/dev/null}'}", nil, nil, "http.api_key: ${file:/dev/null} holds nothing"},
		{"http: {api_key: a, alt_api_key: '${file:/nowhere/key}'}", nil, nil, "http.alt_api_key: open /nowhere/key: no such file"},
		{"http: {read_only_api_key: '${vault:a}'}", nil, nil, "http.read_only_api_key: of ${…:…} only ${env:NAME} and ${file:PATH} are known"},
	} {
		_, err := load(t, x.file, x.env, x.args...)
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(oneLine(err), "\n") {
			t.Errorf("%q %v %v: got %v, want %s", x.file, x.env, x.args, err, x.want)
		}
	}
	if _, err := load(t, "", nil, "--listen", "0.0.0.0:6333", "--insecure"); err != nil {
		t.Error(err)
	}
}

// TestEmptyVariables have what the file says count.
func TestEmptyVariables(t *testing.T) {
	var environ []string
	for _, s := range settings {
		if s.env != "" && !strings.HasSuffix(s.key, "api_key") {
			environ = append(environ, s.env+"=")
		}
	}
	const file = `{data: d, http: {listen: "0.0.0.0:1", insecure: true, title: t}, log: {level: warn, format: json}, memory: {limit: 1GiB}, kafka: {bootstrap.servers: "b:1"}}`
	want, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, file, environ)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestPagesOfOthers checks that the settings of pages reach the server: without a key, a
// name that is not this machine's is one that somebody has pointed at it.
func TestPagesOfOthers(t *testing.T) {
	for file, want := range map[string]int{
		"": 403,
		"http: {cors_origins: ['https://db.example']}": 200,
		"http: {api_key: k}":                           401,
		"http: {insecure: true, listen: '0.0.0.0:0'}":  200,
	} {
		c, err := load(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Data = t.TempDir(); c.HTTP.local() {
			c.HTTP.Listen = "127.0.0.1:0"
		}
		n, err := openNode(context.Background(), &c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r, w := httptest.NewRequest(http.MethodGet, "/collections", nil), httptest.NewRecorder()
		r.Host = "db.example"
		n.front.ServeHTTP(w, r)
		if err := n.close(context.Background()); err != nil || w.Code != want {
			t.Errorf("%q: %d instead of %d, %v", file, w.Code, want, err)
		}
	}
}

// TestKeys checks that keys reach the server and are not printed.
func TestKeys(t *testing.T) {
	mounted := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(mounted, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "http: {listen: '0.0.0.0:6333', api_key: '${file:"+mounted+"}', read_only_api_key: third}\nembedding: {models: [{name: m, url: 'http://host/v1?key=fourth', dimension: 3}]}", []string{"FRESHET_ALT_API_KEY=second"})
	if err != nil {
		t.Fatal(err)
	}
	full, readOnly := c.HTTP.keys()
	if diff := cmp.Diff([][]string{{"first", "second"}, {"third"}}, [][]string{full, readOnly}); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := c.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"first", "second", "third", "fourth", "api_key"} {
		if strings.Contains(out.String(), key) {
			t.Errorf("%q is printed:\n%s", key, out.String())
		}
	}
	discard := slog.New(slog.DiscardHandler)
	c.Data, c.HTTP.Listen = t.TempDir(), "127.0.0.1:0"
	c.HTTP.JWT, c.HTTP.AuditLog = true, filepath.Join(t.TempDir(), "audit.log")
	n, err := openNode(context.Background(), &c, discard)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"access": "r"}).SignedString([]byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for key, want := range map[string]int{"": 401, "first": 200, "second": 200, "third": 403, token: 403, token + "x": 403, "x": 401} {
		r := httptest.NewRequest(http.MethodDelete, "/collections/none", nil)
		r.Header.Set("api-key", key)
		w := httptest.NewRecorder()
		n.front.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("key %q: %d %s", key, w.Code, w.Body)
		}
	}
	audited, err := os.ReadFile(c.HTTP.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(audited, []byte(`"msg":"request"`)); n != 7 {
		t.Errorf("%d of 7 requests are in the audit log:\n%s", n, audited)
	}
	// Nobody else may read it, and what rotates it may cut it while it is written.
	if info, err := os.Stat(c.HTTP.AuditLog); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the audit log: %v, %v", info, err)
	}
	if err := os.Truncate(c.HTTP.AuditLog, 0); err != nil {
		t.Fatal(err)
	}
	n.front.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/collections", nil))
	if audited, err = os.ReadFile(c.HTTP.AuditLog); err != nil || !bytes.HasPrefix(audited, []byte("{")) || bytes.Count(audited, []byte("\n")) != 1 {
		t.Errorf("after it was cut the audit log has %q, %v", audited, err)
	}
}

func TestStartUpErrors(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := context.Background()
	discard := slog.New(slog.DiscardHandler)
	c := defaultConfig()
	c.Data, c.HTTP.Listen = t.TempDir(), "127.0.0.1:0"
	c.setDefaults()
	first, err := openNode(ctx, &c, discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openNode(ctx, &c, discard); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second process on the data folder: %v", err)
	}
	taken := c
	taken.HTTP.Listen = first.front.address
	taken.Data = t.TempDir()
	if _, err := openNode(ctx, &taken, discard); err == nil || !strings.Contains(err.Error(), taken.HTTP.Listen+" is in use by another process") {
		t.Errorf("a second process on the port: %v", err)
	}
	if err := first.close(ctx); err != nil {
		t.Error(err)
	}
	listener, err := net.Listen("tcp", taken.HTTP.Listen)
	if err != nil {
		t.Fatalf("the port is not free after a failed start: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	o := demoOptions{rate: 4000, listen: "127.0.0.1:0", once: true}
	if err := demo(context.Background(), &out, &o); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "4000 of them searchable") {
		t.Errorf("not all records became searchable:\n%s", out.String())
	}
	recall := regexp.MustCompile(`against brute force over 4000 points: ([0-9.]+)`).FindStringSubmatch(out.String())
	if recall == nil {
		t.Fatalf("no recall in\n%s", out.String())
	}
	if r, err := strconv.ParseFloat(recall[1], 64); err != nil || r < 0.98 {
		t.Errorf("recall %s", recall[1])
	}
	for _, stage := range ingest.AllStages {
		if !strings.Contains(out.String(), "\n  "+string(stage)+" ") {
			t.Errorf("no line for the stage %s in\n%s", stage, out.String())
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFilesAreForTheirUser serves from a folder that everybody may enter.
func TestFilesAreForTheirUser(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // what is tested
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root := command()
	root.SetErr(writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "freshet is ready") {
			cancel()
		}
		return len(p), nil
	}))
	root.SetArgs([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"})
	if err := root.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		files++
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestEndedWhileLoading ends a server whose database is being opened: that is no failure.
func TestEndedWhileLoading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS("../../server/testdata/folders/5")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	root := command()
	var out bytes.Buffer
	root.SetErr(writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "limit") {
			cancel() // what is logged just before the folder is opened
		}
		return out.Write(p)
	}))
	root.SetArgs([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--log-level", "debug"})
	if err := root.ExecuteContext(ctx); err != nil {
		t.Errorf("%v after\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "ended before the database was open") {
		t.Errorf("the log has\n%s", &out)
	}
	db, err := server.Open(context.Background(), dir, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(db.Collections()) == 0 {
		t.Error("nothing is there any more")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
