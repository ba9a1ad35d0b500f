package move

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Server is where a server is and how to get in.
type Server struct {
	URL    string // http://host:port
	APIKey string // empty: none
}

const (
	maxAnswer   = 256 << 20       // bytes of one answer
	callTimeout = 2 * time.Minute // of one try
	retryFor    = 5 * time.Minute // altogether
)

// refused is an answer that says the request is wrong.
type refused struct {
	status int
	text   string
}

func (e *refused) Error() string { return e.text }

// ExitCode says that trying again does not help.
func (e *refused) ExitCode() int { return 2 }

// do sends a request and decodes the result of the answer into out, unless it is
// nil. What may pass is tried again: no connection, 408, 429 and 5xx.
func (s Server) do(ctx context.Context, method, path string, body []byte, out any) error {
	result, err := backoff.Retry(ctx, func() (json.RawMessage, error) {
		return s.try(ctx, method, path, body)
	}, backoff.WithMaxElapsedTime(retryFor))
	if err != nil {
		return fmt.Errorf("%s: %w", s.URL, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(result, out); err != nil {
		return fmt.Errorf("%s: %s %s answered something else: %w", s.URL, method, path, err)
	}
	return nil
}

func (s Server) try(ctx context.Context, method, path string, body []byte) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(&refused{text: err.Error()})
	}
	req.Header.Set("Content-Type", "application/json")
	if s.APIKey != "" {
		req.Header.Set("api-key", s.APIKey)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxAnswer:
		return nil, backoff.Permanent(&refused{text: fmt.Sprintf("the answer to %s has more than %d bytes, try a smaller --batch", path, maxAnswer)})
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Status json.RawMessage `json:"status"`
	}
	errJSON := json.Unmarshal(raw, &answer)
	if res.StatusCode < 300 {
		if errJSON != nil {
			return nil, backoff.Permanent(fmt.Errorf("%s %s: not an answer of Qdrant's API: %w", method, path, errJSON))
		}
		return answer.Result, nil
	}
	var status struct{ Error string }
	text := fmt.Sprintf("%s %s: %s", method, path, res.Status)
	if errJSON == nil && json.Unmarshal(answer.Status, &status) == nil && status.Error != "" {
		text = status.Error
	} else if errJSON != nil && len(raw) > 0 {
		text += fmt.Sprintf(": %.200s", raw)
	}
	if res.StatusCode == http.StatusTooManyRequests {
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return nil, fmt.Errorf("%s: %w", text, backoff.RetryAfter(seconds))
		}
	}
	failure := &refused{status: res.StatusCode, text: text}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout || res.StatusCode >= 500 {
		return nil, fmt.Errorf("%s", text)
	}
	return nil, backoff.Permanent(failure)
}

func collectionPath(name string, rest string) string {
	return "/collections/" + url.PathEscape(name) + rest
}

func (s Server) exists(ctx context.Context, collection string) (bool, error) {
	var answer struct{ Exists bool }
	err := s.do(ctx, http.MethodGet, collectionPath(collection, "/exists"), nil, &answer)
	return answer.Exists, err
}

// send is do with a body that is made of v.
func (s Server) send(ctx context.Context, method, path string, v, out any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.do(ctx, method, path, body, out)
}
