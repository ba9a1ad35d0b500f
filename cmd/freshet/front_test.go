package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"freshet/api"
	"freshet/e2e/certtest"
	"freshet/server"
)

// listening is a front on a free port until the test ends.
func listening(t *testing.T, files tlsConfig) *front {
	t.Helper()
	c := defaultConfig()
	c.HTTP.Listen, c.HTTP.TLS = "127.0.0.1:0", files
	f, err := listen(context.Background(), &c.HTTP, 100, slog.New(slog.DiscardHandler), api.Loading(new(server.Progress)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.end(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestFrontWhileLoading checks what is answered before the database is open, and that
// the port changes over without a break.
func TestFrontWhileLoading(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	f := listening(t, tlsConfig{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, x := range []struct {
		method, path string
		want         int
		text         string
	}{
		{"GET", "/livez", 200, "healthz check passed"},
		{"GET", "/healthz", 200, "healthz check passed"},
		{"GET", "/readyz", 503, "some shards are not ready\nopening the store"},
		{"GET", "/collections", 503, `{"error":"Service unavailable: opening the store"}`},
		{"PUT", "/collections/c", 503, "opening the store"},
	} {
		req, err := http.NewRequestWithContext(context.Background(), x.method, "http://"+f.address+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != x.want || !strings.Contains(string(body), x.text) || (x.want == 503) != (res.Header.Get("Retry-After") == "1") {
			t.Errorf("%s %s: %d %q %v", x.method, x.path, res.StatusCode, body, res.Header)
		}
	}
	f.show(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	res, err := client.Get("http://" + f.address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusTeapot {
		t.Errorf("%d %v", res.StatusCode, err)
	}
}

// TestTLS checks that connections are encrypted, that new certificates are used without
// a restart, and that clients need one where that is demanded.
func TestTLS(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	dir := t.TempDir()
	write := func(name, pem string, changed time.Time) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(pem), 0o600)
		if err == nil {
			err = os.Chtimes(path, changed, changed)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	began := time.Now().Add(-time.Hour)
	old, renewed, clients := certtest.NewAuthority(t, "old"), certtest.NewAuthority(t, "new"), certtest.NewAuthority(t, "clients")
	pair := old.Issue(t, "server", "127.0.0.1")
	files := tlsConfig{Cert: write("tls.crt", pair.Certificate, began), Key: write("tls.key", pair.Key, began)}
	f := listening(t, files)
	sessions := tls.NewLRUClientSessionCache(0) // by which clients go on where the last connection ended
	resumed := false
	get := func(roots *x509.CertPool, own ...tls.Certificate) error {
		transport := &http.Transport{
			DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: own, ClientSessionCache: sessions},
		}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + f.address + "/livez")
		if err != nil {
			return err
		}
		if res.ProtoMajor != 2 {
			t.Errorf("it speaks %s", res.Proto)
		}
		resumed = res.TLS.DidResume
		return res.Body.Close()
	}
	if err := get(old.Pool(t)); err != nil {
		t.Error(err)
	}
	if err := get(renewed.Pool(t)); err == nil {
		t.Error("the certificate is of nobody the client trusts")
	}
	// The certificate changes first, then the key: between the two the old pair counts.
	next := renewed.Issue(t, "server", "127.0.0.1")
	write("tls.crt", next.Certificate, began.Add(time.Minute))
	if err := get(old.Pool(t)); err != nil {
		t.Errorf("while the key does not fit the certificate: %v", err)
	}
	// A file may become readable without a sign of change, as one does by chmod.
	write("tls.key", strings.Repeat("x", len(next.Key)), began.Add(time.Minute))
	if err := get(old.Pool(t)); err != nil {
		t.Errorf("while the key cannot be read: %v", err)
	}
	write("tls.key", next.Key, began.Add(time.Minute))
	if err := get(renewed.Pool(t)); err != nil {
		t.Errorf("after the change: %v", err)
	}
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	if err := get(renewed.Pool(t)); err != nil {
		t.Errorf("without a file: %v", err)
	}

	files.Cert = write("tls.crt", next.Certificate, began)
	files.ClientCA = write("clients.crt", clients.PEM, began)
	f = listening(t, files) // get asks the second now
	if err := get(renewed.Pool(t)); err == nil {
		t.Error("a client without a certificate was let in")
	}
	wanted := clients.Issue(t, "client")
	own, err := tls.X509KeyPair([]byte(wanted.Certificate), []byte(wanted.Key))
	if err != nil {
		t.Fatal(err)
	}
	if err := get(renewed.Pool(t), own); err != nil {
		t.Errorf("a client with a certificate: %v", err)
	}
	if err := get(renewed.Pool(t), own); err != nil || !resumed {
		t.Errorf("a client that comes again: %v, resumed: %t", err, resumed)
	}
	write("clients.crt", certtest.NewAuthority(t, "others").PEM, began.Add(time.Minute))
	if err := get(renewed.Pool(t), own); err == nil {
		t.Error("a client of an authority that does not count any more was let in")
	}
}

func TestTLSThatCannotBe(t *testing.T) {
	pair := certtest.NewAuthority(t, "a").Issue(t, "server", "127.0.0.1")
	other := certtest.NewAuthority(t, "b").Issue(t, "server", "127.0.0.1")
	dir := t.TempDir()
	for name, pem := range map[string]string{"crt": pair.Certificate, "key": pair.Key, "other": other.Key, "none": "no PEM"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(pem), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, x := range []struct {
		files tlsConfig
		want  string
	}{
		{tlsConfig{Cert: in("crt"), Key: in("missing")}, "http.tls: stat "},
		{tlsConfig{Cert: in("crt"), Key: in("other")}, "private key does not match"},
		{tlsConfig{Cert: in("none"), Key: in("key")}, in("none")},
		{tlsConfig{Cert: in("crt"), Key: in("key"), ClientCA: in("none")}, "has no certificate in PEM"},
	} {
		c := defaultConfig()
		c.HTTP.Listen, c.HTTP.TLS = "127.0.0.1:0", x.files
		_, err := listen(context.Background(), &c.HTTP, 100, slog.New(slog.DiscardHandler), http.NotFoundHandler())
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%v: %v", x.files, err)
		}
	}
}
