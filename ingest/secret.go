package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// Secret is a setting that is never shown. ${env:NAME} in it stands for what the
// environment variable holds, ${file:PATH} for what the file holds, without the
// line break at its end. Both are read anew each time the setting is used.
type Secret string

// maxSecretBytes bounds a file that a setting names.
const maxSecretBytes = 1 << 20

const hidden = "[hidden]"

// String hides the secret from whatever prints it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

var placeholder = regexp.MustCompile(`\$\{([^}:]*):([^}]*)\}`)

// wholePlaceholder says whether the setting is one placeholder and nothing else.
func (s Secret) wholePlaceholder() bool {
	at := placeholder.FindStringIndex(string(s))
	return at != nil && at[0] == 0 && at[1] == len(s)
}

// Read returns the secret as it is now. Its errors do not contain it.
func (s Secret) Read() (string, error) {
	var errs []error
	text := placeholder.ReplaceAllStringFunc(string(s), func(match string) string {
		parts := placeholder.FindStringSubmatch(match)
		value, err := resolve(parts[1], parts[2])
		errs = append(errs, err)
		return value
	})
	return text, errors.Join(errs...)
}

func resolve(provider, name string) (string, error) {
	switch provider {
	case "env":
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return value, nil
	case "file":
		value, err := readSmall(name)
		return strings.TrimRight(string(value), "\r\n"), err
	}
	return "", errors.New("of ${…:…} only ${env:NAME} and ${file:PATH} are known")
}

// readSmall reads a file that holds a secret or certificates.
func readSmall(path string) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err == nil && len(raw) > maxSecretBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, maxSecretBytes)
	}
	return raw, err
}
