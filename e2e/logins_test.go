//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/e2e/certtest"
)

// TestLogins consumes from brokers that know a user by each mechanism of SASL, which a
// wrong password or token does not get in by.
func TestLogins(t *testing.T) {
	t.Parallel()
	write := filesOf(t)
	authority := certtest.NewAuthority(t, "everybody")
	broker := authority.Issue(t, "broker", "127.0.0.1")
	ca := write("ca.crt", authority.PEM)
	c := startCluster(t, ca, write("broker.pem", broker.Key+broker.Certificate), "sesame")
	producer, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.internal, ",")...), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	record := kgo.StringRecord(`{"id": 1, "embedding": [1, 2]}`)
	if err := producer.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}

	password := func(text string) string { return "sasl.username: freshet\n  sasl.password: " + text }
	token := func(name, text string) string {
		return "sasl.oauthbearer.token.endpoint.url: file://" + write(name, text)
	}
	for mechanism, settings := range map[string]struct{ right, wrong string }{
		"PLAIN":         {password("sesame"), password("simsim")},
		"SCRAM-SHA-256": {password("sesame"), password("simsim")},
		"SCRAM-SHA-512": {password("sesame"), password("simsim")},
		"OAUTHBEARER":   {token("token", unsigned(time.Now().Add(time.Hour))), token("expired", unsigned(time.Now().Add(-time.Hour)))},
	} {
		t.Run(mechanism, func(t *testing.T) {
			start := func(login string) *freshet {
				return startFreshet(t, fmt.Sprintf(`
kafka:
  bootstrap.servers: %s
  security.protocol: SASL_SSL
  ssl.truststore.location: %s
  sasl.mechanism: %s
  %s
sources: [{name: docs, topics: [t], on_create: {auto: true, distance: Dot}}]
`, c.scram, ca, mechanism, login))
			}
			f := start(settings.right)
			eventually(t, 30*time.Second, func() error {
				var found struct{ Count int }
				if err := f.call("POST", "/collections/docs/points/count", nil, map[string]any{}, &found); err != nil {
					return err
				}
				if found.Count != 1 {
					return fmt.Errorf("%d points", found.Count)
				}
				return nil
			})
			f.kill()
			f = start(settings.wrong)
			eventually(t, 30*time.Second, func() error {
				var status struct{ State, Error string }
				if err := f.call("GET", "/collections/docs/sources/docs/status", nil, nil, &status); err != nil {
					return err
				}
				if status.State != "retrying" || !strings.Contains(strings.ToLower(status.Error), "sasl") {
					return fmt.Errorf("the source is %s: %s", status.State, status.Error)
				}
				return nil
			})
			f.kill()
		})
	}
}

// unsigned returns a token as brokers take it that check no signatures.
func unsigned(until time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub":"freshet","iat":%d,"exp":%d}`, until.Add(-2*time.Hour).Unix(), until.Unix())
	return part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + "."
}
