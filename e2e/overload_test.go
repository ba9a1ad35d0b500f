//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the server of TestOverload may take, and what clients send to it at once.
const (
	overloadLimit   = 256 << 20 // bytes
	overloadClients = 300
	overloadUploads = 1 // of each client
	overloadPoints  = 100
	overloadPayload = 10 << 10 // bytes of each point
	overloadRoom    = overloadLimit / 16
)

// TestOverload sends a server with little memory many times what that has room for. It
// has to refuse some of it with 503 and Retry-After, stay below its limit, keep what it
// has acknowledged, and work afterwards as before.
func TestOverload(t *testing.T) {
	f := startFreshet(t, fmt.Sprintf("memory: {limit: %d}\n", overloadLimit))
	if err := f.call("PUT", "/collections/c", nil, map[string]any{"vectors": map[string]any{"size": 32, "distance": "Cosine"}}, nil); err != nil {
		t.Fatal(err)
	}
	o := &overload{t: t, f: f, refused: map[string]int{}}
	letGo := o.occupy()
	var wg sync.WaitGroup
	for client := range overloadClients {
		wg.Go(func() {
			for upload := range overloadUploads {
				o.upload(client*overloadUploads + upload)
				o.ask("POST", "/collections/c/points/scroll", `{"limit": 1000}`)
				o.ask("POST", "/collections/c/points/search", `{"vector": [`+strings.Repeat("1,", 31)+`1], "limit": 10}`)
			}
		})
	}
	// The room for bodies is taken, so that some are refused however fast the machine is.
	eventually(t, timeoutOfTests, func() error {
		if o.refusals("PUT") == 0 {
			return fmt.Errorf("no upload was refused")
		}
		return nil
	})
	letGo()
	wg.Wait()
	if o.refusals("POST /collections/c/points/search") > 0 {
		t.Error("searches were refused")
	}
	t.Logf("refused: %v; at most %d MiB were taken", o.refused, f.peak()>>20)
	if peak := f.peak(); peak >= overloadLimit {
		t.Errorf("the process took %d bytes, it may take %d", peak, overloadLimit)
	}
	o.upload(overloadClients * overloadUploads)
	f.end()
	f.start()
	var count struct{ Count int }
	if err := f.call("POST", "/collections/c/points/count", nil, map[string]any{}, &count); err != nil {
		t.Fatal(err)
	}
	if want := (overloadClients*overloadUploads + 1) * overloadPoints; count.Count != want {
		t.Errorf("there are %d points, %d were acknowledged", count.Count, want)
	}
}

// overload is what clients send, and are told.
type overload struct {
	t *testing.T
	f *freshet

	mu      sync.Mutex
	refused map[string]int // by request
}

// upload sends points of its own until they are taken.
func (o *overload) upload(number int) {
	type point struct {
		ID      int               `json:"id"`
		Vector  []float32         `json:"vector"`
		Payload map[string]string `json:"payload"`
	}
	points := make([]point, overloadPoints)
	for i := range points {
		id := number*overloadPoints + i
		vector := make([]float32, 32)
		vector[id%32], vector[id/32%32] = 1, float32(id%7)
		points[i] = point{id, vector, map[string]string{"text": strings.Repeat("x", overloadPayload)}}
	}
	body, err := json.Marshal(map[string]any{"points": points})
	if err != nil {
		o.t.Error(err)
		return
	}
	for !o.ask("PUT", "/collections/c/points?wait=true", string(body)) && !o.t.Failed() {
		time.Sleep(300 * time.Millisecond)
	}
}

// ask says whether a request was answered; if not it must have been refused as it should.
func (o *overload) ask(method, path, body string) bool {
	req, err := http.NewRequest(method, o.f.url+path, strings.NewReader(body))
	if err != nil {
		o.t.Error(err)
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Errorf("%s %s: %v", method, path, err)
		return false
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Errorf("%s %s: %v", method, path, err)
	}
	if err := res.Body.Close(); err != nil {
		o.t.Error(err)
	}
	switch res.StatusCode {
	case http.StatusOK:
		return true
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || n < 1 {
			o.t.Errorf("%s %s: %s without Retry-After", method, path, res.Status)
		}
	default:
		o.t.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(text))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused[method+" "+path]++
	return false
}

// refusals counts the refused requests that begin like this.
func (o *overload) refusals(request string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for name, count := range o.refused {
		if strings.HasPrefix(name, request) {
			n += count
		}
	}
	return n
}

// occupy begins a request that takes all the room for bodies, and returns what ends it.
func (o *overload) occupy() (letGo func()) {
	o.t.Helper()
	u, err := url.Parse(o.f.url)
	if err != nil {
		o.t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "PUT /collections/c/points HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", u.Host, overloadRoom); err != nil {
		o.t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := c.Close(); err != nil {
			o.t.Error(err)
		}
	})
}

// peak is the most that the process has had in memory, in bytes.
func (f *freshet) peak() int64 {
	f.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	if err != nil {
		f.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		f.t.Fatal(err)
	}
	return kilobytes << 10
}
