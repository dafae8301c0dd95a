package capture

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a capture counts.
type metrics struct {
	records, bytes, transactions prometheus.Counter
	commitSeconds                prometheus.Histogram
	leading                      prometheus.Gauge
	failures                     prometheus.Counter
	rowsRead, rowsEvicted        prometheus.Counter
	keysSwept                    prometheus.Counter
	skipped                      prometheus.Counter
	tablesPlanned                prometheus.Gauge
}

// newMetrics registers the metrics of a capture; lag says how many seconds the
// stream is behind the database.
func newMetrics(r prometheus.Registerer, p *progress) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weir", Subsystem: "capture", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "weir", Subsystem: "capture", Name: name, Help: help})
	}
	m := &metrics{
		records:      counter("records_total", "Records committed to Kafka, offsets and schemas included."),
		bytes:        counter("bytes_total", "Bytes of keys and values committed to Kafka, before compression."),
		transactions: counter("transactions_total", "Kafka transactions committed."),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "weir", Subsystem: "capture", Name: "commit_seconds",
			Help: "How long ending a Kafka transaction took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		leading:       gauge("leading", "1 while this instance leads, 0 while it stands by."),
		failures:      counter("failures_total", "Runs that failed and were tried again."),
		rowsRead:      counter("snapshot_rows_total", "Rows that snapshots read."),
		rowsEvicted:   counter("snapshot_evicted_total", "Rows that a snapshot read and the stream had newer."),
		keysSwept:     counter("swept_keys_total", "Keys that were deleted because their rows were gone without events."),
		skipped:       counter("skipped_records_total", "Records that a transform or converter refused and that were left out (errors.tolerance=all)."),
		tablesPlanned: gauge("snapshot_tables_remaining", "Tables that a snapshot has not finished to plan."),
	}
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "weir", Subsystem: "capture", Name: "lag_seconds",
		Help: "How far the last published transaction is behind now; 0 when the log is drained."}, p.lagSeconds)
	r.MustRegister(m.records, m.bytes, m.transactions, m.commitSeconds, m.leading, m.failures, m.rowsRead, m.rowsEvicted, m.keysSwept, m.skipped, m.tablesPlanned, lag)
	return m
}

func (m *metrics) committed(records, bytes int, took time.Duration) {
	m.records.Add(float64(records))
	m.bytes.Add(float64(bytes))
	m.transactions.Inc()
	m.commitSeconds.Observe(took.Seconds())
}

func (m *metrics) evicted()             { m.rowsEvicted.Inc() }
func (m *metrics) snapshotRows(n int)   { m.rowsRead.Add(float64(n)) }
func (m *metrics) snapshotTables(n int) { m.tablesPlanned.Set(float64(n)) }
func (m *metrics) swept(n int)          { m.keysSwept.Add(float64(n)) }
