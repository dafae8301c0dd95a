// Package memory runs the binaries as processes under loads that make them hold
// as much as they may, and reads from the kernel how much that was.
package memory

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// folder is where the binaries are built into.
var folder string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "weir-memory-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

// build builds the binaries, once for all tests of a run.
var build = processes.Once(func() string { return folder }, "./deploy/local/kfake", "./cmd/weir-capture", "./cmd/weir-elasticsearch", "./cmd/weir-redis", "./cmd/weir-lake")

// full asks for the loads that take minutes.
var full = os.Getenv("WEIR_MEMORY") == "full"

// stage is a broker of its own and the component that reads from it or writes
// to it.
type stage struct {
	t     *testing.T
	group *processes.Group
	kafka string
	load  *kgo.Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	must(t, build())
	s := &stage{t: t}
	var err error
	s.group, err = processes.NewGroup(filepath.Join(t.TempDir(), "run"))
	must(t, err)
	port, err := processes.FreePort(t.Context())
	must(t, err)
	broker, err := s.group.Start(processes.Command{Name: "kfake", Program: filepath.Join(folder, "kfake"), Args: []string{"-port", strconv.Itoa(port)}})
	must(t, err)
	t.Cleanup(func() { _ = s.group.Stop(time.Minute) })
	s.kafka = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.load, err = kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedBytes(64<<20), kgo.MaxBufferedRecords(1e6), kgo.ProducerBatchMaxBytes(4<<20), kgo.DefaultProduceTopic(topic))
	must(t, err)
	t.Cleanup(s.load.Close)
	must(t, broker.Until(t.Context(), s.load.Ping))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const topic = "shop.shop.orders"

// create makes the topic.
func (s *stage) create(partitions int32) {
	s.t.Helper()
	large := strconv.Itoa(4 << 20)
	_, err := kadm.NewClient(s.load).CreateTopic(s.t.Context(), partitions, 1, map[string]*string{"max.message.bytes": &large}, topic)
	must(s.t, err)
}

// noon is when records begin.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// envelope is a change event of size bytes, without a schema.
func envelope(id, size int, at time.Time) *kgo.Record {
	text := fmt.Appendf(nil, `{"before":null,"after":{"id":%d,"customer_id":%d,"status":"PAID","total":"%d.25","weight":0.5,"note":"`, id, id%1000, id%5000)
	tail := fmt.Appendf(nil, `"},"source":{"version":"3.0","connector":"mysql","name":"shop","ts_ms":%d,"db":"shop","table":"orders"},"op":"c","ts_ms":%d}`, at.UnixMilli(), at.UnixMilli())
	seed := uint64(id)*2654435761 + 88172645463325252
	for len(text)+len(tail) < size {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		text = append(text, 'a'+byte(seed%26))
	}
	return &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: append(text, tail...), Timestamp: at}
}

// fill writes n records of size bytes to every partition, round by round, each
// round an hour later than the one before up to hours, then from the first again.
func (s *stage) fill(partitions int32, n, size, hours int) {
	s.t.Helper()
	for i := range n {
		for p := range partitions {
			r := envelope(i*int(partitions)+int(p), size, noon.Add(time.Duration(i%hours)*time.Hour))
			r.Partition = p
			s.load.Produce(s.t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					s.t.Error(err)
				}
			})
		}
	}
	must(s.t, s.load.Flush(s.t.Context()))
}

// start starts a component with properties.
func (s *stage) start(binary string, properties map[string]string) *processes.Component {
	s.t.Helper()
	properties["bootstrap.servers"] = s.kafka
	c, err := s.group.StartComponent(s.t.Context(), filepath.Join(folder, binary), processes.Connector{Name: binary, Config: properties})
	must(s.t, err)
	return c
}

// lakeAt are the properties of a lake in a bucket.
func lakeAt(store servers.ObjectStore, bucket string) map[string]string {
	return map[string]string{
		"store.url": store.Endpoint, "s3.bucket.name": bucket, "s3.region": store.Region, "aws.access.key.id": store.AccessKey, "aws.secret.access.key": store.SecretKey,
		"topics": topic, "partitioner.class": "HourlyPartitioner", "flush.size": "10000000",
	}
}

// patience is how long a component may take for what it is given.
const patience = 10 * time.Minute

// until waits until a metric of a component is at least so high.
func (s *stage) until(c *processes.Component, name string, least float64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	must(s.t, c.Until(ctx, func(ctx context.Context) error {
		all, err := c.Metrics(ctx)
		if err != nil {
			return err
		}
		v := all[name]
		if v < least {
			return fmt.Errorf("%s is %.0f, not %.0f", name, v, least)
		}
		return nil
	}))
}

// still waits until a metric of a component is not 0 and does not change any more.
func (s *stage) still(c *processes.Component, name string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	last, same := 0.0, 0
	must(s.t, c.Until(ctx, func(ctx context.Context) error {
		all, err := c.Metrics(ctx)
		if err != nil {
			return err
		}
		v := all[name]
		if same++; v != last || v == 0 {
			last, same = v, 0
		}
		if same < 40 {
			return fmt.Errorf("%s is %.0f", name, v)
		}
		return nil
	}))
}

// within checks the most that a component ever took against what the formula of
// docs/operations.md gives for its two properties, in MiB.
func (s *stage) within(c *processes.Component, ahead, open int) {
	s.t.Helper()
	took, err := c.PeakRSS()
	must(s.t, err)
	may := int64(128<<20 + 3*ahead<<20 + open<<20*3/2)
	all, err := c.Metrics(s.t.Context())
	must(s.t, err)
	// Without the limit a load of large rows may stay below all the same, and one
	// of small rows at full speed takes twice as much.
	if limit := all["go_gc_gomemlimit_bytes"]; limit == 0 || limit > float64(may) {
		s.t.Errorf("the soft limit of %s is %.0f MiB, more than the %d MiB that it may take", c.Name, limit/(1<<20), may>>20)
	}
	s.t.Logf("%s took %d MiB of %d MiB", c.Name, took>>20, may>>20)
	if took > may {
		s.t.Errorf("%s took %d MiB and may take %d MiB", c.Name, took>>20, may>>20)
	}
}
