package consumers

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/internal/admin"
)

// metrics are the runtime's, one set per connector.
type metrics struct {
	records, bytes, batches, retries, commits, letters *prometheus.CounterVec
	rejected, rewinds                                  *prometheus.CounterVec
	latency                                            *prometheus.HistogramVec
	clients, ranges                                    *prometheus.CounterVec
}

// newMetrics registers the metrics; those that are read off the partitions come
// from runner at every scrape.
func newMetrics(reg prometheus.Registerer, runner *Runner) *metrics {
	topic := []string{"topic"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_sink_" + name, Help: help}, labels)
	}
	m := &metrics{
		records:  counter("records_total", "Records that are done: written, dropped by a transform, or dead letters.", topic...),
		bytes:    counter("bytes_total", "Bytes of the keys and values of those records in Kafka.", topic...),
		batches:  counter("batches_total", "Batches that are done.", topic...),
		retries:  counter("retries_total", "Attempts that failed and are made again.", topic...),
		commits:  counter("commits_total", "Commits of offsets.", topic...),
		letters:  counter("dead_letters_total", "Records that the dead letter topic has acknowledged.", topic...),
		rejected: counter("rejected_total", "Records that can never be written, by where that was found.", "topic", "stage"),
		clients:  counter("clients_replaced_total", "Kafka clients that were given up, by reason.", "reason"),
		ranges:   counter("ranges_total", "Ranges of offsets whose files are final, by whether they were rendered again after a crash or rebalance.", "topic", "attempt"),
		rewinds:  counter("rewinds_total", "Times that a partition was read again from before its committed offset, since the target may have lost what it acknowledged. Until it has caught up, most writes are refused as older.", topic...),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_sink_write_seconds", Help: "How long the target took for one attempt to write a batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, topic),
	}
	reg.MustRegister(m.records, m.bytes, m.batches, m.retries, m.commits, m.letters, m.rejected, m.rewinds, m.clients, m.ranges, m.latency, &gauges{runner: runner})
	return m
}

// gauges collects what the partitions are at the time of the scrape.
type gauges struct{ runner *Runner }

var (
	descLag        = prometheus.NewDesc("weir_sink_lag_records", "Records that are not committed yet.", []string{"topic", "partition"}, nil)
	descAge        = prometheus.NewDesc("weir_sink_lag_seconds", "Age of the oldest record that is not done.", []string{"topic", "partition"}, nil)
	descPartitions = prometheus.NewDesc("weir_sink_partitions", "Assigned partitions by state.", []string{"state"}, nil)
	descBuffered   = prometheus.NewDesc("weir_sink_buffered_bytes", "Bytes that are fetched and not taken.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- descLag
	ch <- descAge
	ch <- descPartitions
	ch <- descBuffered
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	states := map[admin.State]int{admin.Running: 0, admin.Paused: 0, admin.Failed: 0}
	var buffered int64
	for _, w := range g.runner.workers() {
		t := w.task()
		states[t.State]++
		buffered += w.inbox.size()
		number := strconv.Itoa(int(w.lease.Partition()))
		if t.Lag.Records >= 0 {
			ch <- prometheus.MustNewConstMetric(descLag, prometheus.GaugeValue, float64(t.Lag.Records), w.lease.Topic(), number)
		}
		ch <- prometheus.MustNewConstMetric(descAge, prometheus.GaugeValue, t.Lag.Seconds, w.lease.Topic(), number)
	}
	for state, n := range states {
		ch <- prometheus.MustNewConstMetric(descPartitions, prometheus.GaugeValue, float64(n), string(state))
	}
	ch <- prometheus.MustNewConstMetric(descBuffered, prometheus.GaugeValue, float64(buffered))
}
