package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
)

// gather is every sample as name{labels} → value; of histograms the count.
func gather(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "connector" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			name := strings.TrimPrefix(f.GetName(), "weir_sink_") + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				out[name] = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				out[name] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	good := flat("t", 0, 1, 1)
	produce(t, cl, good, &kgo.Record{Topic: "t", Value: []byte("{")}, flat("t", 0, 3, 1), flat("t", 2, 4, 1))
	first := true
	s := newTarget()
	s.before = func(_ context.Context, batch []*cdc.Record) error {
		if batch[0].Partition == 0 && first {
			first = false
			return errTarget
		}
		return nil
	}
	s.after = rejectIDs(3)
	registry := prometheus.NewRegistry()
	o := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "errors.tolerance": "all"}}.options(t)
	o.Metrics = registry
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	caughtUp(t, r, 3)
	r.PausePartition("t", 2, true)
	got := gather(t, registry)
	for name, want := range map[string]float64{
		"records_total{topic=t}":                        4,
		"dead_letters_total{topic=t}":                   2,
		"rejected_total{stage=VALUE_CONVERTER,topic=t}": 1,
		"rejected_total{stage=TASK_PUT,topic=t}":        1,
		"retries_total{topic=t}":                        1,
		"lag_records{partition=0,topic=t}":              0,
		"lag_seconds{partition=0,topic=t}":              0,
		"partitions{state=RUNNING}":                     2,
		"partitions{state=PAUSED}":                      1,
		"partitions{state=FAILED}":                      0,
		"buffered_bytes{}":                              0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"bytes_total{topic=t}", "batches_total{topic=t}", "commits_total{topic=t}", "write_seconds{topic=t}"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	r.Restart()
	eventually(t, func() error {
		if n := gather(t, registry)["clients_replaced_total{reason=restart}"]; n != 1 {
			return fmt.Errorf("clients replaced: %v", n)
		}
		if len(r.Status().Tasks) != 3 {
			return errors.New("not restarted")
		}
		return nil
	})
	if st := r.Status(); st.Tasks[2].State != "PAUSED" {
		t.Errorf("the partition came back %s", st.Tasks[2].State)
	}
}
