package ingest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
)

// service is one that a source depends on, and can fail.
type service struct {
	healthy http.Handler

	mu     sync.Mutex
	outage http.HandlerFunc // nil while there is none
	asked  int              // requests since it began
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	outage := s.outage
	s.asked++
	s.mu.Unlock()
	if outage != nil {
		outage(w, r)
		return
	}
	s.healthy.ServeHTTP(w, r)
}

func (s *service) fail(outage http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage, s.asked = outage, 0
}

func (s *service) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // a client that is gone needs none
	}
}

// outages are those that pass.
var outages = map[string]http.HandlerFunc{
	"500":            says(http.StatusInternalServerError, `{"error":"x"}`),
	"429":            says(http.StatusTooManyRequests, ``),
	"503":            says(http.StatusServiceUnavailable, ``),
	"another server": says(http.StatusNotFound, `<html>not here</html>`),
	"a page":         says(http.StatusOK, `<html>sign in</html>`),
	"nothing in it":  says(http.StatusOK, `{}`),
	"cut off":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

// outlast has a service fail while records come that need it: they wait, those behind them
// too, and the source says why; then all take effect in their order, none is a dead letter,
// and nothing is left of the fault. record makes the i-th one, of point i%5.
func (r *rig) outlast(s *service, outage http.HandlerFunc, record func(i int) *kgo.Record) {
	r.t.Helper()
	const before, after = 5, 30
	r.run()
	put := func(from, to int) {
		for i := from; i < to; i++ {
			r.produce(record(i))
		}
	}
	put(0, before)
	r.applied(0, before-1)
	s.fail(outage)
	put(before, after)
	r.eventually(func() string {
		if st := r.manager.Status()[0]; st.State != ingest.Retrying || st.Error == "" || s.requests() < 2 {
			return "the source does not say that it tries again"
		}
		return ""
	})
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	if p, _, err := c.Position(server.Stream{Source: "src", Topic: "t"}); err != nil || p.Next != before {
		r.t.Errorf("during the outage: position %+v, %v", p, err)
	}
	s.fail(nil)
	r.applied(0, after-1)
	want := map[string]string{}
	for i := after - 5; i < after; i++ {
		want[fmt.Sprint(i%5)] = fmt.Sprintf(`{"n":%d}`, i)
	}
	r.expect(want)
	if letters := r.letters(); len(letters) > 0 {
		r.t.Errorf("%d dead letters, the first: %s", len(letters), letters[0].Detail)
	}
	r.eventually(func() string {
		if st := r.manager.Status()[0]; st.State != ingest.Running || st.Error != "" {
			return "the fault is told when it is over"
		}
		return ""
	})
}

func TestRegistryOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := srfake.New()
			t.Cleanup(fake.Close)
			target, err := url.Parse(fake.URL())
			if err != nil {
				t.Fatal(err)
			}
			s := &service{healthy: httputil.NewSingleHostReverseProxy(target)}
			h := httptest.NewServer(s)
			t.Cleanup(h.Close)
			r := newRig(t, 1, ingest.Source{Format: decode.JSONSchema})
			r.create(1)
			r.cfg.SchemaRegistry = decode.RegistrySettings{URL: h.URL}
			for id := range 2 {
				fake.SeedSchema(fmt.Sprintf("t%d-value", id), 1, id+1, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
			}
			r.outlast(s, outage, func(i int) *kgo.Record {
				id := byte(1) // is known when the outage begins, the other one is not
				if i == 5 {
					id = 2
				}
				return &kgo.Record{Value: append([]byte{0, 0, 0, 0, id}, fmt.Sprintf(`{"id":%d,"embedding":[1],"n":%d}`, i%5, i)...)}
			})
		})
	}
}

func TestEndpointOutage(t *testing.T) {
	kinds := map[string]http.HandlerFunc{
		"too few vectors":      says(http.StatusOK, `{"data":[]}`),
		"of another dimension": says(http.StatusOK, `{"data":[{"embedding":[1]},{"embedding":[1]},{"embedding":[1]}]}`),
		"silent until too late": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the end of the connection is seen
			<-r.Context().Done()
		},
	}
	for name, outage := range outages {
		kinds[name] = outage
	}
	for name, outage := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &service{healthy: &endpoint{}}
			h := httptest.NewServer(s)
			cfg := embed.Config{Models: []embed.ModelConfig{{Name: "m", URL: h.URL, Dimension: 2, Timeout: time.Second}}}
			cfg.SetDefaults()
			models, err := embed.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			source := ingest.Source{Embed: ofText("value.text")}
			source.Payload.Exclude = []string{"text"}
			r := newRig(t, 1, source)
			t.Cleanup(func() {
				r.halt()
				models.Close()
				h.Close()
			})
			r.models = models
			r.create(2)
			r.outlast(s, outage, func(i int) *kgo.Record {
				return value(fmt.Sprintf(`{"id":%d,"text":%q,"n":%d}`, i%5, strings.Repeat("x", i+1), i))
			})
		})
	}
}
