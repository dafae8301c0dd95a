package elasticsearch

import "github.com/prometheus/client_golang/prometheus"

// metrics are the sink's, all under weir_elasticsearch_.
type metrics struct {
	requests, bytes, retried, rejected prometheus.Counter
	operations                         *prometheus.CounterVec
	seconds                            prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weir", Subsystem: "elasticsearch", Name: name, Help: help})
	}
	m := &metrics{
		requests: counter("bulk_requests_total", "Bulk requests that were answered."),
		bytes:    counter("bulk_bytes_total", "Bytes of bulk requests, before compression."),
		retried:  counter("operations_retried_total", "Operations that were sent again."),
		rejected: counter("operations_rejected_total", "Operations that the cluster will never take."),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Subsystem: "elasticsearch", Name: "operations_total",
			Help: "Operations by result: indexed, deleted, stale (the index has a newer version), coalesced (a newer one of the same batch)."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "weir", Subsystem: "elasticsearch", Name: "bulk_seconds",
			Help: "Time until a bulk request was answered.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)}),
	}
	r.MustRegister(m.requests, m.bytes, m.retried, m.rejected, m.operations, m.seconds)
	return m
}
