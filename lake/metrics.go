package lake

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the lake. They are all declared here.
type metrics struct {
	files, rows, bytes prometheus.Counter
	failures           *prometheus.CounterVec
	seconds            prometheus.Histogram
	open               prometheus.Gauge
}

// newMetrics declares and registers the metrics.
func newMetrics(registerer prometheus.Registerer, b *budget) (*metrics, error) {
	m := &metrics{
		files: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_lake_files_total", Help: "Parquet files made visible."}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_lake_rows_total", Help: "Rows in files made visible."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_lake_uploaded_bytes_total", Help: "Bytes of files and parts that the target acknowledged."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lake_upload_failures_total", Help: "Uploads that failed and are tried again, by step: part or commit."}, []string{"step"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_lake_publish_seconds", Help: "Time to make one file visible.", Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 10)}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_lake_open_files", Help: "Files that are being written."}),
	}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_lake_buffered_bytes", Help: "Bytes that open files hold in memory."}, func() float64 {
		b.mu.Lock()
		defer b.mu.Unlock()
		return float64(b.total)
	})
	var errs []error
	for _, c := range []prometheus.Collector{m.files, m.rows, m.bytes, m.failures, m.seconds, m.open, held} {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) failed(step string) { m.failures.WithLabelValues(step).Inc() }

func (m *metrics) sent(bytes int) { m.bytes.Add(float64(bytes)) }

func (m *metrics) published(bytes, rows int, took time.Duration) {
	m.files.Inc()
	m.rows.Add(float64(rows))
	m.bytes.Add(float64(bytes))
	m.seconds.Observe(took.Seconds())
}
