package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
	fp "github.com/weir-cdc/weir/internal/failpoint"
)

// stepwise is the folder of binaries that can be told at which step to die, or
// to stop.
func stepwise() string { return filepath.Join(folder, "stepwise") }

var buildStepwise = processes.Once(stepwise, append([]string{"-tags=failpoint"}, services...)...)

// broken is a topic that has nothing but records that no sink can read.
const broken = "broken"

// ownSteps are the steps that a sink has besides those of all.
var ownSteps = [][]fp.Name{
	searchSink: {fp.BulkSend, fp.WriterWritten},
	cacheSink:  {fp.WriterWritten},
	lakeSink:   {fp.RangeFirst, fp.RangeIntended, fp.RangeCompleted, fp.RangeCommitted},
}

// TestSinksAreKilledAtEveryStep: each sink dies at each step of its work, under
// load, and in the end has every row, every event, and every record that it could
// not read in its dead letters.
func TestSinksAreKilledAtEveryStep(t *testing.T) {
	f := newFleet(t, servers.MySQL(t), places{kafka: servers.Kafka(t), search: servers.Elasticsearch(t), cache: servers.Redis(t), store: servers.S3(t)})
	f.must(buildStepwise())
	f.binaries = stepwise()
	w := &workload{db: f.db, seed: seed, pause: 20 * time.Millisecond, tables: tables()[1:4]}
	f.must(w.create(t.Context()))
	_, err := kadm.NewClient(f.kafka).CreateTopic(t.Context(), 1, 1, nil, f.topic(broken))
	f.must(err)
	set := map[string]string{"errors.tolerance": "all", "consumer.override.session.timeout.ms": "1500"} // a dead member is waited for
	f.startSinks(1, map[string]map[string]string{"weir-elasticsearch": set, "weir-redis": set, "weir-lake": set})

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load, kills errgroup.Group
	load.Go(func() error { return w.run(ctx) })
	for sink, instances := range f.sinks {
		kills.Go(func() error {
			return f.killAtSteps(instances[0], append(ownSteps[sink], fp.GateCommit, fp.GateCommitted, fp.DeadLettered))
		})
	}
	f.startCaptures(1, "io.debezium.connector.mysql.MySqlConnector")
	f.must(kills.Wait())
	stop()
	f.must(load.Wait())
	f.settle()
	f.compareSteps(w)
}

// compareSteps compares all tables with all targets, and looks for the dead
// letters.
func (f *fleet) compareSteps(w *workload) {
	f.t.Helper()
	compared(f.t, f.jobs(w.tables))
	f.t.Logf("%d transactions", w.transactions.Load())
	ends, err := kadm.NewClient(f.kafka).ListEndOffsets(f.t.Context(), f.topic(broken))
	f.must(err)
	end, _ := ends.Lookup(f.topic(broken), 0)
	for _, instances := range f.sinks {
		if letters := f.letters(instances[0]); int64(len(letters)) != end.Offset || end.Offset == 0 {
			f.t.Errorf("%s wrote dead letters of %d of %d records", instances[0].Name, len(letters), end.Offset)
		}
	}
}

// letters counts a sink's dead letters by the record that they are of.
func (f *fleet) letters(sink *processes.Component) map[string]int {
	f.t.Helper()
	topic := f.prefix + "-" + filepath.Base(sink.Program) + "-dlq"
	ends, err := kadm.NewClient(f.kafka).ListCommittedOffsets(f.t.Context(), topic)
	f.must(err)
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	client, err := kgo.NewClient(append(f.kafka.Opts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	f.must(err)
	defer client.Close()
	letters := map[string]int{}
	for n := int64(0); n < left; {
		fetches := client.PollFetches(f.t.Context())
		f.must(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { n++; letters[string(r.Value)]++ })
	}
	return letters
}

// killAtSteps lets a sink die at one step after the other, and starts it as it
// is in the end.
func (f *fleet) killAtSteps(sink *processes.Component, steps []fp.Name) error {
	for i, step := range steps {
		at := fmt.Sprintf("%s:%d", step, 1+i%2)
		if err := f.restartWith(sink, "WEIR_FAILPOINT="+at); err != nil {
			return err
		}
		if err := f.untilDead(sink, at); err != nil {
			return fmt.Errorf("killing %s at %s: %w", sink.Name, at, err)
		}
	}
	return f.restartWith(sink)
}

// restartWith starts a sink anew with an environment.
func (f *fleet) restartWith(sink *processes.Component, env ...string) error {
	if sink.Ended() == nil {
		if err := sink.Stop(patience); err != nil {
			return err
		}
	} else {
		_ = sink.Kill() // it has ended already, which is the error
	}
	sink.Env = env
	return sink.Start()
}

// untilDead waits until a sink has died at a step. Records that it cannot read
// come meanwhile.
func (f *fleet) untilDead(sink *processes.Component, at string) error {
	deadline := time.Now().Add(4 * time.Minute)
	for i := 0; sink.Ended() == nil; i++ {
		if time.Now().After(deadline) {
			return errors.New("it does not come there")
		}
		if i%20 == 0 {
			bad := &kgo.Record{Topic: f.topic(broken), Value: fmt.Appendf(nil, `{"of": "%s", "at": "%s", "no": %d`, sink.Name, at, i)}
			if err := f.kafka.ProduceSync(f.t.Context(), bad).FirstErr(); err != nil {
				return err
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !says(sink, "failpoint: "+at+": kill") {
		return sink.Ended()
	}
	return nil
}

// says reports whether the log of an instance has a text.
func says(c *processes.Component, text string) bool {
	log, err := os.ReadFile(c.Log())
	return err == nil && strings.Contains(string(log), text)
}
