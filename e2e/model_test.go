//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestModel compares random requests of the whole API with qdrant-client's engine in
// memory, while the server is ended or killed in between, ROUNDS times: clients/model.py.
// SEED says with which random numbers.
func TestModel(t *testing.T) {
	t.Parallel()
	rounds, seed := fromEnvironment(t, "ROUNDS", 25), fromEnvironment(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	f := startFreshet(t, "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+time.Duration(rounds)*timeoutOfTests)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, ".cache", "python-clients", "bin", "python"), "clients/model.py",
		f.url, strconv.Itoa(rounds), strconv.FormatUint(seed, 10))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	asks, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(asks)
	lines.Buffer(nil, 16<<20) // a difference may be long
	for lines.Scan() {
		switch how, after, early := strings.Cut(lines.Text(), " "); how {
		case "end":
			f.end()
		case "kill":
			f.kill()
			if early {
				ms, err := strconv.Atoi(after)
				if err != nil {
					t.Fatal(err)
				}
				f.startAndKill(time.Duration(ms) * time.Millisecond)
			}
		default:
			t.Log(lines.Text())
			continue
		}
		f.start()
		if _, err := io.WriteString(answers, "ready\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; SEED=%d repeats it", err, seed)
	}
}
