//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of a fixed size that is mounted over the data folder of a server,
// in a name space of mounts that goes with the process that holds it.
type smallDisk struct {
	t      *testing.T
	holder *exec.Cmd
	filler string // file that takes the room, as seen from here
}

func newSmallDisk(t *testing.T, f *freshet, size string) *smallDisk {
	t.Helper()
	if err := os.Mkdir(f.data, 0o700); err != nil {
		t.Fatal(err)
	}
	unshare, nsenter := []string{"--mount"}, []string{"--mount"}
	if os.Geteuid() != 0 { // it takes a name space of users, in which it is root
		unshare, nsenter = append(unshare, "--map-root-user"), append(nsenter, "--user", "--preserve-credentials")
	}
	hold := `mount -t tmpfs -o size="$1" freshet "$2" && echo mounted && exec sleep infinity`
	cmd := exec.Command("unshare", append(unshare, "sh", "-c", hold, "sh", size, f.data)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.kill() // before what it runs in is gone
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, so never a success
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		t.Fatalf("the small disk was not mounted: %q, %v", line, err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	f.within = append([]string{"nsenter", "--target", pid}, nsenter...)
	return &smallDisk{t: t, holder: cmd, filler: filepath.Join("/proc", pid, "root", f.data, "filler")}
}

// fill leaves no byte.
func (d *smallDisk) fill() {
	d.t.Helper()
	file, err := os.OpenFile(d.filler, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		n, err := file.Write(make([]byte, size))
		switch {
		case err == nil:
		case !errors.Is(err, syscall.ENOSPC):
			d.t.Fatal(err)
		case n == 0:
			size /= 2
		}
	}
	if err := file.Close(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}

// TestFullDisk fills the disk of a server amid records and writes by REST, three times: writes
// are refused, searches go on, the source waits; then it is ended, killed or left alone, and
// starts on the full disk with all that it has acknowledged. When there is room again all goes
// on within 30 seconds, and in the end nothing is missing.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	seed := fromEnvironment(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	brokers := startKafka(t)
	createTopic(t, brokers, "records", 2)
	f := newFreshet(t, fmt.Sprintf(`
memory: {limit: 256MiB} # and so write buffers of 16 MiB
storage: {reserve: 4MiB}
kafka: {bootstrap.servers: %q}
sources: [{name: records, topics: [records], format: upsert-kafka, on_create: {auto: true, distance: Euclid}}]
`, brokers))
	disk := newSmallDisk(t, f, "64m")
	f.start()
	topic := newCrashTopic(t, brokers, seed)
	clients := newCrashClients(t, f, 2, seed)
	for _, c := range clients {
		c.mayBeFull = true
	}
	verify := func() {
		t.Helper()
		found := crashPoints(t, f, "rest")
		for _, c := range clients {
			c.verify(t, found)
		}
		topic.verify(t, f)
	}
	for _, then := range []func(){func() {}, func() { f.end(); f.start() }, func() { f.kill(); f.start() }} {
		load, stop := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() { topic.produce(load, 10) })
		for _, c := range clients {
			c.refused = 0
			work.Go(func() { c.write(load, t) })
		}
		work.Go(func() { crashSearches(load, t, f) })
		time.Sleep(500 * time.Millisecond)
		disk.fill()
		eventually(t, timeoutOfTests, func() error { return refusesWrites(f) })
		eventually(t, timeoutOfTests, func() error { return sourceIs(f, "disk_full") })
		time.Sleep(500 * time.Millisecond)
		stop()
		work.Wait()
		for _, c := range clients {
			if c.refused == 0 {
				t.Error("a client was never refused")
			}
		}
		verify()
		then()
		if err := refusesWrites(f); err != nil {
			t.Error(err)
		}
		verify()
		disk.free()
		eventually(t, 30*time.Second, func() error {
			return errors.Join(sourceIs(f, "running"), f.call("PUT", "/collections/rest/points?wait=true", nil, fullPoint, nil))
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	topic.verifyAll(t, f, brokers)
	f.end()
	f.start()
	topic.verifyAll(t, f, brokers)
}

// fullPoint is one that no client of the test writes.
var fullPoint = map[string]any{"points": []any{map[string]any{"id": 1 << 40, "vector": crashVector(1), "payload": map[string]int{"n": 1}}}}

// refusesWrites returns an error unless a write is refused as one on a full disk is.
func refusesWrites(f *freshet) error {
	err := f.call("PUT", "/collections/rest/points?wait=true", nil, fullPoint, nil)
	if err == nil {
		return errors.New("a write to a full disk was taken")
	}
	if !strings.Contains(err.Error(), ": 507 ") || !strings.Contains(err.Error(), "disk") {
		return fmt.Errorf("a write to a full disk: %w", err)
	}
	return nil
}

// sourceIs returns an error unless the source of the records is in a state.
func sourceIs(f *freshet, want string) error {
	var status struct{ State string }
	if err := f.call("GET", "/collections/records/sources/records/status", nil, nil, &status); err != nil {
		return err
	}
	if status.State != want {
		return fmt.Errorf("the source is %q, want %q", status.State, want)
	}
	return nil
}

// inject has the kernel treat system calls of the server as an expression of strace says, until
// what it returns is called or the server ends. That says what became of the calls.
func (f *freshet) inject(calls, how string) (end func() string) {
	f.t.Helper()
	return f.trace("-e", "trace="+calls, "-e", "inject="+calls+":"+how)
}

// trace watches the server with options of strace, until what it returns is called or the server
// ends. That says what was seen.
func (f *freshet) trace(options ...string) (end func() string) {
	f.t.Helper()
	said := filepath.Join(f.t.TempDir(), "calls")
	cmd := exec.Command("strace", append([]string{"-f", "-o", said, "-p", strconv.Itoa(f.cmd.Process.Pid)}, options...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log := new(output)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, timeoutOfTests, func() error {
		if !strings.Contains(log.String(), "attached") {
			return fmt.Errorf("strace says %q", log)
		}
		return nil
	})
	return func() string {
		f.t.Helper()
		_ = cmd.Process.Signal(syscall.SIGINT) // or it has ended
		_ = cmd.Wait()                         // has the status of what it traced
		text, err := os.ReadFile(said)
		if err != nil {
			f.t.Fatal(err)
		}
		return string(text)
	}
}

// syncs are the calls by which the server makes durable what it has written.
const syncs = "fsync,fdatasync"

// TestFailedDisk has a disk fail to sync amid writes: the process ends with the status of that,
// and what it had acknowledged is there at the next start.
func TestFailedDisk(t *testing.T) {
	t.Parallel()
	seed := fromEnvironment(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	f := startFreshet(t, "")
	clients := newCrashClients(t, f, 4, seed)
	var work sync.WaitGroup
	for _, c := range clients {
		work.Go(func() { c.write(context.Background(), t) }) // until the server is away
	}
	time.Sleep(200 * time.Millisecond)
	end := f.inject(syncs, "error=EIO")
	ended := make(chan error, 1)
	go func() { ended <- f.cmd.Wait() }()
	var exit *exec.ExitError
	select {
	case err := <-ended:
		if !errors.As(err, &exit) || exit.ExitCode() != 74 || !strings.Contains(f.log.String(), "could not be synced") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(timeoutOfTests):
		t.Fatal("the process goes on although its disk has failed")
	}
	work.Wait()
	if calls := end(); !strings.Contains(calls, "(INJECTED)") {
		t.Errorf("no call failed:\n%s", calls)
	}
	f.start()
	found := crashPoints(t, f, "rest")
	for _, c := range clients {
		c.verify(t, found)
		if c.acknowledged == 0 {
			t.Error("nothing was acknowledged")
		}
	}
}
