// Package rest asks a server that has Qdrant's REST API. Each answer is
// {"result": …, "status": …}, and the status of one that fails says why.
package rest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
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

// Do sends a request and returns the result of the answer. It returns a *Failure if there is
// none.
func Do(req *http.Request) (json.RawMessage, error) {
	res, err := http.DefaultClient.Do(req)
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
	failure := &Failure{Status: res.StatusCode, Text: fmt.Sprintf("the server answered %s: %.200s", res.Status, raw)}
	var status struct {
		Error string `json:"error"`
	}
	if err == nil && json.Unmarshal(answer.Status, &status) == nil && status.Error != "" {
		failure.Text = status.Error
	}
	if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16); err == nil {
		failure.RetryAfter = time.Duration(seconds) * time.Second
	}
	return nil, failure
}
