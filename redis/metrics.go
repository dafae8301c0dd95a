package redis

import "github.com/prometheus/client_golang/prometheus"

// metrics are the sink's, all under weir_redis_.
type metrics struct {
	pipelines, retried prometheus.Counter
	seconds            prometheus.Histogram
	// records by result
	written, stale, coalesced, unguarded, rejected, passed prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weir", Subsystem: "redis", Name: name, Help: help})
	}
	records := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Subsystem: "redis", Name: "records_total",
		Help: "Records by result: written, stale (the key has a newer version), coalesced (a newer one of the same batch), unguarded (a value without a version was replaced), rejected, passed (a tombstone that names no key, behind a delete that does)."}, []string{"result"})
	m := &metrics{
		pipelines: counter("pipelines_total", "Pipelines that were answered."),
		retried:   counter("commands_retried_total", "Script calls that were sent again."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "weir", Subsystem: "redis", Name: "pipeline_seconds",
			Help: "Time until a pipeline was answered.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
	}
	m.written, m.stale, m.coalesced = records.WithLabelValues("written"), records.WithLabelValues("stale"), records.WithLabelValues("coalesced")
	m.unguarded, m.rejected = records.WithLabelValues("unguarded"), records.WithLabelValues("rejected")
	m.passed = records.WithLabelValues("passed")
	r.MustRegister(m.pipelines, m.retried, records, m.seconds)
	return m
}
