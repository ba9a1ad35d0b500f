package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// TestWaitIsWatched checks what is drawn while a command waits, and that it ends with it.
func TestWaitIsWatched(t *testing.T) {
	left := []int{30, 10}
	waited := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/collections/c/sources/s/status" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		lag := left[0]
		if left = left[1:]; len(left) == 0 {
			left = []int{lag}
		}
		if _, err := fmt.Fprintf(w, `{"result":{"partitions":[{"lag":%d},{"lag":0}]}}`, lag); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	var drawn []string
	c := &sourceClient{remote: remote{url: server.URL}, collection: "c", out: io.Discard}
	c.draw = func(doing string, done, of int64) {
		drawn = append(drawn, fmt.Sprint(doing, " ", done, "/", of))
		if done == 20 && len(drawn) == 2 {
			close(waited)
		}
	}
	err := c.watched(t.Context(), "s", func() error {
		<-waited
		return io.EOF
	})
	want := []string{"applying 0/30", "applying 20/30", " 0/0"}
	if last := len(drawn) - 1; !errors.Is(err, io.EOF) || len(drawn) < 3 || !slices.Equal(append(drawn[:2:2], drawn[last]), want) {
		t.Errorf("%v, drawn %q, want %q", err, drawn, want)
	}
}
