package rest

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "localhost", "localhost:6333", "127.0.0.1:6333", "ftp://a", "http://", "http://a b", "::"} {
		if _, err := Request(t.Context(), http.MethodGet, address, "", "/x", http.NoBody); !Final(err) || !strings.Contains(err.Error(), "http://HOST:PORT") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"http://a:1/b", "http://a:1/b/"} {
		req, err := Request(t.Context(), http.MethodGet, address, "k", "/x?y=z", http.NoBody)
		if err != nil || req.URL.String() != "http://a:1/b/x?y=z" || req.Header.Get("Api-Key") != "k" {
			t.Errorf("%q: %+v, %v", address, req, err)
		}
	}
}

// Who speaks no TLS, or has a certificate of nobody known, is not asked again.
func TestWhoAnswers(t *testing.T) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, encrypted := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	encrypted.StartTLS()
	defer plain.Close()
	defer encrypted.Close()
	for _, address := range []string{strings.Replace(plain.URL, "http", "https", 1), encrypted.URL, strings.Replace(encrypted.URL, "https", "http", 1)} {
		req, err := Request(t.Context(), http.MethodGet, address, "", "/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Do(req); !Final(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestDo(t *testing.T) {
	for _, x := range []struct {
		status  int
		body    string
		result  string
		text    string
		mayPass bool
	}{
		{200, `{"result":{"a":1},"status":"ok","time":0}`, `{"a":1}`, "", false},
		{200, `{"status":"ok"}`, "", "", false},
		{200, `<html>`, "", "the server answered 200 OK: <html>", false},
		{202, `{"result":true,"status":"acknowledged"}`, "true", "", false},
		{400, `{"status":{"error":"wrong"},"time":0}`, "", "wrong", false},
		{404, ``, "", "the server answered 404 Not Found: ", false},
		{408, `{"status":{"error":"late"}}`, "", "late", true},
		{429, `{"status":{"error":"many"}}`, "", "many", true},
		{503, `{"status":{"error":""}}`, "", `the server answered 503 Service Unavailable: {"status"`, true},
		{502, `{"status":"error"}`, "", "the server answered 502 Bad Gateway: ", true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(x.status)
			_, _ = w.Write([]byte(x.body))
		}))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		result, err := Do(req)
		server.Close()
		if string(result) != x.result || (err == nil) != (x.text == "") {
			t.Errorf("%d %s: %s, %v", x.status, x.body, result, err)
		}
		if err == nil {
			continue
		}
		var failure *Failure
		if !errors.As(err, &failure) || failure.Status != x.status || !strings.HasPrefix(err.Error(), x.text) || failure.MayPass() != x.mayPass || failure.RetryAfter != 7*time.Second || failure.ExitCode() == 1 != x.mayPass {
			t.Errorf("%d %s: %+v", x.status, x.body, err)
		}
	}
}

// TestKeysGoToTheirServerOnly asks a server that sends to another one.
func TestKeysGoToTheirServerOnly(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(other.URL+"/x", status))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("api-key", "key")
		_, err = Do(req)
		server.Close()
		var failure *Failure
		if !errors.As(err, &failure) || failure.MayPass() || !strings.Contains(failure.Text, "it is at "+other.URL+"/x") || asked {
			t.Errorf("%d: %v, the other server was asked: %t", status, err, asked)
		}
	}
}
