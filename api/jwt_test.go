package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"freshet/api"
	"freshet/server"
)

// token signs claims, JSON, with a key.
func token(t testing.TB, key, claims string) string {
	t.Helper()
	return signed(t, jwt.SigningMethodHS256, []byte(key), claims)
}

func signed(t testing.TB, method jwt.SigningMethod, key any, claims string) string {
	t.Helper()
	m := jwt.MapClaims{}
	if err := json.Unmarshal([]byte(claims), &m); err != nil {
		t.Fatal(err)
	}
	s, err := jwt.NewWithClaims(method, m).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// with sends a request with a key.
func (s *service) with(key, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("api-key", key)
	return s.send(r)
}

func TestTokensThatAreRefused(t *testing.T) {
	s := startWithKeys(t)
	good := token(t, "full", `{"access":"m"}`)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	written := func(claims string) string { // as they are: signed would sort them out
		text := parts[0] + "." + encode([]byte(claims))
		signature, err := jwt.SigningMethodHS256.Sign(text, []byte("full"))
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + encode(signature)
	}
	at := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
	for name, x := range map[string]struct {
		token string
		want  int
	}{
		"good":                          {good, 200},
		"alg none":                      {signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, `{"access":"m"}`), 403},
		"alg None in the header":        {encode([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".", 401},
		"no signature":                  {parts[0] + "." + parts[1] + ".", 403},
		"no signature and no dot":       {parts[0] + "." + parts[1], 401},
		"HS512":                         {signed(t, jwt.SigningMethodHS512, []byte("full"), `{"access":"m"}`), 403},
		"RS256 said, HS256 done":        {encode([]byte(`{"alg":"RS256"}`)) + "." + parts[1] + "." + parts[2], 403},
		"signed with the read-only key": {token(t, "reader", `{"access":"m"}`), 403},
		"signed with nothing":           {signed(t, jwt.SigningMethodHS256, []byte{}, `{"access":"m"}`), 403},
		"signed with another":           {token(t, "x", `{"access":"m"}`), 403},
		"changed claims":                {parts[0] + "." + encode([]byte(`{"access":"m","a":1}`)) + "." + parts[2], 403},
		"expired":                       {token(t, "full", `{"exp":`+at(-31*time.Second)+`}`), 403},
		"expired, signed with the other": {
			token(t, "other", `{"exp":`+at(-time.Hour)+`}`), 403,
		},
		"expires":            {token(t, "full", `{"exp":`+at(time.Hour)+`}`), 200},
		"clocks differ":      {token(t, "full", `{"exp":`+at(-20*time.Second)+`}`), 200},
		"not yet":            {token(t, "full", `{"nbf":`+at(time.Hour)+`}`), 401},
		"unknown access":     {token(t, "full", `{"access":"w"}`), 401},
		"no access":          {token(t, "full", `{"access":null}`), 401},
		"unknown mode":       {token(t, "full", `{"access":[{"collection":"c","access":"m"}]}`), 401},
		"as it is written":   {written(`{"access":"m"}`), 200},
		"two accesses":       {written(`{"access":"r","access":"m"}`), 401},
		"two in two cases":   {written(`{"access":"r","ACCESS":"m"}`), 401},
		"two, folded":        {written(`{"access":"r","acce\u017f\u017f":"m"}`), 401},
		"two of a list":      {written(`{"access":[{"collection":"c","access":"r","Access":"rw"}]}`), 401},
		"two ends":           {written(`{"exp":` + at(-time.Hour) + `,"Exp":` + at(time.Hour) + `}`), 401},
		"no mode":            {token(t, "full", `{"access":[{"collection":"c"}]}`), 401},
		"two modes":          {token(t, "full", `{"access":[{"collection":"c","access":"r"},{"collection":"c","access":"rw"}]}`), 401},
		"payload":            {token(t, "full", `{"access":[{"collection":"c","access":"r","payload":{"a":1}}]}`), 401},
		"no object either":   {written(`null`), 401},
		"no object":          {written(`[]`), 401},
		"no object, changed": {parts[0] + "." + encode([]byte(`[]`)) + "." + parts[2], 403},
		"dots":               {"..", 401},
		"a long one":         {good + strings.Repeat("A", 8000), 403},
		"exp is no number":   {token(t, "full", `{"exp":"x"}`), 401},
		"audience is as is":  {token(t, "full", `{"aud":"x","sub":"y","iss":"z"}`), 200},
	} {
		if w := s.with(x.token, "GET", "/collections", ""); w.Code != x.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, x.want)
		}
	}
}

// TestTokensOfOthersAreNotRead sends a token with much to read in it that has no signature of
// ours.
func TestTokensOfOthersAreNotRead(t *testing.T) {
	s := startWithKeys(t)
	var claims strings.Builder
	const names = 5000
	for i := range names {
		fmt.Fprintf(&claims, `,"%d":1`, i)
	}
	long := token(t, "x", `{"access":"m"`+claims.String()+`}`)
	allocations := testing.AllocsPerRun(3, func() {
		if w := s.with(long, "GET", "/collections", ""); w.Code != 403 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	if allocations > names/10 {
		t.Errorf("%v allocations for a token of %d claims", allocations, names)
	}
}

// TestTokensOfCollections checks what a token of one collection sees of the others.
func TestTokensOfCollections(t *testing.T) {
	s := startWithKeys(t)
	for _, c := range []string{"mine", "other"} {
		s.with("full", "PUT", "/collections/"+c, `{"vectors":{"size":1,"distance":"Dot"}}`)
		s.with("full", "PUT", "/collections/"+c+"/points", `{"points":[{"id":1,"vector":[1],"payload":{"user":"u","n":3}}]}`)
		s.with("full", "POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"`+c+`","alias_name":"to-`+c+`"}}]}`)
	}
	mine := token(t, "full", `{"access":[{"collection":"mine","access":"rw"}]}`)
	byAlias := token(t, "full", `{"access":[{"collection":"to-other","access":"r"}]}`)
	for _, x := range []struct {
		key, method, path, body string
		want                    int
		has, hasNot             string
	}{
		{mine, "GET", "/collections", "", 200, `"mine"`, `other`},
		{mine, "GET", "/aliases", "", 200, `"to-mine"`, `other`},
		{mine, "GET", "/telemetry?details_level=3", "", 200, `"mine"`, `"other"`},
		{mine, "GET", "/collections/to-mine/points/1", "", 200, "", ""},
		{mine, "GET", "/collections/m%69ne/points/1", "", 200, "", ""},
		{mine, "GET", "/collections/other/points/1", "", 403, "access to collection other is required", ""},
		{mine, "GET", "/collections/to-other/points/1", "", 403, "", ""},
		{mine, "GET", "/collections/mine%2f..%2fother/points/1", "", 403, "", ""},
		{mine, "GET", "/collections/mine/../other/points/1", "", 403, "", ""},
		{mine, "GET", "/collections/none", "", 403, "", ""}, // does not tell whether there is one
		{mine, "PUT", "/collections/none", `{}`, 403, "", ""},
		{mine, "POST", "/collections/mine/points/query", `{"query":1,"lookup_from":{"collection":"other"}}`, 403, "access to collection other is required", ""},
		{mine, "POST", "/collections/mine/points/query", `{"query":1,"lookup_from":{"collection":"to-mine"}}`, 200, "", ""},
		{mine, "POST", "/collections/mine/points/query", `{"prefetch":{"query":1,"lookup_from":{"collection":"to-other"}},"query":[1]}`, 403, "", ""},
		{mine, "POST", "/collections/mine/points/query/batch", `{"searches":[{"query":1,"lookup_from":{"collection":"other"}}]}`, 403, "", ""},
		{mine, "POST", "/collections/mine/points/recommend", `{"positive":[1],"limit":1,"lookup_from":{"collection":"other"}}`, 403, "", ""},
		{mine, "POST", "/collections/mine/points/query/groups", `{"query":[1],"group_by":"n","limit":1,"with_lookup":"other"}`, 403, "", ""},
		{byAlias, "GET", "/collections/to-other/points/1", "", 200, "", ""},
		{byAlias, "GET", "/collections/other/points/1", "", 403, "", ""},

		{token(t, "full", `{"value_exists":{"collection":"other","matches":[{"key":"user","value":"u"},{"key":"n","value":3}]}}`), "GET", "/collections", "", 200, "", ""},
		{token(t, "full", `{"value_exists":{"collection":"other","matches":[{"key":"user","value":"u"},{"key":"n","value":4}]}}`), "GET", "/collections", "", 401, "stateful validation failed", ""},
		{token(t, "full", `{"value_exists":{"collection":"none","matches":[{"key":"user","value":"u"}]}}`), "GET", "/collections", "", 403, "stateful validation failed", ""},
		{token(t, "full", `{"value_exists":{"collection":"other","matches":[{"key":"","value":[]}]}}`), "GET", "/collections", "", 401, "", ""},
		{token(t, "full", `{"value_exists":{"collection":"other","match":[{"key":"user","value":"x"}]}}`), "GET", "/collections", "", 401, "", ""},
	} {
		w := s.with(x.key, x.method, x.path, x.body)
		if text := w.Body.String(); w.Code != x.want || !strings.Contains(text, x.has) || x.hasNot != "" && strings.Contains(text, x.hasNot) {
			t.Errorf("%s %s %s: %d %s", x.method, x.path, x.body, w.Code, text)
		}
	}
}

// TestSourcesTellOfWhatMayBeRead asks for a source that feeds many collections.
func TestSourcesTellOfWhatMayBeRead(t *testing.T) {
	s := startWithKeys(t)
	for key, want := range map[string]string{
		"full":   `"collections":["mine","other"]`,
		"reader": `"collections":["mine","other"]`,
		token(t, "full", `{"access":[{"collection":"c","access":"r"},{"collection":"mine","access":"prw"}]}`): `"collections":["mine"]`,
	} {
		if w := s.with(key, "GET", "/collections/c/sources/s/status", ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.10s: %d %s, want %s", key, w.Code, w.Body, want)
		}
	}
}

// TestAudit checks what is recorded of requests, and that no key is.
func TestAudit(t *testing.T) {
	s := startWithKeys(t)
	who := token(t, "full", `{"access":[{"collection":"c","access":"r"}],"subject":"ann\nlevel=ERROR"}`)
	s.with("full", "PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	s.with(who, "GET", "/collections/c", "")
	s.with(who, "DELETE", "/collections/c%0ax", "")
	s.with("reader", "GET", "/collections", "")
	s.with("wrong", "GET", "/none", "")
	s.with("full", "GET", "/none", "")
	s.with("full", "DELETE", "/collections/c/index/a/b", "")
	s.with(token(t, "full", `{"exp":1,"subject":"bob"}`), "GET", "/collections", "")
	s.with(token(t, "full", `{"value_exists":{"collection":"c","matches":[{"key":"a","value":"b"}]},"subject":"eve"}`), "GET", "/collections", "")
	s.with(token(t, "wrong", `{"exp":1,"subject":"bob"}`), "GET", "/collections", "")
	long := strings.Repeat("x", server.MaxNameBytes)
	s.do("GET", "/collections/"+long+"y", "")
	s.do(long+"y", "/none", "")
	s.do("GET", "/healthz", "")
	var got []string
	lines := strings.Split(strings.TrimSpace(s.logs.String()), "\n")
	for _, line := range lines {
		var r struct {
			Method, Route, Collection, By, Subject, Remote, Result string
			Status                                                 int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got = append(got, fmt.Sprintf("%s %s %q %s %q %s %s %d", r.Method, r.Route, r.Collection, r.By, r.Subject, r.Remote, r.Result, r.Status))
		for _, secret := range []string{"wrong", who, "vectors"} {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in %s", secret, line)
			}
		}
	}
	want := []string{
		`PUT /collections/:collection "c" api_key "" 192.0.2.1 allowed 200`,
		`GET /collections/:collection "c" jwt "ann\nlevel=ERROR" 192.0.2.1 allowed 200`,
		`DELETE /collections/:collection "c\nx" jwt "ann\nlevel=ERROR" 192.0.2.1 denied 403`,
		`GET /collections "" read_only_api_key "" 192.0.2.1 allowed 200`,
		`GET  "" none "" 192.0.2.1 denied 401`,
		`GET  "" api_key "" 192.0.2.1 allowed 404`,
		`DELETE /collections/:collection/index/:field "c" api_key "" 192.0.2.1 allowed 404`,
		`GET /collections "" jwt "bob" 192.0.2.1 denied 403`,
		`GET /collections "" jwt "eve" 192.0.2.1 denied 401`,
		`GET /collections "" none "" 192.0.2.1 denied 403`,
		`GET /collections/:collection "` + long + `" none "" 192.0.2.1 denied 401`,
		long + `  "" none "" 192.0.2.1 denied 401`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// brokenAudit is an audit log that cannot be written while it is broken.
type brokenAudit struct {
	slog.Handler
	broken bool
}

func (b *brokenAudit) Handle(ctx context.Context, r slog.Record) error {
	if b.broken {
		return errors.New("no space is left")
	}
	return b.Handler.Handle(ctx, r)
}

// TestAuditThatCannotBeWritten checks that requests go on, and that the log says so once.
func TestAuditThatCannotBeWritten(t *testing.T) {
	s := startWithKeys(t)
	var logged, audited strings.Builder
	audit := &brokenAudit{Handler: slog.NewJSONHandler(&audited, nil)}
	s.h = api.New(s.db, api.Options{APIKeys: []string{"full"}, Audit: audit, Logger: slog.New(slog.NewJSONHandler(&logged, nil))}).Handler()
	for _, broken := range []bool{true, true, false, true} {
		audit.broken = broken
		if w := s.with("full", "GET", "/collections", ""); w.Code != 200 {
			t.Errorf("broken: %t: %d %s", broken, w.Code, w.Body)
		}
	}
	if n := strings.Count(logged.String(), "the audit log cannot be written"); n != 2 {
		t.Errorf("it was said %d times instead of once each time it broke: %s", n, &logged)
	}
	if n := strings.Count(audited.String(), "/collections"); n != 1 {
		t.Errorf("%d records were written, want 1", n)
	}
}
