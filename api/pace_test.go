package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"freshet/api"
)

// TestUsualLimits keeps them from being lost.
func TestUsualLimits(t *testing.T) {
	l := api.UsualLimits()
	for what, d := range map[string]time.Duration{"headers": l.Header, "idle connections": l.Idle, "bodies": l.Body, "requests": l.Request, "answers": l.Answer} {
		if d <= 0 || d > 5*time.Minute {
			t.Errorf("%s may take %s", what, d)
		}
	}
	if l.Rate <= 0 || api.MaxBody/l.Rate < int64(l.Request/time.Second) {
		t.Errorf("%d bytes a second", l.Rate)
	}
}

// dial connects to an address until the test ends. What is not done in a minute fails.
func dial(t *testing.T, address net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address.String())
	if err == nil {
		err = c.SetDeadline(time.Now().Add(time.Minute))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may have
	return c
}

// TestBodiesThatComeSlowly sends bodies byte by byte: for ever, which must not be possible
// however regular the bytes are, and within the rate.
func TestBodiesThatComeSlowly(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		_, _ = w.Write(body) // the client sees what is missing
	})
	for name, x := range map[string]struct {
		limits api.Limits
		want   int
	}{
		"slower than the rate":    {api.Limits{Body: 40 * time.Millisecond, Rate: 1 << 20, Request: time.Hour}, 408},
		"longer than all may be":  {api.Limits{Body: time.Minute, Rate: 1, Request: 40 * time.Millisecond}, 408},
		"as fast as is asked for": {api.Limits{Body: time.Minute, Rate: 1, Request: time.Hour}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.limits.Header, x.limits.Answer = time.Minute, time.Minute
			c := dial(t, listening(t, echo, x.limits, 10).Addr())
			const size = 50
			if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size); err != nil {
				t.Fatal(err)
			}
			go func() {
				for range size {
					time.Sleep(4 * time.Millisecond) // it does not matter how long it is
					if _, err := c.Write([]byte("x")); err != nil {
						return // as it should be, if the server has had enough
					}
				}
			}()
			status, body, err := answer(bufio.NewReader(c))
			if err != nil || status != x.want || status == 200 && len(body) != size {
				t.Errorf("%d, %d bytes, %v", status, len(body), err)
			}
		})
	}
}

// TestTimeOfTheServerIsFree has handlers take longer than clients may, before, amid and
// after a body, which costs the client nothing.
func TestTimeOfTheServerIsFree(t *testing.T) {
	const patience = 100 * time.Millisecond
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 2)
		var err error
		for range 2 {
			time.Sleep(2 * patience)
			if _, e := io.ReadFull(r.Body, part); r.Method == http.MethodPost {
				err = errors.Join(err, e)
			}
		}
		_, e := io.ReadAll(r.Body)
		time.Sleep(2 * patience)
		_, e2 := fmt.Fprint(w, errors.Join(err, e, r.Context().Err()))
		e3 := http.NewResponseController(w).Flush()
		time.Sleep(2 * patience)
		_, _ = fmt.Fprint(w, errors.Join(e2, e3)) // the client sees what is missing
	})
	limits := api.Limits{Header: time.Minute, Idle: time.Minute, Body: patience, Request: time.Hour, Answer: patience, Rate: 1}
	address := listening(t, slow, limits, 10).Addr()
	for _, sent := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"} {
		t.Run(sent[:4], func(t *testing.T) {
			t.Parallel()
			c := dial(t, address)
			answers := bufio.NewReader(c)
			for range 2 { // deadlines of the first are not those of the second
				if _, err := io.WriteString(c, sent); err != nil {
					t.Fatal(err)
				}
				if _, body, err := answer(answers); err != nil || body != "<nil><nil>" {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
}

// TestAnswersThatAreNotTaken asks for more than the system keeps for a connection, and
// reads none of it: what the answer holds has to be given back.
func TestAnswersThatAreNotTaken(t *testing.T) {
	given := make(chan error, 1)
	large := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(bytes.Repeat([]byte("x"), 64<<20))
		given <- err
	})
	limits := api.Limits{Header: time.Minute, Idle: time.Minute, Body: time.Minute, Request: time.Minute, Answer: 50 * time.Millisecond, Rate: 1 << 30}
	c := dial(t, listening(t, large, limits, 10).Addr())
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-given; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler got %v", err)
	}
}
