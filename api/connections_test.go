package api_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"freshet/api"
	"freshet/e2e/certtest"
)

// figures compares the metrics of connections.
func figures(t *testing.T, l *api.Connections, open, closed string) {
	t.Helper()
	want := "# HELP freshet_http_connections Connections that are open.\n# TYPE freshet_http_connections gauge\nfreshet_http_connections " + open +
		"\n# HELP freshet_http_connections_closed_total Connections without a request that were closed to make room for others.\n# TYPE freshet_http_connections_closed_total counter\nfreshet_http_connections_closed_total " + closed + "\n"
	if err := testutil.CollectAndCompare(l, strings.NewReader(want), "freshet_http_connections", "freshet_http_connections_closed_total"); err != nil {
		t.Error(err)
	}
}

// get sends a request over a connection and returns the status and the body of its answer.
func get(c net.Conn, path string) (status int, body string, err error) {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return 0, "", err
	}
	return answer(bufio.NewReader(c))
}

// answer reads an answer.
func answer(from *bufio.Reader) (status int, body string, err error) {
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), errors.Join(err, res.Body.Close())
}

// TestManyConnections opens more than there may be: those without a request give way, the
// first ones first, and those with one do not.
func TestManyConnections(t *testing.T) {
	const limit = 20
	hold, held := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			held <- struct{}{}
			<-hold
		}
		w.WriteHeader(http.StatusNoContent)
	})
	l := listening(t, h, api.UsualLimits(), limit)
	l.SettleIn(time.Millisecond)

	busy, first := make(chan int), dial(t, l.Addr())
	go func() {
		status, _, err := get(first, "/held")
		if err != nil {
			t.Error(err)
		}
		busy <- status
	}()
	<-held
	var quiet []net.Conn
	for i := range 3 * limit {
		c := dial(t, l.Addr())
		if i%2 == 0 { // the others never say anything
			if status, _, err := get(c, "/"); err != nil || status != 204 {
				t.Fatalf("connection %d: %d, %v", i, status, err)
			}
			for l.Busy() > 1 { // the server learns after its client that a request has ended
				time.Sleep(time.Millisecond)
			}
		}
		quiet = append(quiet, c)
	}
	for i, c := range quiet[:limit] {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("connection %d is open", i)
		}
	}
	if status, _, err := get(quiet[len(quiet)-2], "/"); err != nil || status != 204 {
		t.Errorf("one of the last: %d, %v", status, err)
	}
	close(hold)
	if status := <-busy; status != 204 {
		t.Errorf("the one with a request got %d", status)
	}
}

// TestConnectionsThatAllHaveRequests opens one more than there may be: it waits for one to
// end.
func TestConnectionsThatAllHaveRequests(t *testing.T) {
	const limit = 3
	hold, held := make(chan struct{}), make(chan struct{}, limit+1)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		held <- struct{}{}
		<-hold
		w.WriteHeader(http.StatusNoContent)
	})
	l := listening(t, h, api.UsualLimits(), limit)
	l.SettleIn(time.Millisecond)
	answers := make(chan error)
	for range limit + 1 {
		c := dial(t, l.Addr())
		go func() {
			_, _, err := get(c, "/")
			answers <- err
		}()
	}
	for range limit {
		<-held
	}
	figures(t, l, "3", "0")
	select {
	case <-held:
		t.Error("there is one too many")
	default:
	}
	hold <- struct{}{}
	if err := <-answers; err != nil {
		t.Error(err)
	}
	<-held // the one that waited
	close(hold)
	for range limit {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsThatWereAnswered leaves out the bodies of requests that are refused without
// reading them: the server reads what comes of them, and they give way to others.
func TestConnectionsThatWereAnswered(t *testing.T) {
	const limit = 3
	refused := make(chan struct{}, limit)
	l := listening(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusUnauthorized)
			refused <- struct{}{}
		}
	}), api.UsualLimits(), limit)
	l.SettleIn(time.Millisecond)
	var silent []net.Conn
	for range limit {
		c := dial(t, l.Addr())
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
		<-refused
	}
	if status, _, err := get(dial(t, l.Addr()), "/"); err != nil || status != http.StatusOK {
		t.Errorf("one more: %d, %v", status, err)
	}
	figures(t, l, "3", "1")
	last := silent[limit-1] // a body may come late, as long as there is room
	if _, err := io.WriteString(last, "123456789"); err != nil {
		t.Fatal(err)
	}
	if status, _, err := answer(bufio.NewReader(last)); err != nil || status != http.StatusUnauthorized {
		t.Errorf("the one whose body has come: %d, %v", status, err)
	}
	if status, _, err := get(last, "/"); err != nil || status != http.StatusOK {
		t.Errorf("its next request: %d, %v", status, err)
	}
}

// TestEndWhileConnectionsWait ends a server that has no room for a connection.
func TestEndWhileConnectionsWait(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	s := api.HTTPServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		held <- struct{}{}
		<-hold
	}), slog.New(slog.DiscardHandler))
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := api.LimitConnections(s, inner, 1, slog.New(slog.DiscardHandler))
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	first, second := dial(t, l.Addr()), dial(t, l.Addr())
	if _, err := io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-held
	down := make(chan error)
	go func() { down <- s.Shutdown(t.Context()) }()
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("the one that waited was answered")
	}
	close(hold)
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	figures(t, l, "0", "0")
}

// TestConnectionsWithTLS speaks HTTP/2: connections that are encrypted are told apart, and
// the limits are those of a request, not of its connection.
func TestConnectionsWithTLS(t *testing.T) {
	authority := certtest.NewAuthority(t, "a")
	issued := authority.Issue(t, "server", "127.0.0.1")
	pair, err := tls.X509KeyPair([]byte(issued.Certificate), []byte(issued.Key))
	if err != nil {
		t.Fatal(err)
	}
	limits := api.UsualLimits()
	limits.Body = 200 * time.Millisecond
	begun := make(chan struct{})
	s := limits.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			begun <- struct{}{}
			time.Sleep(100 * time.Millisecond) // longer than others leave a connection alone
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}), slog.New(slog.DiscardHandler))
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := api.LimitConnections(s, inner, 1, slog.New(slog.DiscardHandler))
	l.SettleIn(time.Millisecond)
	served := make(chan error)
	go func() { served <- s.ServeTLS(l, "", "") }()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	silent := make(chan net.Conn, 1)
	for client := range 2 {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority.Pool(t)}}
		defer transport.CloseIdleConnections()
		for _, x := range []struct {
			body io.Reader
			want int
		}{{nil, 200}, {strings.NewReader("body"), 200}, {neverSent(t), 408}, {nil, 200}} {
			res, err := (&http.Client{Transport: transport}).Post("https://"+l.Addr().String(), "text/plain", x.body)
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil || res.StatusCode != x.want || res.ProtoMajor != 2 {
				t.Errorf("client %d: %s %s, want %d", client, res.Proto, res.Status, x.want)
			}
		}
	}
	figures(t, l, "1", "1") // the first client gave way to the second
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority.Pool(t)}}
	defer transport.CloseIdleConnections()
	go func() {
		<-begun
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
		}
		silent <- c
	}()
	res, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatalf("a request gave way: %v", err)
	}
	if err := errors.Join(res.Body.Close(), (<-silent).Close()); err != nil {
		t.Error(err)
	}
}

// neverSent is a body that does not come until the test ends.
func neverSent(t *testing.T) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() }) // it never fails
	return r
}
