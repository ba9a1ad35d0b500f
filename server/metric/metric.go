// Package metric has metrics whose values are read when they are asked for, each with its
// type beside its description, which docs/metrics.md is written from.
package metric

import "github.com/prometheus/client_golang/prometheus"

// A Desc describes a metric.
type Desc struct {
	*prometheus.Desc
	Type prometheus.ValueType
}

// Collector is a collector of such metrics.
type Collector interface {
	prometheus.Collector
	Metrics() []Desc
}

// Gauge describes a value that goes up and down.
func Gauge(name, help string, labels ...string) Desc {
	return Desc{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// Counter describes a value that only grows.
func Counter(name, help string, labels ...string) Desc {
	return Desc{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// Of returns a value of the metric, with as many labels as it was described with.
func (d Desc) Of(v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d.Desc, d.Type, v, labels...)
}

// Bool returns 1 or 0.
func (d Desc) Bool(is bool, labels ...string) prometheus.Metric {
	if is {
		return d.Of(1, labels...)
	}
	return d.Of(0, labels...)
}

// Describe names a collector's metrics.
func Describe(c Collector, ch chan<- *prometheus.Desc) {
	for _, d := range c.Metrics() {
		ch <- d.Desc
	}
}
