//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminated is a server with points that it has acknowledged.
type terminated struct {
	*freshet
	points int
}

// deadBroker is an address at which nobody listens.
const deadBroker = "kafka: {bootstrap.servers: '127.0.0.1:1'}\nsources: [{name: s, collection: c, topics: [t]}]\n"

// TestTermination ends the server in every state that takes time. It has to end by
// itself, with the status 0, and must not lose what it has acknowledged.
func TestTermination(t *testing.T) {
	for name, x := range map[string]struct {
		config string
		// state brings the server into the state, and returns when it is there.
		state func(s *terminated)
	}{
		"idle":                  {"", func(*terminated) {}},
		"loading":               {"", (*terminated).loading},
		"a source that retries": {deadBroker, (*terminated).retrying},
		"a full disk":           {"", (*terminated).full},
		"a payload index is built": {"", func(s *terminated) {
			s.begin("PUT", "/collections/c/index?wait=true", `{"field_name":"n","field_schema":"integer"}`)
		}},
		"a snapshot is taken":        {"", func(s *terminated) { s.begin("POST", "/collections/c/snapshots", "") }},
		"a snapshot is uploaded":     {"", (*terminated).uploading},
		"a snapshot is fetched":      {"", (*terminated).fetching},
		"a scroll that nobody reads": {"", (*terminated).unread},
		"a body that does not come": {"", func(s *terminated) {
			s.send("PUT /collections/c/points HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n{")
		}},
		"a connection without a word": {"", func(s *terminated) { s.send("") }},
		"writes":                      {"", (*terminated).writing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &terminated{freshet: startFreshet(t, x.config)}
			if err := s.call("PUT", "/collections/c", nil, map[string]any{"vectors": map[string]any{"size": 4, "distance": "Dot"}}, nil); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if err := s.write(); err != nil {
					t.Fatal(err)
				}
			}
			x.state(s)
			s.end()
			s.start()
			var count struct{ Count int }
			if err := s.call("POST", "/collections/c/points/count", nil, map[string]any{}, &count); err != nil {
				t.Fatal(err)
			}
			if count.Count < s.points {
				t.Errorf("%d points were acknowledged, %d are there", s.points, count.Count)
			}
		})
	}
}

// write writes 200 points with payloads of 4 KB.
func (s *terminated) write() error {
	var points []map[string]any
	for i := range 200 {
		points = append(points, map[string]any{
			"id": s.points + i, "vector": []int{1, i, i * i, 1},
			"payload": map[string]any{"n": i, "text": strings.Repeat("x", 4<<10)},
		})
	}
	err := s.call("PUT", "/collections/c/points?wait=true", nil, map[string]any{"points": points}, nil)
	if err == nil {
		s.points += len(points)
	}
	return err
}

// begin sends a request and does not wait for its answer.
func (s *terminated) begin(method, path, body string) {
	s.t.Helper()
	s.send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body))
}

// send opens a connection that stays open and writes to it.
func (s *terminated) send(text string) net.Conn {
	s.t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() }) // the server may have
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *terminated) loading() {
	s.end()
	s.launch()
	eventually(s.t, timeoutOfTests, func() error {
		res, err := http.Get(s.url + "/livez")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
}

func (s *terminated) retrying() {
	eventually(s.t, timeoutOfTests, func() error {
		var status struct{ State string }
		if err := s.call("GET", "/collections/c/sources/s/status", nil, nil, &status); err != nil {
			return err
		}
		if status.State != "retrying" {
			return errors.New("the source is " + status.State)
		}
		return nil
	})
}

// full starts the server anew with more to keep free than the disk has.
func (s *terminated) full() {
	s.end()
	if err := os.WriteFile(s.args[slices.Index(s.args, "--config")+1], []byte("storage: {reserve: 1024GiB}\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.start()
	if err := s.write(); err == nil || !strings.Contains(err.Error(), "507") {
		s.t.Errorf("a write to a full disk: %v", err)
	}
}

const boundary = "PUT-IN-PARTS"

// uploading sends the beginning of a snapshot.
func (s *terminated) uploading() {
	head := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"a\"\r\n\r\n"
	s.send("POST /collections/d/snapshots/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=" + boundary +
		"\r\nContent-Length: 100000000\r\n\r\n" + head)
}

// fetching has the server fetch a snapshot from where it does not come.
func (s *terminated) fetching() {
	asked, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // it need not come
		once.Do(func() { close(asked) })
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	s.t.Cleanup(func() {
		close(done)
		slow.Close()
	})
	s.begin("PUT", "/collections/d/snapshots/recover?wait=false", fmt.Sprintf(`{"location":%q}`, slow.URL+"/a.snapshot"))
	select {
	case <-asked:
	case <-time.After(timeoutOfTests):
		s.t.Fatal("the server does not fetch")
	}
}

// unread asks for more than the connection's buffers hold, and reads the beginning.
func (s *terminated) unread() {
	for range 20 {
		if err := s.write(); err != nil {
			s.t.Fatal(err)
		}
	}
	const body = `{"limit":100000}`
	c := s.send(fmt.Sprintf("POST /collections/c/points/scroll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		s.t.Fatalf("%q %v", line, err)
	}
}

// writing writes until the server has gone. What was acknowledged by then counts.
func (s *terminated) writing() {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	began := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ctx.Err() == nil && s.write() == nil; i++ {
			if i == 0 {
				close(began)
			}
		}
	}()
	<-began
	// The writer sees the server go before the points are counted.
	s.end()
	cancel()
	<-stopped
	s.start()
}
