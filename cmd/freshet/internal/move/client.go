package move

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"

	"freshet/cmd/freshet/internal/rest"
)

// Server is where a server is and how to get in.
type Server struct {
	URL    string      // http://host:port
	APIKey string      // empty: none
	Again  func(error) // is told why a request is sent again; nil: nobody
}

const (
	callTimeout = 2 * time.Minute // of one try
	retryFor    = 5 * time.Minute // altogether
)

// do sends a request and decodes the result of the answer into out, unless it is
// nil. What may pass is tried again: no connection, 408, 429 and 5xx.
func (s Server) do(ctx context.Context, method, path string, body []byte, out any) error {
	result, err := backoff.Retry(ctx, func() (json.RawMessage, error) {
		return s.try(ctx, method, path, body)
	}, backoff.WithMaxElapsedTime(retryFor), backoff.WithNotify(func(err error, _ time.Duration) {
		if s.Again != nil {
			s.Again(fmt.Errorf("%s: %w", s.URL, err))
		}
	}))
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
	req, err := rest.Request(ctx, method, s.URL, s.APIKey, path, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	result, err := rest.Do(req)
	var failure *rest.Failure
	switch {
	case errors.Is(err, rest.ErrTooLarge):
		return nil, backoff.Permanent(wrong("%s: %w; try a smaller --batch", path, err))
	case rest.Final(err):
		return nil, backoff.Permanent(err)
	case errors.As(err, &failure) && failure.RetryAfter > 0:
		return nil, fmt.Errorf("%w: %w", err, &backoff.RetryAfterError{Duration: failure.RetryAfter})
	}
	return result, err
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
