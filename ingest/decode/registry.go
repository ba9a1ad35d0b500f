package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// RegistrySettings say where schemas are to be had, from a registry that speaks
// Confluent's protocol.
type RegistrySettings struct {
	URL          string `yaml:"url"` // http(s)://host:port,…
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
}

// Validate says what cannot work.
func (s *RegistrySettings) Validate() error {
	if (s.Username == "") != (s.PasswordFile == "") {
		return errors.New("username and password_file need each other")
	}
	if s.URL == "" {
		if s.Username != "" {
			return errors.New("url is needed")
		}
		return nil
	}
	for _, text := range strings.Split(s.URL, ",") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("url: %q is not http(s)://host:port", text)
		}
		if u.User != nil {
			return errors.New("url: a password belongs in password_file")
		}
	}
	return nil
}

// A registry is asked again for what it did not have after so long, and it has so
// long to answer.
const (
	missingFor      = 30 * time.Second
	registryTimeout = 10 * time.Second
)

// Bounds of what is kept and of what a registry may answer.
const (
	maxSchemas       = 10_000
	maxSchemaBytes   = 16 << 20
	maxSchemaParents = 1000 // that one schema refers to, in all
)

// Registry fetches schemas and keeps them: what an id stands for never changes. It
// may be used by several goroutines.
type Registry struct {
	client *sr.Client
	mu     sync.Mutex
	kept   map[string]registered // by id or GUID
}

// registered is what an id stands for.
type registered struct {
	format Format
	schema transcoder
	err    error     // *Error: there is no such schema, or it is none
	until  time.Time // that err counts
}

// transcoder turns what was written with a schema into JSON.
type transcoder interface {
	transcode(data []byte) ([]byte, error)
}

// NewRegistry returns a client of the registry, nil if none is configured.
func NewRegistry(s RegistrySettings) (*Registry, error) {
	if s.URL == "" {
		return nil, nil
	}
	opts := []sr.ClientOpt{
		sr.URLs(strings.Split(s.URL, ",")...),
		sr.HTTPClient(&http.Client{Timeout: registryTimeout, Transport: boundedAnswers{http.DefaultTransport}}),
	}
	if s.Username != "" {
		// The file is read anew each time, so that a new password needs no restart.
		opts = append(opts, sr.PreReq(func(r *http.Request) error {
			password, err := os.ReadFile(s.PasswordFile)
			if err != nil {
				return err
			}
			r.SetBasicAuth(s.Username, strings.TrimRight(string(password), "\r\n"))
			return nil
		}))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	return &Registry{client: client, kept: map[string]registered{}}, nil
}

// boundedAnswers cuts answers that are too long to be a schema.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxSchemaBytes), answer.Body}
	return answer, nil
}

// framed says whether data names the schema it was written with, in a header or in
// its first five bytes.
func framed(r *kgo.Record, headerName string, data []byte) bool {
	_, inHeader := header(r, headerName)
	return inHeader || len(data) >= 5 && data[0] == 0
}

// The headers in which Confluent's serializers name schemas.
const (
	keySchemaHeader   = "__key_schema_id"
	valueSchemaHeader = "__value_schema_id"
)

// transcode turns framed data into JSON.
func (g *Registry) transcode(ctx context.Context, r *kgo.Record, headerName string, data []byte) (Format, []byte, error) {
	frame, body := data, []byte(nil)
	if h, ok := header(r, headerName); ok {
		frame, body = h, data
	}
	var id string
	switch {
	case len(frame) >= 5 && frame[0] == 0:
		id = strconv.FormatUint(uint64(binary.BigEndian.Uint32(frame[1:])), 10)
		frame = frame[5:]
	case len(frame) >= 17 && frame[0] == 1:
		id = uuid.UUID(frame[1:17]).String()
		frame = frame[17:]
	default:
		return "", nil, Bad(Undecodable, "there is no schema id: neither a header %s nor five bytes of which the first is 0", headerName)
	}
	if body == nil {
		body = frame
	} else if len(frame) > 0 { // which message of a Protobuf schema
		body = append(append(make([]byte, 0, len(frame)+len(data)), frame...), data...)
	}
	s, err := g.schema(ctx, id)
	if err != nil {
		return "", nil, err
	}
	out, err := s.schema.transcode(body)
	if err != nil {
		err = notOfSchema("record is not what schema "+id+" says", err)
	}
	return s.format, out, err
}

// schema returns what an id stands for. An *Error says that nothing that waits will
// make it known; any other error that the registry cannot tell for now.
func (g *Registry) schema(ctx context.Context, id string) (registered, error) {
	g.mu.Lock()
	s, ok := g.kept[id]
	g.mu.Unlock()
	if ok && (s.err == nil || time.Now().Before(s.until)) {
		return s, s.err
	}
	s, err := g.fetch(ctx, id)
	var own *Error
	if errors.As(err, &own) {
		s.err, s.until = err, time.Now().Add(missingFor)
	} else if err != nil {
		return s, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.kept) >= maxSchemas {
		clear(g.kept)
	}
	g.kept[id] = s
	return s, s.err
}

func (g *Registry) fetch(ctx context.Context, id string) (registered, error) {
	var schema sr.Schema
	var err error
	if n, isNumber := strconv.Atoi(id); isNumber == nil {
		schema, err = g.client.SchemaByID(ctx, n)
	} else {
		var found sr.SubjectSchema
		found, err = g.client.SchemaByGUID(ctx, id)
		schema = found.Schema
	}
	if err != nil {
		return registered{}, registryError(id, err)
	}
	if schema.Schema == "" {
		return registered{}, fmt.Errorf("schema registry: the answer for schema %s has no schema", id)
	}
	parents, err := g.parents(ctx, schema.References)
	if err != nil {
		return registered{}, registryError(id, err)
	}
	var s registered
	switch schema.Type {
	case sr.TypeAvro:
		s.format = Avro
		s.schema, err = parseAvro(schema.Schema, parents)
	case sr.TypeProtobuf:
		s.format = Protobuf
		s.schema, err = parseProtobuf(ctx, schema.Schema, parents)
	case sr.TypeJSON:
		s.format, s.schema = JSONSchema, plainJSON{}
	default:
		err = fmt.Errorf("of the type %v", schema.Type)
	}
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	if err != nil {
		return s, Bad(BadSchema, "schema %s: %v", id, err)
	}
	return s, nil
}

// registryError tells a registry's word that it has no such schema from what may
// pass.
func registryError(id string, err error) error {
	var answer *sr.ResponseError
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.ErrorCode == sr.ErrSchemaNotFound.Code {
		return Bad(UnknownSchema, "the registry has no schema %s", id)
	}
	return fmt.Errorf("schema registry: schema %s: %w", id, err)
}

// parent is a schema that others refer to by name.
type parent struct{ name, text string }

// parents returns the schemas that the references lead to, each after those that it
// refers to itself.
func (g *Registry) parents(ctx context.Context, references []sr.SchemaReference) ([]parent, error) {
	var list []parent
	seen := map[string]bool{}
	var walk func(references []sr.SchemaReference) error
	walk = func(references []sr.SchemaReference) error {
		for _, ref := range references {
			if seen[ref.Name] {
				continue
			}
			if seen[ref.Name] = true; len(seen) > maxSchemaParents {
				return fmt.Errorf("it refers to more than %d schemas", maxSchemaParents)
			}
			found, err := g.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
			if err != nil {
				return err
			}
			if err := walk(found.References); err != nil {
				return err
			}
			list = append(list, parent{ref.Name, found.Schema.Schema})
		}
		return nil
	}
	return list, walk(references)
}

// plainJSON is what a JSON Schema describes. Records are not checked against it:
// what is wrong for a point shows when the record is read.
type plainJSON struct{}

func (plainJSON) transcode(data []byte) ([]byte, error) { return data, nil }
