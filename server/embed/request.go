package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// How a fault that may pass is met inside one call. Sources go on beyond it.
const (
	maxTries   = 5
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// maxPause is the longest pause that the endpoint may ask for and is waited for;
	// for a longer one the call fails, and says when to come again.
	maxPause      = 5 * time.Second
	maxRetryAfter = 5 * time.Minute
)

// maxKey bounds an API key, in bytes.
const maxKey = 16 << 10

func newClient(concurrency int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: concurrency,
			IdleConnTimeout:     90 * time.Second,
		},
		// An endpoint that has moved is one to configure anew: the key is for this one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request asks for the vectors of a batch, again after a fault that may pass.
func (m *Model) request(ctx context.Context, batch []*job) ([][]float32, error) {
	body, err := m.body(batch)
	if err != nil {
		return nil, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, lastPause, 2
	var last error
	vectors, err := backoff.Retry(ctx, func() ([][]float32, error) {
		vectors, err := m.attempt(ctx, body, len(batch))
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return vectors, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && last != nil {
		err = last // says more than that the time is over
	}
	return vectors, err
}

func (m *Model) body(batch []*job) ([]byte, error) {
	texts := make([]string, len(batch))
	for i, j := range batch {
		texts[i] = j.text
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Model    string   `json:"model"`
		Encoding string   `json:"encoding_format"`
		Input    []string `json:"input"`
	}{m.cfg.Model, m.cfg.Encoding, texts})
	if err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(bytes.TrimSpace(buf.Bytes()), []byte{'}'})
	return append(append(body, batch[0].options...), '}'), nil
}

// attempt sends one request. Faults that will not pass by themselves are marked as
// permanent.
func (m *Model) attempt(ctx context.Context, body []byte, texts int) ([][]float32, error) {
	if err := m.pause(ctx); err != nil {
		return nil, backoff.Permanent(err)
	}
	if err := m.slots.Acquire(ctx, 1); err != nil {
		return nil, backoff.Permanent(err)
	}
	defer m.slots.Release(1)
	began := time.Now()
	vectors, err := m.exchange(ctx, body, texts)
	if ctx.Err() != nil {
		return nil, backoff.Permanent(ctx.Err())
	}
	m.metrics.seconds.WithLabelValues(m.cfg.Name).Observe(time.Since(began).Seconds())
	outcome := outcomeOK
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFault
	}
	m.metrics.requests.WithLabelValues(m.cfg.Name, outcome).Inc()
	return vectors, err
}

// pause waits until the endpoint wants to be asked again.
func (m *Model) pause(ctx context.Context) error {
	at := m.resumes.Load()
	if at == nil {
		return nil
	}
	wait := time.Until(*at)
	if wait <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); wait > maxPause || ok && time.Until(deadline) < wait {
		fault := m.fault("the endpoint asks to wait %s", wait.Round(time.Millisecond))
		fault.RetryAfter = wait
		return fault
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Model) exchange(ctx context.Context, body []byte, texts int) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(m.fault("the address cannot be asked"))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "freshet")
	secret, err := m.apiKey()
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := m.client.Do(req)
	if err != nil {
		return nil, m.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // all that counts has been read
	limit := maxAnswer(texts, m.cfg.Dimension)
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, m.status(res, message(raw, secret))
	case err != nil:
		return nil, m.unreachable(err)
	case int64(len(raw)) > limit:
		return nil, backoff.Permanent(m.fault("the answer has more than %d bytes for %d texts", limit, texts))
	}
	vectors, err := readAnswer(raw, texts, m.cfg.Dimension)
	if err != nil {
		return nil, backoff.Permanent(m.fault("%v", err))
	}
	return vectors, nil
}

// unreachable explains a connection that was not made, broke or was silent. The
// address is left out: it may hold a secret.
func (m *Model) unreachable(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return m.fault("the endpoint did not answer in %s", m.cfg.Timeout)
	}
	return m.fault("the endpoint cannot be reached: %v", err)
}

// status turns an answer that is no success into an error.
func (m *Model) status(res *http.Response, message string) error {
	said := "the endpoint answered " + strconv.Itoa(res.StatusCode)
	switch code := res.StatusCode; {
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return backoff.Permanent(m.refuse("%s%s", said, message))
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return backoff.Permanent(m.fault("%s: the key is missing or not the right one", said)) // messages repeat keys
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		fault := m.fault("%s%s", said, message)
		if wait := retryAfter(res.Header.Get("Retry-After"), time.Now()); wait > 0 {
			fault.RetryAfter = wait
			at := time.Now().Add(wait)
			m.resumes.Store(&at)
		}
		return fault
	default:
		return backoff.Permanent(m.fault("%s%s", said, message))
	}
}

// retryAfter reads the header, which has seconds or a date; 0 for neither.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// maxMessage bounds what is repeated of an answer, in bytes.
const maxMessage = 300

// message finds what an answer says is wrong, without the key.
func message(raw []byte, secret string) string {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  string          `json:"detail"`
	}
	text := ""
	if err := json.Unmarshal(raw, &body); err == nil {
		var nested struct {
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(body.Error, &nested) == nil && nested.Message != "":
			text = nested.Message
		case json.Unmarshal(body.Error, &text) == nil && text != "":
		case body.Message != "":
			text = body.Message
		default:
			text = body.Detail
		}
	}
	if text == "" {
		text = string(raw[:min(len(raw), maxKey)])
	}
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "…")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = text[:maxMessage] + "…"
	}
	if text = strings.ToValidUTF8(text, ""); text == "" {
		return ""
	}
	return ": " + text
}

// apiKey reads the key, "" for none.
func (m *Model) apiKey() (string, error) {
	var secret string
	switch {
	case m.cfg.APIKeyFile != "":
		f, err := os.Open(m.cfg.APIKeyFile)
		if err != nil {
			return "", m.fault("api_key_file: %v", err)
		}
		defer func() { _ = f.Close() }() // it was read only
		raw, err := io.ReadAll(io.LimitReader(f, maxKey+1))
		if err != nil {
			return "", m.fault("api_key_file: %v", err)
		}
		secret = strings.TrimSpace(string(raw))
	case m.cfg.APIKeyEnv != "":
		secret = strings.TrimSpace(os.Getenv(m.cfg.APIKeyEnv))
	default:
		return "", nil
	}
	if secret == "" || len(secret) > maxKey || strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", m.fault("the API key is not of 1 to %d visible characters of ASCII", maxKey)
	}
	return secret, nil
}
