package embed

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of all models.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	texts    *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_embedding_requests_total", Help: "Requests to embedding endpoints by outcome: ok, refused (a text, or a batch with one), fault.",
		}, []string{"model", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_embedding_request_seconds", Help: "Time of a request to an embedding endpoint.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"model"}),
		texts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_embedding_texts_total", Help: "Texts to embed by origin: vectors from the endpoint or the cache, refused.",
		}, []string{"model", "origin"}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.seconds, m.texts}
}

// The outcomes of a request.
const (
	outcomeOK      = "ok"
	outcomeRefused = "refused" // a text, or a batch with one
	outcomeFault   = "fault"
)

// Where vectors come from.
const (
	fromEndpoint = "endpoint"
	fromCache    = "cache"
	notAtAll     = "refused"
)
