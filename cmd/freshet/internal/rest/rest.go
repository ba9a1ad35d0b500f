// Package rest reads the answers of a server that has Qdrant's REST API: each is
// {"result": …, "status": …}, and the status of one that fails says why.
package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 256 << 20

// ErrTooLarge says that an answer was not read to its end.
var ErrTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Failure is an answer without a result.
type Failure struct {
	Status int    // of HTTP
	Text   string // what the server says of it, or what it has sent
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

// Result reads an answer, closes it, and returns what it is for. It returns a *Failure if
// there is none.
func Result(res *http.Response) (json.RawMessage, error) {
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err := errors.Join(err, res.Body.Close()); err != nil {
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
	var status struct {
		Error string `json:"error"`
	}
	if err == nil && json.Unmarshal(answer.Status, &status) == nil && status.Error != "" {
		return nil, &Failure{res.StatusCode, status.Error}
	}
	return nil, &Failure{res.StatusCode, fmt.Sprintf("the server answered %s: %.200s", res.Status, raw)}
}
