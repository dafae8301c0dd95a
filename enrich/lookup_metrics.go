package enrich

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/internal/transform"
)

// What became of a record at a look-up.
const (
	lookupCached  = iota // known already
	lookupFound          // asked for and found
	lookupMissed         // nothing there: the miss policy was applied
	lookupNullKey        // no look-up, the key field is null
	lookupNoField        // no look-up, the record has no such field
	lookupLost           // the server did not answer in time: null
	lookupFailed         // rejected: what was found, or the key, cannot be used
	lookupResults
)

var lookupResultNames = [lookupResults]string{"cached", "found", "missed", "null_key", "no_field", "unavailable", "failed"}

// lookupMetrics are those of all look-ups of a component.
type lookupMetrics struct {
	records, requests, failures *prometheus.CounterVec
	seconds                     *prometheus.HistogramVec
	down                        *prometheus.GaugeVec
	entries, bytes              *prometheus.GaugeVec
}

func newLookupMetrics(registry prometheus.Registerer) *lookupMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return transform.Registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_lookup_" + name, Help: help}, labels))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return transform.Registered(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_lookup_" + name, Help: help}, labels))
	}
	return &lookupMetrics{
		records:  counter("records_total", "Records by what became of their look-up: cached, found, missed, null_key, no_field, unavailable, failed.", "lookup", "result"),
		requests: counter("requests_total", "Pipelines, queries and readings of a table in memory, by transform.", "transform", "source"),
		failures: counter("failures_total", "Of these, those that were not answered.", "transform", "source"),
		seconds: transform.Registered(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_lookup_request_seconds",
			Help: "Time until one was answered.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"transform", "source"})),
		down:    gauge("unavailable", "1 while the source does not answer.", "transform", "source"),
		entries: gauge("entries", "Keys in memory: of the cache, or of the whole topic.", "lookup", "kind"),
		bytes:   gauge("bytes", "About how much memory they take.", "lookup", "kind"),
	}
}

// counters are one look-up's, found once so that counting takes no search.
func (m *lookupMetrics) counters(lookup string) (c [lookupResults]prometheus.Counter) {
	for i := range c {
		c[i] = m.records.WithLabelValues(lookup, lookupResultNames[i])
	}
	return c
}
