package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/semaphore"
)

// tokens gets the tokens of OAUTHBEARER.
type tokens struct {
	kafka *Kafka

	turn  *semaphore.Weighted // of one: guards what follows
	from  tokenRequest        // what token was given for
	token string
	until time.Time // when to ask for another one
}

func newTokens(k *Kafka) *tokens { return &tokens{kafka: k, turn: semaphore.NewWeighted(1)} }

type tokenRequest struct{ id, secret, scope string }

// tokenTimeout bounds a request for a token.
const tokenTimeout = 10 * time.Second

// get returns a token: what the file holds now, or the endpoint's. The
// endpoint is asked again after half of a token's life, so that no connection
// begins with one that is about to end.
func (t *tokens) get(ctx context.Context, c credentials) (string, error) {
	u, err := url.Parse(t.kafka.TokenEndpoint)
	if err != nil {
		return "", errors.New("the URL of the token endpoint is none")
	}
	if u.Scheme == "file" {
		return tokenFrom(u.Path)
	}
	from := tokenRequest{c.clientID, c.clientSecret, c.scope}
	if err := t.turn.Acquire(ctx, 1); err != nil { // another request may take its time
		return "", fmt.Errorf("token endpoint: %w", err)
	}
	defer t.turn.Release(1)
	if t.from == from && time.Now().Before(t.until) {
		return t.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	client, err := t.kafka.tokenClient()
	if err != nil {
		return "", err
	}
	token, err := from.send(context.WithValue(ctx, oauth2.HTTPClient, client), t.kafka.TokenEndpoint)
	if err != nil {
		return "", fmt.Errorf("token endpoint: %w", err)
	}
	t.from, t.token, t.until = from, token.AccessToken, time.Time{}
	if !token.Expiry.IsZero() {
		t.until = time.Now().Add(time.Until(token.Expiry) / 2)
	}
	return t.token, nil
}

// send asks the endpoint. Of an answer that is no token only what OAuth
// defines becomes part of the error.
func (r tokenRequest) send(ctx context.Context, endpoint string) (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID: r.id, ClientSecret: r.secret, TokenURL: endpoint, Scopes: strings.Fields(r.scope),
	}
	token, err := config.Token(ctx)
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("it answered %s %s", refused.Response.Status, refused.ErrorCode)
	}
	return token, err
}

// tokenClient trusts the system's authorities and those of the brokers.
func (k *Kafka) tokenClient() (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if k.usesTLS() {
		list, err := k.authorities()
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			pool.AddCert(c)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool},
		},
		// A redirect would take the secret elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// tokenFrom reads a token from a file.
func tokenFrom(path string) (string, error) {
	text, err := readSmall(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold a token", path)
	}
	return token, nil
}
