package api

import (
	runtimemetrics "runtime/metrics"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"freshet/server"
	"freshet/server/memory"
	"freshet/server/metric"
)

// metrics are the API's own; the collections' are read from the database when
// they are asked for.
type metrics struct {
	responses *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refused   *prometheus.CounterVec
}

func newMetrics(db *server.DB, o Options) *metrics {
	m := &metrics{
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rest_responses_total", Help: "Answers.",
		}, []string{"method", "endpoint", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rest_responses_duration_seconds", Help: "Time from a request's arrival to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "endpoint", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_refused_requests_total", Help: "Requests that are not allowed: without a key that allows them, or of web pages that may not use the server.",
		}, []string{"status"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "app_info", Help: "1; the labels say which program this is.",
	}, []string{"name", "version"})
	info.WithLabelValues("freshet", o.Version).Set(1)
	o.Registry.MustRegister(m.responses, m.durations, m.refused, info, database{db}, o.Connections,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(method, endpoint string, status int, d time.Duration) {
	m.responses.WithLabelValues(method, endpoint, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(method, endpoint, strconv.Itoa(status)).Observe(d.Seconds())
}

// database collects the figures of all collections.
type database struct{ db *server.DB }

var (
	collectionsDesc = metric.Gauge("collections_total", "Collections.")
	pointsDesc      = metric.Gauge("collection_points", "Points of the collection that is called id.", "id")
	vectorsDesc     = metric.Gauge("collection_vectors", "Vectors of each name; the unnamed one is \"\".", "collection", "vector")
	memoryDesc      = metric.Gauge("freshet_collection_memory_bytes", "Memory of the graphs: vectors, codes, links (with 16 bytes a slot), of the index of sparse vectors: sparse, and of multivectors: multi; see operations.md.", "collection", "part")
	operationsDesc  = metric.Counter("freshet_operations_total", "Operations applied in the collection's life, across restarts.", "collection")
	indexPointsDesc = metric.Gauge("freshet_payload_index_points", "Points with a value of the index's type.", "collection", "field")
	vectorTotalDesc = metric.Gauge("collections_vector_total", "Vectors of all collections.")
	clusterDesc     = metric.Gauge("cluster_enabled", "Always 0: a server is no part of a cluster.")
	recoveryDesc    = metric.Gauge("app_status_recovery_mode", "Always 0: there is no recovery mode.")
	allocatedDesc   = metric.Gauge("memory_allocated_bytes", "Memory in use: the Go heap's objects and the graphs, which lie outside of it.")
	residentDesc    = metric.Gauge("memory_resident_bytes", "Memory of the process that is in RAM (Linux).")
	storageDesc     = metric.Gauge("freshet_storage_bytes", "What the store has on disk, without snapshots.")
	diskDesc        = metric.Gauge("freshet_disk_bytes", "Of the disk of the data folder: total, available; reserve is given up when there is no space left. Without total and available if the file system does not say.", "kind")
	diskFullDesc    = metric.Gauge("freshet_disk_full", "1 while nothing is written because the disk is full, or nearly: see operations.md.")
	memoryLimitDesc = metric.Gauge("freshet_memory_limit_bytes", "Memory that the process may take; 0 if it is not known: see operations.md.")
	memoryFullDesc  = metric.Gauge("freshet_memory_full", "1 while no data are added because the memory is used up, or nearly.")
	recallDesc      = metric.Gauge("freshet_search_recall", "Share of the ten nearest that searches find: the mean of the newest 64 probes, each of which makes a search again by the graph and exactly, both without its filter. Absent until the first.", "collection", "vector")
	probesDesc      = metric.Counter("freshet_search_recall_probes_total", "Probes of recall.", "collection", "vector")
	probeTimeDesc   = metric.Counter("freshet_search_recall_probe_seconds_total", "Time that probes of recall took, those that were given up with the others.", "collection", "vector")
	indexBytesDesc  = metric.Gauge("freshet_payload_index_bytes", "Memory of the index, within some per cent.", "collection", "field")
)

// Metrics returns what is described.
func (d database) Metrics() []metric.Desc {
	return []metric.Desc{
		collectionsDesc, pointsDesc, vectorsDesc, operationsDesc, memoryDesc, indexPointsDesc, indexBytesDesc,
		vectorTotalDesc, clusterDesc, recoveryDesc, allocatedDesc, residentDesc, storageDesc,
		diskDesc, diskFullDesc, memoryLimitDesc, memoryFullDesc, recallDesc, probesDesc, probeTimeDesc,
	}
}

// Describe names the metrics.
func (d database) Describe(ch chan<- *prometheus.Desc) { metric.Describe(d, ch) }

// Collect reads them.
func (d database) Collect(ch chan<- prometheus.Metric) {
	collectDisk(ch, d.db.Disk())
	collectMemory(ch, d.db.Memory())
	names := d.db.Collections()
	vectors, outside := 0, int64(0)
	defer func() {
		ch <- vectorTotalDesc.Of(float64(vectors))
		ch <- clusterDesc.Of(0)
		ch <- recoveryDesc.Of(0)
		ch <- allocatedDesc.Of(float64(heapBytes() + outside))
		ch <- storageDesc.Of(float64(d.db.DiskBytes()))
		if bytes, err := memory.Resident(); err == nil { // where the system tells it
			ch <- residentDesc.Of(float64(bytes))
		}
	}()
	ch <- collectionsDesc.Of(float64(len(names)))
	for _, name := range names {
		c, err := d.db.Collection(name)
		if err != nil {
			continue // dropped since
		}
		info, err := c.Info()
		if err != nil {
			continue
		}
		vectors += info.IndexedVectors
		outside += info.Memory.Vectors + info.Memory.Codes + info.Memory.Links
		ch <- pointsDesc.Of(float64(info.Points), name)
		for vector, n := range info.Vectors {
			ch <- vectorsDesc.Of(float64(n), name, vector)
		}
		ch <- operationsDesc.Of(float64(info.Operation-info.Moves), name)
		for part, bytes := range map[string]int64{"vectors": info.Memory.Vectors, "codes": info.Memory.Codes, "links": info.Memory.Links, "sparse": info.SparseBytes, "multi": info.MultiBytes} {
			ch <- memoryDesc.Of(float64(bytes), name, part)
		}
		for vector, r := range info.Recall {
			if r.Probes > 0 {
				ch <- recallDesc.Of(r.Share, name, vector)
			}
			ch <- probesDesc.Of(float64(r.Probes), name, vector)
			ch <- probeTimeDesc.Of(r.Took.Seconds(), name, vector)
		}
		for field, ix := range info.Indexes {
			ch <- indexPointsDesc.Of(float64(ix.Points), name, field)
			ch <- indexBytesDesc.Of(float64(ix.Bytes), name, field)
		}
	}
}

func collectDisk(ch chan<- prometheus.Metric, u server.DiskUsage) {
	ch <- diskFullDesc.Bool(u.Full != nil)
	bytes := map[string]uint64{"reserve": uint64(u.Reserve)}
	if u.Known {
		bytes["total"], bytes["available"] = u.Total, u.Available
	}
	for kind, n := range bytes {
		ch <- diskDesc.Of(float64(n), kind)
	}
}

func collectMemory(ch chan<- prometheus.Metric, g *memory.Guard) {
	ch <- memoryFullDesc.Bool(g.Full() != "")
	ch <- memoryLimitDesc.Of(float64(g.Limit()))
}

// heapBytes returns how much of the Go heap is in use.
func heapBytes() int64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
