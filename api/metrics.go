package api

import (
	"fmt"
	"os"
	runtimemetrics "runtime/metrics"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"freshet/server"
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
			Name: "rest_responses_total", Help: "Answers by method, route and status.",
		}, []string{"method", "endpoint", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rest_responses_duration_seconds", Help: "Time from a request's arrival to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "endpoint", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_refused_requests_total", Help: "Requests without a key that allows them, by status.",
		}, []string{"status"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "app_info", Help: "Which program this is.",
		ConstLabels: prometheus.Labels{"name": "freshet", "version": o.Version},
	})
	info.Set(1)
	o.Registry.MustRegister(m.responses, m.durations, m.refused, info, database{db},
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
	collectionsDesc = prometheus.NewDesc("collections_total", "Collections.", nil, nil)
	pointsDesc      = prometheus.NewDesc("collection_points", "Points by collection.", []string{"id"}, nil)
	vectorsDesc     = prometheus.NewDesc("collection_vectors", "Vectors by collection.", []string{"collection"}, nil)
	memoryDesc      = prometheus.NewDesc("freshet_collection_memory_bytes", "Memory of vectors, codes and links.", []string{"collection", "part"}, nil)
	operationsDesc  = prometheus.NewDesc("freshet_operations_total", "Operations applied by collection.", []string{"collection"}, nil)
	indexPointsDesc = prometheus.NewDesc("freshet_payload_index_points", "Points with a value in a payload index.", []string{"collection", "field"}, nil)
	vectorTotalDesc = prometheus.NewDesc("collections_vector_total", "Vectors of all collections.", nil, nil)
	clusterDesc     = prometheus.NewDesc("cluster_enabled", "Whether this is part of a cluster.", nil, nil)
	recoveryDesc    = prometheus.NewDesc("app_status_recovery_mode", "Whether only recovery is served.", nil, nil)
	allocatedDesc   = prometheus.NewDesc("memory_allocated_bytes", "Memory in use: the Go heap's objects and what lies outside of it.", nil, nil)
	residentDesc    = prometheus.NewDesc("memory_resident_bytes", "Memory of the process that is in RAM.", nil, nil)
	storageDesc     = prometheus.NewDesc("freshet_storage_bytes", "What the store has on disk, without snapshots.", nil, nil)
	diskDesc        = prometheus.NewDesc("freshet_disk_bytes", "Of the disk of the data folder.", []string{"kind"}, nil)
	diskFullDesc    = prometheus.NewDesc("freshet_disk_full", "1 while nothing is written because the disk is full, or nearly.", nil, nil)
	indexBytesDesc  = prometheus.NewDesc("freshet_payload_index_bytes", "Memory of a payload index.", []string{"collection", "field"}, nil)
)

// Describe names the metrics.
func (d database) Describe(ch chan<- *prometheus.Desc) {
	ch <- collectionsDesc
	ch <- pointsDesc
	ch <- vectorsDesc
	ch <- operationsDesc
	ch <- memoryDesc
	ch <- indexPointsDesc
	ch <- indexBytesDesc
	ch <- vectorTotalDesc
	ch <- clusterDesc
	ch <- recoveryDesc
	ch <- allocatedDesc
	ch <- residentDesc
	ch <- diskDesc
	ch <- storageDesc
	ch <- diskFullDesc
}

// Collect reads them.
func (d database) Collect(ch chan<- prometheus.Metric) {
	collectDisk(ch, d.db.Disk())
	names := d.db.Collections()
	vectors, outside := 0, int64(0)
	defer func() {
		ch <- prometheus.MustNewConstMetric(vectorTotalDesc, prometheus.GaugeValue, float64(vectors))
		ch <- prometheus.MustNewConstMetric(clusterDesc, prometheus.GaugeValue, 0)
		ch <- prometheus.MustNewConstMetric(recoveryDesc, prometheus.GaugeValue, 0)
		ch <- prometheus.MustNewConstMetric(allocatedDesc, prometheus.GaugeValue, float64(heapBytes()+outside))
		ch <- prometheus.MustNewConstMetric(storageDesc, prometheus.GaugeValue, float64(d.db.DiskBytes()))
		if bytes, ok := residentBytes(); ok {
			ch <- prometheus.MustNewConstMetric(residentDesc, prometheus.GaugeValue, float64(bytes))
		}
	}()
	ch <- prometheus.MustNewConstMetric(collectionsDesc, prometheus.GaugeValue, float64(len(names)))
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
		ch <- prometheus.MustNewConstMetric(pointsDesc, prometheus.GaugeValue, float64(info.Points), name)
		ch <- prometheus.MustNewConstMetric(vectorsDesc, prometheus.GaugeValue, float64(info.IndexedVectors), name)
		ch <- prometheus.MustNewConstMetric(operationsDesc, prometheus.CounterValue, float64(info.Operation), name)
		for part, bytes := range map[string]int64{"vectors": info.Memory.Vectors, "codes": info.Memory.Codes, "links": info.Memory.Links, "sparse": info.SparseBytes, "multi": info.MultiBytes} {
			ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(bytes), name, part)
		}
		for field, ix := range info.Indexes {
			ch <- prometheus.MustNewConstMetric(indexPointsDesc, prometheus.GaugeValue, float64(ix.Points), name, field)
			ch <- prometheus.MustNewConstMetric(indexBytesDesc, prometheus.GaugeValue, float64(ix.Bytes), name, field)
		}
	}
}

func collectDisk(ch chan<- prometheus.Metric, u server.DiskUsage) {
	full := 0.0
	if u.Full != nil {
		full = 1
	}
	ch <- prometheus.MustNewConstMetric(diskFullDesc, prometheus.GaugeValue, full)
	bytes := map[string]uint64{"reserve": uint64(u.Reserve)}
	if u.Known {
		bytes["total"], bytes["available"] = u.Total, u.Available
	}
	for kind, n := range bytes {
		ch <- prometheus.MustNewConstMetric(diskDesc, prometheus.GaugeValue, float64(n), kind)
	}
}

// heapBytes returns how much of the Go heap is in use.
func heapBytes() int64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// residentBytes returns how much memory of the process is in RAM, where the system
// tells it.
func residentBytes() (int64, bool) {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		return 0, false
	}
	return resident * int64(os.Getpagesize()), true
}
