//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNoTelemetry traces the server from its start to its end. It looks nobody up, connects to
// nobody and sends no packet, but to the broker that it is told of, if it is.
func TestNoTelemetry(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ config, broker string }{
		"without sources": {"", ""},
		"with a source":   {deadBroker, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFreshet(t, x.config)
			calls := filepath.Join(t.TempDir(), "calls")
			// -D: the server, not strace, is the child that is told to end.
			f.within = []string{"strace", "-D", "-f", "-q", "-s", "256", "-o", calls, "-e", "trace=accept4,connect,sendto,sendmsg,sendmmsg,openat"}
			f.start()
			for _, c := range []struct{ method, path, body string }{
				{"PUT", "/collections/c", `{"vectors": {"size": 2, "distance": "Dot"}}`},
				{"PUT", "/collections/c/points?wait=true", `{"points": [{"id": 1, "vector": [1, 2], "payload": {"at": "http://example.com"}}]}`},
				{"POST", "/collections/c/points/query", `{"query": [1, 2]}`},
				{"POST", "/collections/c/snapshots", `{}`},
				{"GET", "/telemetry", `{}`},
			} {
				if err := f.call(c.method, c.path, nil, json.RawMessage(c.body), nil); err != nil {
					t.Fatal(err)
				}
			}
			if x.broker != "" {
				eventually(t, timeoutOfTests, func() error { return connectsTo(calls, x.broker) })
			}
			f.end()
			lookAtCalls(t, calls, x.broker)
		})
	}
}

// aimed is what a call aims at: the address in it, or the file.
var aimed = regexp.MustCompile(`sa_family=AF_INET6?, sin6?_port=htons\((\d+)\),.*?"([^"]+)"|openat\([^"]*"(/etc/(?:resolv|nsswitch)\.conf|/etc/hosts)"`)

// connectsTo returns an error unless the server has tried to.
func connectsTo(calls, address string) error {
	text, err := os.ReadFile(calls)
	if err != nil {
		return err
	}
	for _, found := range aimed.FindAllStringSubmatch(string(text), -1) {
		if found[2]+":"+found[1] == address {
			return nil
		}
	}
	return errors.New("no connection to " + address)
}

// lookAtCalls waits for the end of a trace and reports each call that aims at anything but what
// is allowed. Clients' connections come by accept4, which proves that the calls were seen.
func lookAtCalls(t *testing.T, calls, allowed string) {
	t.Helper()
	var text string
	eventually(t, timeoutOfTests, func() error {
		raw, err := os.ReadFile(calls)
		if text = string(raw); err == nil && !strings.Contains(text, "+++ exited with 0 +++") {
			err = errors.New("the trace has no end")
		}
		return err
	})
	if !strings.Contains(text, "accept4(") {
		t.Error("the trace has no connections of clients")
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "accept4") {
			continue
		}
		if found := aimed.FindStringSubmatch(line); found != nil && found[2]+":"+found[1] != allowed {
			t.Errorf("%s", strings.TrimSpace(line))
		}
	}
}
