package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// KafkaSASL says how we log in.
type KafkaSASL struct {
	Mechanism  string `yaml:"sasl.mechanism,omitempty"` // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER
	JAASConfig Secret `yaml:"sasl.jaas.config,omitempty"`
	Username   Secret `yaml:"sasl.username,omitempty"` // in place of sasl.jaas.config
	Password   Secret `yaml:"sasl.password,omitempty"`

	// TokenEndpoint is where tokens come from: file:///path, or the http or https
	// URL of a token endpoint that takes client credentials.
	TokenEndpoint     string `yaml:"sasl.oauthbearer.token.endpoint.url,omitempty"`
	OAuthClientID     Secret `yaml:"sasl.oauthbearer.client.credentials.client.id,omitempty"` // in place of sasl.jaas.config
	OAuthClientSecret Secret `yaml:"sasl.oauthbearer.client.credentials.client.secret,omitempty"`
	OAuthScope        string `yaml:"sasl.oauthbearer.scope,omitempty"`
}

// loginModules are the classes that sasl.jaas.config names.
var loginModules = map[string]string{
	"PLAIN":         "PlainLoginModule",
	"SCRAM-SHA-256": "ScramLoginModule",
	"SCRAM-SHA-512": "ScramLoginModule",
	"OAUTHBEARER":   "OAuthBearerLoginModule",
}

// credentials are what we log in with.
type credentials struct {
	username, password            string
	clientID, clientSecret, scope string            // for a token endpoint
	extensions                    map[string]string // of OAUTHBEARER
}

// mechanismName returns the mechanism, which the folder of a KafkaUser implies.
func (k *Kafka) mechanismName() string {
	if k.Mechanism == "" && k.StrimziUserDir != "" {
		return "SCRAM-SHA-512"
	}
	return k.Mechanism
}

func (k *Kafka) saslProblems() []error {
	var errs []error
	login := given(setting{"sasl.username", string(k.Username)}, setting{"sasl.password", string(k.Password)})
	client := given(
		setting{"sasl.oauthbearer.token.endpoint.url", k.TokenEndpoint},
		setting{"sasl.oauthbearer.client.credentials.client.id", string(k.OAuthClientID)},
		setting{"sasl.oauthbearer.client.credentials.client.secret", string(k.OAuthClientSecret)},
		setting{"sasl.oauthbearer.scope", k.OAuthScope})
	jaas := given(setting{"sasl.jaas.config", string(k.JAASConfig)})
	strimzi := given(setting{"strimzi.user.dir", k.StrimziUserDir})
	if !k.usesSASL() {
		for _, key := range slices.Concat(given(setting{"sasl.mechanism", k.Mechanism}), jaas, login, client) {
			errs = append(errs, keyError(key, "needs security.protocol SASL_PLAINTEXT or SASL_SSL, not %s", k.SecurityProtocol))
		}
		if len(strimzi) > 0 && !k.usesTLS() {
			errs = append(errs, keyError(strimzi[0], "needs another security.protocol than %s", k.SecurityProtocol))
		}
		return errs
	}
	name := k.mechanismName()
	if loginModules[name] == "" {
		return append(errs, keyError("sasl.mechanism", "%q is not PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", name))
	}
	foreign := client
	if name == "OAUTHBEARER" {
		foreign = login
		if k.TokenEndpoint == "" {
			errs = append(errs, keyError("sasl.oauthbearer.token.endpoint.url", "is needed: file:///path of a token, or the URL of an endpoint for client credentials"))
		}
	} else if len(jaas)+len(login)+len(strimzi) == 0 {
		errs = append(errs, keyError("sasl.username", "is needed with sasl.password, or sasl.jaas.config, or strimzi.user.dir"))
	}
	for _, key := range foreign {
		errs = append(errs, keyError(key, "has no meaning for sasl.mechanism %s", name))
	}
	if len(jaas) > 0 && len(login) > 0 {
		errs = append(errs, keyError(jaas[0], "cannot be together with %s", login[0]))
	}
	if len(errs) > 0 {
		return errs
	}
	c, err := k.credentials()
	if err != nil {
		return append(errs, err)
	}
	if name == "OAUTHBEARER" {
		if err := k.checkTokenSource(c); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// credentials returns what we log in with, from the files as they are now.
func (k *Kafka) credentials() (credentials, error) {
	name := k.mechanismName()
	if k.JAASConfig != "" {
		c, err := k.jaasCredentials(name)
		if err != nil {
			return c, keyError("sasl.jaas.config", "%w", err)
		}
		return c, nil
	}
	if name != "OAUTHBEARER" && k.Username == "" && k.Password == "" {
		c, err := k.strimziCredentials(name)
		if err != nil {
			return c, keyError("strimzi.user.dir", "%w", err)
		}
		return c, nil
	}
	c := credentials{scope: k.OAuthScope}
	for _, x := range []struct {
		key    string
		secret Secret
		into   *string
		needed bool
	}{
		{"sasl.username", k.Username, &c.username, name != "OAUTHBEARER"},
		{"sasl.password", k.Password, &c.password, name != "OAUTHBEARER"},
		{"sasl.oauthbearer.client.credentials.client.id", k.OAuthClientID, &c.clientID, false},
		{"sasl.oauthbearer.client.credentials.client.secret", k.OAuthClientSecret, &c.clientSecret, false},
	} {
		var err error
		if *x.into, err = x.secret.Read(); err != nil {
			return c, keyError(x.key, "%w", err)
		}
		if x.needed && *x.into == "" {
			return c, keyError(x.key, "is empty")
		}
	}
	return c, nil
}

// jaasCredentials reads sasl.jaas.config. What a file holds in place of all of
// it is not searched for placeholders.
func (k *Kafka) jaasCredentials(mechanism string) (credentials, error) {
	if !k.JAASConfig.wholePlaceholder() {
		return fromJAAS(string(k.JAASConfig), mechanism, func(v string) (string, error) { return Secret(v).Read() })
	}
	text, err := k.JAASConfig.Read()
	if err != nil {
		return credentials{}, err
	}
	return fromJAAS(text, mechanism, verbatim)
}

// strimziCredentials reads the secret of a KafkaUser of type scram-sha-512.
func (k *Kafka) strimziCredentials(mechanism string) (credentials, error) {
	text, err := readSmall(filepath.Join(k.StrimziUserDir, "sasl.jaas.config"))
	if err != nil {
		return credentials{}, err
	}
	return fromJAAS(string(text), mechanism, verbatim)
}

func verbatim(value string) (string, error) { return value, nil }

func fromJAAS(text, mechanism string, resolve func(string) (string, error)) (credentials, error) {
	c := credentials{extensions: map[string]string{}}
	j, err := parseJAAS(text)
	if err != nil {
		return c, err
	}
	if want := loginModules[mechanism]; j.module != want {
		return c, fmt.Errorf("its login module is not the %s of sasl.mechanism %s", want, mechanism)
	}
	for name, value := range j.options {
		if value, err = resolve(value); err != nil {
			return c, fmt.Errorf("option %s: %w", name, err)
		}
		extension, isExtension := strings.CutPrefix(name, "extension_")
		switch {
		case isExtension:
			c.extensions[extension] = value
		case name == "username":
			c.username = value
		case name == "password":
			c.password = value
		case name == "clientId":
			c.clientID = value
		case name == "clientSecret":
			c.clientSecret = value
		case name == "scope":
			c.scope = value
		}
	}
	if mechanism != "OAUTHBEARER" && (c.username == "" || c.password == "") {
		return c, errors.New("lacks a username or a password")
	}
	return c, nil
}

// checkTokenSource says what prevents getting tokens, short of asking for one.
func (k *Kafka) checkTokenSource(c credentials) error {
	const key = "sasl.oauthbearer.token.endpoint.url"
	u, err := url.Parse(k.TokenEndpoint)
	switch {
	case err != nil || u.Scheme != "file" && u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		return keyError(key, "is not the URL of a file or of an http or https endpoint")
	case u.Scheme == "file":
		if _, err := tokenFrom(u.Path); err != nil {
			return keyError(key, "%w", err)
		}
	case c.clientID == "" || c.clientSecret == "":
		return keyError(key, "needs sasl.oauthbearer.client.credentials.client.id and ….client.secret, or clientId and clientSecret in sasl.jaas.config")
	}
	return nil
}

// mechanism logs in with the credentials that the files have at that moment.
func (k *Kafka) mechanism() sasl.Mechanism {
	byScram := func(context.Context) (scram.Auth, error) {
		c, err := k.credentials()
		return scram.Auth{User: c.username, Pass: c.password}, err
	}
	switch k.mechanismName() {
	case "SCRAM-SHA-256":
		return scram.Sha256(byScram)
	case "SCRAM-SHA-512":
		return scram.Sha512(byScram)
	case "OAUTHBEARER":
		tokens := newTokens(k)
		return bearer{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			c, err := k.credentials()
			if err != nil {
				return oauth.Auth{}, err
			}
			token, err := tokens.get(ctx, c)
			return oauth.Auth{Token: token, Extensions: c.extensions}, err
		})}
	}
	return plain.Plain(func(context.Context) (plain.Auth, error) {
		c, err := k.credentials()
		return plain.Auth{User: c.username, Pass: c.password}, err
	})
}
