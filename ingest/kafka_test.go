package ingest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"freshet/e2e/certtest"
)

func writeFile(t *testing.T, text string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestKafkaProblems checks that each setting that cannot work is told by its
// key, and that no secret is.
func TestKafkaProblems(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t, "brokers")
	us := authority.Issue(t, "us")
	other := authority.Issue(t, "other")
	ca := writeFile(t, authority.PEM, dir, "ca.pem")
	keystore := writeFile(t, us.Key+us.Certificate, dir, "us.pem")
	noPEM := writeFile(t, "sesame", dir, "no.pem")
	token := writeFile(t, "e.y.J\n", dir, "token")
	t.Setenv("PASSWORD_FOR_TEST", "sesame")
	const jaasOf = `org.apache.kafka.common.security.%s required username="u" password="sesame";`
	for _, x := range []struct {
		yaml string
		want string // the first error, "" for none
	}{
		{"", ""},
		{"isolation.level: dirty", `kafka.isolation.level: "dirty" is not`},
		{"fetch.max.wait.ms: 60001", "kafka.fetch.max.wait.ms: 60001 is not between 1 and 60000"},
		{"security.protocol: TLS", `kafka.security.protocol: "TLS" is not PLAINTEXT, SSL`},

		{"{security.protocol: SSL}", ""},
		{"{security.protocol: SSL, ssl.truststore.type: JKS}", `kafka.ssl.truststore.type: "JKS" is not PEM`},
		{"{security.protocol: SSL, ssl.keystore.type: PKCS12}", `kafka.ssl.keystore.type: "PKCS12" is not PEM`},
		{"{security.protocol: SSL, ssl.endpoint.identification.algorithm: none}", `kafka.ssl.endpoint.identification.algorithm: "none" is neither`},
		{`{security.protocol: SSL, ssl.endpoint.identification.algorithm: ""}`, ""},
		{"{security.protocol: SSL, ssl.truststore.location: " + ca + "}", ""},
		{"{ssl.truststore.location: " + ca + "}", "kafka.ssl.truststore.location: needs security.protocol SSL"},
		{"{security.protocol: SSL, ssl.truststore.location: /nowhere}", "kafka.ssl.truststore.location: open /nowhere"},
		{"{security.protocol: SSL, ssl.truststore.location: " + noPEM + "}", "kafka.ssl.truststore.location: holds no certificate"},
		{"{security.protocol: SSL, ssl.truststore.certificates: sesame}", "kafka.ssl.truststore.certificates: holds no certificate"},
		{"{security.protocol: SSL, ssl.truststore.certificates: '${file:" + ca + "}'}", ""},
		{"{security.protocol: SSL, ssl.truststore.certificates: x, ssl.truststore.location: y}", "kafka.ssl.truststore.location: cannot be together with ssl.truststore.certificates"},
		{"{security.protocol: SSL, strimzi.ca.dir: " + t.TempDir() + "}", "kafka.strimzi.ca.dir: there is no ca.crt in"},
		{"{security.protocol: SSL, ssl.keystore.location: " + keystore + "}", ""},
		{"{security.protocol: SSL, ssl.keystore.location: " + ca + "}", "kafka.ssl.keystore.location: found a certificate rather than a key"},
		{"{security.protocol: SSL, ssl.keystore.key: sesame}", "kafka.ssl.keystore.key: ssl.keystore.key and ssl.keystore.certificate.chain belong together"},
		{"{security.protocol: SSL, ssl.keystore.key: '" + yamlLine(other.Key) + "', ssl.keystore.certificate.chain: '${file:" + keystore + "}'}", "kafka.ssl.keystore.key: "},
		{"{security.protocol: SSL, ssl.keystore.key: -----BEGIN ENCRYPTED PRIVATE KEY-----, ssl.keystore.certificate.chain: x}", "kafka.ssl.keystore.key: the key is encrypted"},
		{"{security.protocol: SSL, strimzi.user.dir: " + dir + "}", "kafka.strimzi.user.dir: open " + dir + "/user.crt"},
		{"{strimzi.user.dir: " + dir + "}", "kafka.strimzi.user.dir: needs another security.protocol than PLAINTEXT"},

		{"{sasl.mechanism: PLAIN}", "kafka.sasl.mechanism: needs security.protocol SASL_PLAINTEXT"},
		{"{sasl.password: sesame}", "kafka.sasl.password: needs security.protocol SASL_PLAINTEXT"},
		{"{security.protocol: SASL_SSL}", `kafka.sasl.mechanism: "" is not PLAIN`},
		{"{security.protocol: SASL_SSL, sasl.mechanism: GSSAPI}", `kafka.sasl.mechanism: "GSSAPI" is not PLAIN`},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN}", "kafka.sasl.username: is needed with sasl.password"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u}", "kafka.sasl.password: is empty"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: sesame}", ""},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: '${env:PASSWORD_FOR_TEST}'}", ""},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: '${env:NO_SUCH_VARIABLE}'}", "kafka.sasl.password: environment variable NO_SUCH_VARIABLE is not set"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: '${file:/nowhere}'}", "kafka.sasl.password: open /nowhere"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: '${file:/dev/zero}'}", "kafka.sasl.password: /dev/zero has more than"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: '${vault:sesame}'}", "kafka.sasl.password: of ${…:…} only"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: sesame, sasl.oauthbearer.scope: a}", "kafka.sasl.oauthbearer.scope: has no meaning for sasl.mechanism PLAIN"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.jaas.config: '" + fmt.Sprintf(jaasOf, "plain.PlainLoginModule") + "'}", ""},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.jaas.config: '" + fmt.Sprintf(jaasOf, "scram.ScramLoginModule") + "'}", "kafka.sasl.jaas.config: its login module is not the PlainLoginModule of"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.jaas.config: '" + fmt.Sprintf(jaasOf, "plain.PlainLoginModule") + "'}", "kafka.sasl.jaas.config: cannot be together with sasl.username"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: SCRAM-SHA-512, sasl.jaas.config: 'ScramLoginModule required username=\"u\";'}", "kafka.sasl.jaas.config: lacks a username or a password"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: SCRAM-SHA-512, sasl.jaas.config: 'password=\"sesame\"'}", "kafka.sasl.jaas.config: is not of the form"},
		{"{security.protocol: SASL_PLAINTEXT, strimzi.user.dir: " + dir + "}", "kafka.strimzi.user.dir: open " + dir + "/sasl.jaas.config"},

		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER}", "kafka.sasl.oauthbearer.token.endpoint.url: is needed"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'file://" + token + "'}", ""},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'file:///nowhere'}", "kafka.sasl.oauthbearer.token.endpoint.url: open /nowhere"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'file://" + ca + "'}", "kafka.sasl.oauthbearer.token.endpoint.url: " + ca + " does not hold a token"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'ftp://x'}", "kafka.sasl.oauthbearer.token.endpoint.url: is not the URL"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'https://x'}", "kafka.sasl.oauthbearer.token.endpoint.url: needs sasl.oauthbearer.client.credentials.client.id"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'https://x', sasl.password: sesame}", "kafka.sasl.password: has no meaning for sasl.mechanism OAUTHBEARER"},
		{"{security.protocol: SASL_SSL, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.token.endpoint.url: 'https://x', sasl.jaas.config: 'OAuthBearerLoginModule required clientId=\"a\" clientSecret=\"sesame\";'}", ""},
	} {
		var k Kafka
		if err := yaml.UnmarshalWithOptions([]byte(x.yaml), &k, yaml.DisallowUnknownField()); err != nil {
			t.Errorf("%s: %v", x.yaml, err)
			continue
		}
		k.setDefaults()
		var got string
		if errs := k.problems(); len(errs) > 0 {
			got = errs[0].Error()
		}
		if x.want == "" && got != "" || !strings.HasPrefix(got, x.want) {
			t.Errorf("%s\n got %s\nwant %s", x.yaml, got, x.want)
		}
		if strings.Contains(got, "sesame") {
			t.Errorf("%s: the error tells a secret: %s", x.yaml, got)
		}
	}
}

// yamlLine writes a text of several lines between single quotes.
func yamlLine(text string) string { return strings.ReplaceAll(text, "\n", "\n\n  ") }

// TestSecretsAreHidden prints settings in every way there is.
func TestSecretsAreHidden(t *testing.T) {
	k := Kafka{KafkaSASL: KafkaSASL{
		JAASConfig: "sesame", Username: "sesame", Password: "sesame", OAuthClientID: "sesame", OAuthClientSecret: "sesame",
	}, KafkaTLS: KafkaTLS{KeystoreKey: "sesame"}}
	asYAML, err := yaml.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(asYAML), string(asJSON), fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprintf("%s %q", k.Password, k.Password)} {
		if strings.Contains(text, "sesame") {
			t.Errorf("tells a secret: %s", text)
		}
		if !strings.Contains(text, hidden) {
			t.Errorf("does not tell that there is one: %s", text)
		}
	}
}

func TestParseJAAS(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="b";`: {"username": "a", "password": "b"},
		"ScramLoginModule REQUIRED\n\tusername = 'a'\n password=b ;":                                  {"username": "a", "password": "b"},
		`M required p="a\"b\\c=;d e";`:                                                                {"p": `a"b\c=;d e`},
		`M required;`:                                                                                 {},
		`M required p="";`:                                                                            {"p": ""},
		`M required p="`:                                                                              nil,
		`M required p="a"`:                                                                            nil,
		`M required p="a"; N required;`:                                                               nil,
		`M required p="a" p="b";`:                                                                     nil,
		`M p="a";`:                                                                                    nil,
		`required p="a";`:                                                                             nil,
		`"M" required;`:                                                                               nil,
		`M required =;`:                                                                               nil,
		``:                                                                                            nil,
	} {
		got, err := parseJAAS(text)
		if (err == nil) != (want != nil) || want != nil && !cmp.Equal(got.options, want) {
			t.Errorf("%s: %v, %v", text, got.options, err)
		}
	}
}

// FuzzParseJAAS checks that what has been read means the same when it is written
// with quotes.
func FuzzParseJAAS(f *testing.F) {
	f.Add(`a.B required c="d" e='f\n' g=h;`)
	f.Add(`B optional`)
	f.Add(`B required "`)
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, text string) {
		j, err := parseJAAS(text)
		if err != nil {
			return
		}
		again := "m." + j.module + " required"
		for name, value := range j.options {
			again += " " + name + `="` + quote.Replace(value) + `"`
		}
		if got, err := parseJAAS(again + ";"); err != nil || !cmp.Equal(got.options, j.options) {
			t.Errorf("%q became %v, then %v, %v", text, j.options, got.options, err)
		}
	})
}

// TestTokens asks a token endpoint, which after a while refuses and redirects.
func TestTokens(t *testing.T) {
	var requests []string
	status, answer := http.StatusOK, `{"access_token": "token-1", "token_type": "bearer", "expires_in": 3600}`
	endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		id, secret, _ := r.BasicAuth()
		requests = append(requests, id+" "+secret+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if _, err := io.WriteString(w, answer); err != nil {
			t.Error(err)
		}
	}))
	authority := certtest.NewAuthority(t, "tokens")
	pair := authority.Issue(t, "endpoint", "127.0.0.1")
	certificate, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	endpoint.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	endpoint.StartTLS()
	defer endpoint.Close()

	k := &Kafka{
		SecurityProtocol: "SASL_SSL",
		KafkaSASL:        KafkaSASL{TokenEndpoint: endpoint.URL},
		KafkaTLS:         KafkaTLS{TruststoreCertificates: Secret(authority.PEM)},
	}
	source := newTokens(k)
	c := credentials{clientID: "freshet", clientSecret: "sesame", scope: "kafka read"}
	for range 3 {
		if token, err := source.get(t.Context(), c); err != nil || token != "token-1" {
			t.Fatalf("%q, %v", token, err)
		}
	}
	const request = "freshet sesame grant_type=client_credentials&scope=kafka+read"
	if diff := cmp.Diff([]string{request}, requests); diff != "" {
		t.Errorf("(-expected +sent)\n%s", diff)
	}
	// Another secret is used at once; what the endpoint says stays there.
	c.clientSecret = "open"
	for _, x := range []struct {
		status int
		answer string
		want   string
	}{
		{http.StatusUnauthorized, `{"error": "invalid_client", "error_description": "open"}`, "token endpoint: it answered 401 Unauthorized invalid_client"},
		{http.StatusTemporaryRedirect, "open", "token endpoint: it answered 307 Temporary Redirect "},
		{http.StatusOK, "open", "token endpoint: "},
		{http.StatusOK, `{}`, "token endpoint: "},
	} {
		status, answer = x.status, x.answer
		_, err := source.get(t.Context(), c)
		if err == nil || !strings.HasPrefix(err.Error(), x.want) || strings.Contains(err.Error(), "open") {
			t.Errorf("%d %s: %v", x.status, x.answer, err)
		}
	}
	// Without a lifetime no token is used twice.
	status = http.StatusOK
	for _, want := range []string{"token-2", "token-3"} {
		answer = fmt.Sprintf(`{"access_token": %q, "token_type": "bearer"}`, want)
		if token, err := source.get(t.Context(), c); err != nil || token != want {
			t.Errorf("%q, %v", token, err)
		}
	}
	// Nobody else's certificate is accepted.
	k.TruststoreCertificates = Secret(certtest.NewAuthority(t, "others").PEM)
	if _, err := source.get(t.Context(), c); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("an endpoint of an unknown authority: %v", err)
	}
}

// TestTokenOfASlowEndpoint asks for a token while the endpoint keeps another request waiting.
func TestTokenOfASlowEndpoint(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, `{"access_token": "token-1", "expires_in": 3600}`); err != nil {
			t.Error(err)
		}
	}))
	defer endpoint.Close()
	source := newTokens(&Kafka{KafkaSASL: KafkaSASL{TokenEndpoint: endpoint.URL}})
	first := make(chan error)
	go func() {
		_, err := source.get(t.Context(), credentials{})
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.get(ctx, credentials{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
