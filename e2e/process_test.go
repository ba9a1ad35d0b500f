//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	root   string // of the repository
	binary string // freshet, as built for these tests
)

// timeoutOfTests bounds a wait that should take a second.
const timeoutOfTests = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if root, err = filepath.Abs(".."); err != nil {
		return fail(err)
	}
	for _, need := range []string{"kafka/stamp", "flink/stamp", "python-article/stamp", "python-newest/stamp", "python-clients/stamp", "python-embed/stamp", "js/stamp", "page/stamp", "versitygw.stamp"} {
		if _, err := os.Stat(filepath.Join(root, ".cache", need)); err != nil {
			return fail(fmt.Errorf("e2e/setup.sh has not been run: %w", err))
		}
	}
	dir, err := os.MkdirTemp("", "freshet-e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "freshet")
	build := exec.Command("go", "build", "-o", binary, "./cmd/freshet")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("build freshet: %w\n%s", err, out))
	}
	return m.Run()
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits until check is content.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// broker is one Kafka broker, with a folder and an address of its own.
type broker struct {
	t       *testing.T
	address string
	args    []string
	log     *output
	cmd     *exec.Cmd
}

// startBroker runs a broker until the test ends.
func startBroker(t *testing.T) *broker {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	b := &broker{t: t, address: "127.0.0.1:" + port, args: []string{t.TempDir(), port, strconv.Itoa(freePort(t))}, log: new(output)}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the broker said:\n%s", b.log)
		}
	})
	b.start()
	return b
}

// startKafka runs a broker of its own and returns its address.
func startKafka(t *testing.T) string {
	t.Helper()
	return startBroker(t).address
}

// start starts the process and waits until it answers.
func (b *broker) start() {
	b.t.Helper()
	cmd := exec.Command("./kafka.sh", b.args...)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.cmd = cmd
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	eventually(b.t, 60*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := kadm.NewClient(client).ListTopics(ctx)
		return err
	})
}

func (b *broker) kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // killed, so never a success
}

// freeze has the process fall silent for a time: connections stay and nothing answers.
func (b *broker) freeze(during time.Duration) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(during)
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		b.t.Fatal(err)
	}
}

func createTopic(t *testing.T, brokers, topic string, partitions int32) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := makeTopic(context.Background(), kadm.NewClient(client), topic, partitions, 1); err != nil {
		t.Fatal(err)
	}
}

// makeTopic makes a topic that nobody else makes: if it is there, an attempt that got no answer
// has made it.
func makeTopic(ctx context.Context, admin *kadm.Client, topic string, partitions int32, replicas int16) error {
	_, err := admin.CreateTopic(ctx, partitions, replicas, nil, topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// endOffsets returns the ends of a topic's logs in the form of the header by
// which a read demands them.
func endOffsets(t *testing.T, brokers, topic string) (header string, records int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(context.Background(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	ends.Each(func(o kadm.ListedOffset) {
		records += o.Offset
		if o.Offset > 0 {
			parts = append(parts, fmt.Sprintf("%s:%d:%d", topic, o.Partition, o.Offset-1))
		}
	})
	return strings.Join(parts, ","), records
}

// freshet is a running server.
type freshet struct {
	t      *testing.T
	url    string
	data   string   // folder
	within []string // command that runs it
	binary string
	args   []string
	log    *output
	cmd    *exec.Cmd
}

// startFreshet runs the server with a configuration file on a free port.
func startFreshet(t *testing.T, config string) *freshet {
	t.Helper()
	f := newFreshet(t, config)
	f.start()
	return f
}

// newFreshet is startFreshet of a server that is not started yet.
func newFreshet(t *testing.T, config string) *freshet {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "freshet.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	data := filepath.Join(dir, "data")
	f := &freshet{
		t: t, url: "http://" + listen, data: data, binary: binary, log: new(output),
		args: []string{"serve", "--config", path, "--data", data, "--listen", listen, "--log-format", "text"},
	}
	t.Cleanup(func() {
		f.kill()
		if t.Failed() {
			t.Logf("freshet said:\n%s", f.log)
		}
	})
	return f
}

// launch starts the process.
func (f *freshet) launch() {
	f.t.Helper()
	command := append(append(slices.Clone(f.within), f.binary), f.args...)
	f.cmd = exec.Command(command[0], command[1:]...)
	f.cmd.Stdout, f.cmd.Stderr = f.log, f.log
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
}

// start starts the process and waits until it is ready.
func (f *freshet) start() {
	f.t.Helper()
	f.launch()
	f.ready()
}

func (f *freshet) ready() {
	f.t.Helper()
	eventually(f.t, 60*time.Second, func() error {
		res, err := http.Get(f.url + "/readyz")
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			err = fmt.Errorf("not ready: %s", res.Status)
		}
		return errors.Join(err, res.Body.Close())
	})
}

// kill ends the process as a crash would.
func (f *freshet) kill() {
	if f.cmd == nil {
		return
	}
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait() // killed, so never a success
	f.cmd = nil
}

// end asks the process to end and waits until it has, by itself and with the status 0.
func (f *freshet) end() {
	f.t.Helper()
	cmd := f.cmd
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			f.t.Errorf("ended with %v", err)
		}
		f.cmd = nil
	case <-time.After(2 * time.Minute):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // for the stacks
		f.t.Logf("ended by the signal: %v", <-done)
		f.cmd = nil
		f.t.Fatal("the process does not end")
	}
}

// call sends a request and decodes the envelope's result.
func (f *freshet) call(method, path string, header http.Header, body, result any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, f.url+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	envelope := struct{ Result any }{result}
	return json.Unmarshal(text, &envelope)
}

// runBeside runs a process until the test ends. What it said is told if that fails.
func runBeside(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	log := new(output)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, so never a success
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log)
		}
	})
}

// python starts a script of this folder in one of the environments.
func python(env, script string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(root, ".cache", "python-"+env, "bin", "python"), append([]string{script}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}
