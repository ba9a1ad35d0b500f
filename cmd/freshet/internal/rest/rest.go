// Package rest asks a server that has Qdrant's REST API. Each answer is
// {"result": …, "status": …}, and the status of one that fails says why.
package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 256 << 20

// ErrTooLarge says that an answer was not read to its end.
var ErrTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Failure is an answer without a result.
type Failure struct {
	Status     int           // of HTTP
	Text       string        // what the server says of it, or what it has sent
	RetryAfter time.Duration // what the server asks for; 0: nothing
}

func (f *Failure) Error() string { return f.Text }

// MayPass says whether it helps to send the request again.
func (f *Failure) MayPass() bool {
	switch f.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	default:
		return f.Status >= http.StatusInternalServerError
	}
}

// ExitCode is that of a command that was wrong, or of one to be tried again.
func (f *Failure) ExitCode() int {
	if f.MayPass() {
		return 1
	}
	return 2
}

// Client follows no redirect: the key is for the server that was named, and of a POST it would
// make a GET.
var Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Refusal describes an answer that is not the one asked for, by its head.
func Refusal(res *http.Response) *Failure {
	f := &Failure{Status: res.StatusCode, Text: "the server answered " + res.Status}
	if at, err := res.Location(); err == nil && res.StatusCode/100 == 3 {
		f.Text += fmt.Sprintf(", it is at %s: the key is not sent there, its address has to be given", at.Redacted())
	}
	if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16); err == nil {
		f.RetryAfter = time.Duration(seconds) * time.Second
	}
	return f
}

// Final says whether trying again does not help: whatever was wrong, the command ends with 2.
func Final(err error) bool {
	var own interface{ ExitCode() int }
	return errors.As(err, &own) && own.ExitCode() == 2
}

// unusable is an error of an address, or of who answers there: to try again does not help.
type unusable struct{ error }

func (unusable) ExitCode() int   { return 2 }
func (u unusable) Unwrap() error { return u.error }

// Request makes a request of the server at an address, http(s)://host:port; key "" is none.
func Request(ctx context.Context, method, address, key, path string, body io.Reader) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, unusable{errors.New("no address of a server: want http://HOST:PORT or https://HOST:PORT")}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(address, "/")+path, body)
	if err != nil {
		return nil, unusable{err}
	}
	if key != "" {
		req.Header.Set("api-key", key)
	}
	return req, nil
}

// Do sends a request and returns the result of the answer. It returns a *Failure if there is
// none.
func Do(req *http.Request) (json.RawMessage, error) {
	res, err := Client.Do(req)
	if certificate := new(tls.CertificateVerificationError); errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch) {
		return nil, unusable{err}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // all that is wanted is read
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(raw) > maxAnswer {
		return nil, ErrTooLarge
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Status json.RawMessage `json:"status"`
	}
	err = json.Unmarshal(raw, &answer)
	if err == nil && res.StatusCode/100 == 2 {
		return answer.Result, nil
	}
	failure := Refusal(res)
	if res.StatusCode/100 != 3 {
		failure.Text += fmt.Sprintf(": %.200s", bytes.TrimSpace(raw))
	}
	var status struct {
		Error string `json:"error"`
	}
	if err == nil && json.Unmarshal(answer.Status, &status) == nil && status.Error != "" {
		failure.Text = status.Error
	}
	return nil, failure
}
