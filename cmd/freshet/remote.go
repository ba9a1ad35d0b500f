package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/pflag"

	"freshet/cmd/freshet/internal/rest"
)

// remote is a running server.
type remote struct{ url, key string }

func (r *remote) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.url, "url", "http://127.0.0.1:6333", "the server")
	f.StringVar(&r.key, "api-key", "", "API key of the server (environment: FRESHET_API_KEY)")
}

// keyOr returns the key of the flag, or else that of the environment: others on the machine
// see what a command was called with.
func keyOr(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv("FRESHET_API_KEY")
}

// request makes a request.
func (r *remote) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	req, err := rest.Request(ctx, method, r.url, keyOr(r.key), path, body)
	if err != nil {
		return nil, fmt.Errorf("--url %s: %w", r.url, err)
	}
	return req, nil
}

// result sends a request and returns the result of the answer.
func (r *remote) result(req *http.Request) (json.RawMessage, error) {
	result, err := rest.Do(req)
	var failure *rest.Failure
	if errors.As(err, &failure) && failure.Status == http.StatusUnauthorized {
		err = fmt.Errorf("%w (FRESHET_API_KEY or --api-key gives one)", err)
	}
	return result, err
}
