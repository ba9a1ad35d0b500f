package embed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// Model embeds texts by one endpoint. It is for any number of goroutines.
type Model struct {
	cfg     ModelConfig
	client  *http.Client
	slots   *semaphore.Weighted // a request in flight holds one
	cache   *lru.Cache[key, []float32]
	metrics *metrics
	// resumes is when the endpoint wants to be asked again; nil for at once. It has the
	// reading of the monotonic clock, since the other one can jump.
	resumes atomic.Pointer[time.Time]
}

// key is the hash of all that makes a vector: text, prefix, options.
type key [sha256.Size]byte

func newModel(cfg ModelConfig, m *metrics) (*Model, error) {
	model := &Model{cfg: cfg, client: newClient(cfg.Concurrency), slots: semaphore.NewWeighted(int64(cfg.Concurrency)), metrics: m}
	if *cfg.Cache == 0 {
		return model, nil
	}
	var err error
	model.cache, err = lru.New[key, []float32](*cfg.Cache)
	return model, err
}

// Name returns the name of the model in the configuration.
func (m *Model) Name() string { return m.cfg.Name }

// Dimension returns that of the model's vectors.
func (m *Model) Dimension() int { return m.cfg.Dimension }

// MaxText bounds a text, in bytes: models read far less.
const MaxText = 1 << 20

// Input is a text to embed.
type Input struct {
	Text    string
	Query   bool // it is searched with, not stored: a prefix may differ
	Options Options
}

// Result is the vector of a text, which is the caller's, or a *RefusedError.
type Result struct {
	Vector []float32
	Err    error
}

// job is a text that the endpoint is asked for once, whoever wants it.
type job struct {
	text    string // with its prefix
	options Options
	key     key
	wanted  []int // by these inputs
	Result
}

// Embed returns a result for each of the inputs, in their order. An error, a
// *FaultError or that of ctx, is about all of them; what was embedded until then is
// in the cache.
func (m *Model) Embed(ctx context.Context, inputs []Input) ([]Result, error) {
	results := make([]Result, len(inputs))
	jobs := m.plan(inputs, results)
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(m.cfg.Concurrency)
	for _, batch := range m.batches(jobs) {
		g.Go(func() error { return m.embed(working, batch) })
	}
	if err := g.Wait(); err != nil {
		return nil, m.ended(ctx, err)
	}
	if err := m.doubt(ctx, jobs); err != nil {
		return nil, m.ended(ctx, err)
	}
	for _, j := range jobs {
		origin := fromEndpoint
		if j.Err != nil {
			origin = notAtAll
		}
		m.count(origin, len(j.wanted))
		for _, i := range j.wanted {
			results[i] = Result{slices.Clone(j.Vector), j.Err}
		}
	}
	return results, nil
}

func (m *Model) count(origin string, texts int) {
	m.metrics.texts.WithLabelValues(m.cfg.Name, origin).Add(float64(texts))
}

// plan answers what can be without the endpoint and returns the rest, each text once.
func (m *Model) plan(inputs []Input, results []Result) []*job {
	var jobs []*job
	byKey := map[key]*job{}
	for i, in := range inputs {
		switch {
		case in.Text == "":
			results[i].Err = m.refuse("the text is empty")
		case len(in.Text) > MaxText:
			results[i].Err = m.refuse("the text has %d bytes, %d are allowed", len(in.Text), MaxText)
		}
		if results[i].Err != nil {
			m.count(notAtAll, 1)
			continue
		}
		text := m.cfg.DocumentPrefix + in.Text
		if in.Query {
			text = m.cfg.QueryPrefix + in.Text
		}
		// Options cannot contain the byte that ends them here.
		k := key(sha256.Sum256([]byte(string(in.Options) + "\x00" + text)))
		if j := byKey[k]; j != nil {
			j.wanted = append(j.wanted, i)
			continue
		}
		if m.cache != nil {
			if v, ok := m.cache.Get(k); ok {
				results[i].Vector = slices.Clone(v)
				m.count(fromCache, 1)
				continue
			}
		}
		j := &job{text: text, options: in.Options, key: k, wanted: []int{i}}
		byKey[k] = j
		jobs = append(jobs, j)
	}
	return jobs
}

// maxRequest bounds the texts of one request of several, in bytes.
const maxRequest = 1 << 20

// batches splits jobs into those of one request each.
func (m *Model) batches(jobs []*job) [][]*job {
	type open struct {
		jobs  []*job
		bytes int
	}
	var done [][]*job
	filling := map[Options]*open{}
	var order []*open
	for _, j := range jobs {
		b := filling[j.options]
		if b == nil || len(b.jobs) == m.cfg.Batch || b.bytes+len(j.text) > maxRequest {
			b = new(open)
			filling[j.options] = b
			order = append(order, b)
		}
		b.jobs = append(b.jobs, j)
		b.bytes += len(j.text)
	}
	for _, b := range order {
		done = append(done, b.jobs)
	}
	return done
}

// embed asks for the vectors of a batch. When the endpoint refuses it, its halves are
// asked for, down to the texts that are the cause.
func (m *Model) embed(ctx context.Context, batch []*job) error {
	vectors, err := m.request(ctx, batch)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && len(batch) == 1:
		batch[0].Err = refused
		return nil
	case errors.As(err, &refused):
		half := len(batch) / 2
		if err := m.embed(ctx, batch[:half]); err != nil {
			return err
		}
		return m.embed(ctx, batch[half:])
	case err != nil:
		return err
	}
	for i, j := range batch {
		if vectors[i] == nil {
			j.Err = m.refuse("the endpoint's vector has a number that is not finite")
			continue
		}
		j.Vector = vectors[i]
		if m.cache != nil {
			m.cache.Add(j.key, slices.Clone(vectors[i]))
		}
	}
	return nil
}

// doubt finds out, when every text was refused, whether the cause is in the texts. A
// wrong model or address must not make dead letters of good records. Options are a
// request's own, and may be the cause.
func (m *Model) doubt(ctx context.Context, jobs []*job) error {
	if len(jobs) == 0 || slices.ContainsFunc(jobs, func(j *job) bool { return j.Err == nil || j.options != "" }) {
		return nil
	}
	vectors, err := m.request(ctx, []*job{{text: "a text"}})
	if err == nil && vectors[0] != nil {
		return nil
	}
	var refused *RefusedError
	if err == nil || errors.As(err, &refused) {
		return m.fault("every text is refused, the last one: %v", jobs[len(jobs)-1].Err)
	}
	return err
}

// ended explains the end of ctx, if that is the cause: a request whose time is over has
// waited for the endpoint.
func (m *Model) ended(ctx context.Context, err error) error {
	var fault *FaultError
	if errors.As(err, &fault) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return m.fault("the endpoint did not answer in the time of the request")
}

func (m *Model) refuse(format string, args ...any) *RefusedError {
	return &RefusedError{Model: m.cfg.Name, Text: fmt.Sprintf(format, args...)}
}

func (m *Model) fault(format string, args ...any) *FaultError {
	return &FaultError{Model: m.cfg.Name, Text: fmt.Sprintf(format, args...)}
}
