package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

func TestEverythingIsWrittenInOrderAndCommitted(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	for i := range 300 {
		cl.Produce(context.Background(), flat("t", int32(i%3), i%30, i), nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	for i := range 30 {
		got, ok := s.get(fmt.Sprintf(`t/{"id":%d}`, i))
		if want := fmt.Sprintf(`{"id":%d,"n":%d}`, i, 270+i); !ok || got.text != want {
			t.Errorf("id %d: got %q, want %q", i, got.text, want)
		}
	}
	for at, offsets := range s.order {
		if !slices.IsSorted(offsets) || len(offsets) != 100 {
			t.Errorf("%s: offsets %v", at, offsets)
		}
	}
	stop()
	for _, o := range committedOffsets(t, cl, "weir-test").Sorted() {
		if m, ours, err := parseMark(o.Metadata); o.At != 100 || !ours || err != nil || m.topicID == [16]byte{} {
			t.Errorf("partition %d: committed %d with %q", o.Partition, o.At, o.Metadata)
		}
	}
}

// TestNothingIsLeftRunning after a stop.
func TestNothingIsLeftRunning(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 0, 1, 1), &kgo.Record{Topic: "t", Partition: 1, Value: []byte("{")})
	before := goleak.IgnoreCurrent()
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t", "errors.tolerance": "all"}}.build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	r.Restart()
	eventually(t, func() error {
		if len(r.Status().Tasks) == 3 {
			return errors.New("not restarted")
		}
		return nil
	})
	caughtUp(t, r, 3)
	stop()
	// The fake broker answers connections that were closed a little longer.
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read"), goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write"))
}

func TestAFailedWriteIsRepeatedUntilItSucceeds(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 0, 1, 1))
	var tries atomic.Int32
	s := newTarget()
	s.before = func(context.Context, []*cdc.Record) error {
		if tries.Add(1) < 5 {
			return errTarget
		}
		return nil
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	if s.size() != 1 || tries.Load() != 5 {
		t.Errorf("%d rows after %d attempts", s.size(), tries.Load())
	}
}

func TestAnUnreachableTargetIsRunningWithTheReason(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 1, 1, 1))
	var up atomic.Bool
	s := newTarget()
	s.before = func(context.Context, []*cdc.Record) error {
		if !up.Load() {
			return errTarget
		}
		return nil
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[1].Problem == nil || !strings.Contains(st.Tasks[1].Problem.Text, errTarget.Error()) {
			return fmt.Errorf("no reason in %+v", st)
		}
		if st.Connector.State != admin.Running || st.Tasks[1].State != admin.Running || st.Lag.Records != 1 {
			return fmt.Errorf("status %+v", st)
		}
		return nil
	})
	up.Store(true)
	caughtUp(t, r, 3)
	if p := r.Status().Problem; p != nil {
		t.Errorf("the problem stays: %v", p.Text)
	}
}

// TestARejectedRecordStopsItsPartitionOnly: errors.tolerance=none.
func TestARejectedRecordStopsItsPartitionOnly(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	for i := range 30 {
		produce(t, cl, flat("t", int32(i%3), i, i))
	}
	s := newTarget()
	s.after = rejectIDs(4, 13) // offsets 1 and 4 of partition 1
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	stop := start(t, r)
	stuckAt := func(offset int64) {
		t.Helper()
		eventually(t, func() error {
			st := r.Status()
			if len(st.Tasks) != 3 || st.Tasks[1].State != admin.Failed || st.Tasks[1].Problem.Record.Offset != offset || st.Tasks[1].Committed != offset ||
				st.Tasks[0].Lag.Records != 0 || st.Tasks[2].Lag.Records != 0 {
				return fmt.Errorf("want partition 1 stuck at %d: %s", offset, describe(r))
			}
			return nil
		})
	}
	stuckAt(1)
	st := r.Status()
	if text := st.Tasks[1].Problem.Text; !strings.Contains(text, `{"id":4}`) || !strings.Contains(text, "offset 1 of t-1") || !strings.Contains(text, "no room for it") {
		t.Errorf("problem %q", text)
	}
	if st.Connector.State != admin.Failed || !strings.Contains(st.Tasks[1].Problem.Do, "weirctl skip") {
		t.Errorf("status %+v", st)
	}
	if err := r.Ready(); err == nil {
		t.Error("a failed sink is ready")
	}
	skip := func(offset int64) error {
		return r.Skip(context.Background(), admin.Record{Topic: "t", Partition: 1, Offset: offset})
	}
	if err := skip(0); err == nil {
		t.Error("skipped a record that is not stuck")
	}
	if err := r.Skip(context.Background(), admin.Record{Topic: "t", Partition: 0, Offset: 1}); err == nil {
		t.Error("skipped in a partition that runs")
	}
	if err := skip(1); err != nil {
		t.Fatal(err)
	}
	stuckAt(4)
	if err := skip(4); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	stop()
	letters := consume(t, addr, "test-dlq", 2)
	for i, want := range []string{`{"id":4}`, `{"id":13}`} {
		if string(letters[i].Key) != want {
			t.Errorf("dead letter %d has key %s", i, letters[i].Key)
		}
	}
}

// rejectIDs makes a target refuse records of these ids for good.
func rejectIDs(ids ...int) func(context.Context, []*cdc.Record) error {
	return func(_ context.Context, batch []*cdc.Record) error {
		var out sink.Rejected
		for i, r := range batch {
			for _, id := range ids {
				if string(r.RawKey) == fmt.Sprintf(`{"id":%d}`, id) {
					out.Items = append(out.Items, sink.Rejection{Index: i, Reason: errors.New("no room for it")})
				}
			}
		}
		if len(out.Items) > 0 {
			return &out
		}
		return nil
	}
}

// TestAStopCommitsWhatIsDurable: the batch at hand is finished.
func TestAStopCommitsWhatIsDurable(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	produce(t, cl, flat("t", 0, 1, 1))
	inside, release := make(chan bool), make(chan bool)
	s := newTarget()
	s.before = func(context.Context, []*cdc.Record) error {
		inside <- true
		<-release
		return nil
	}
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t", "offset.flush.interval.ms": "3600000"}}.build(t)
	stop := start(t, r)
	<-inside
	go func() {
		time.Sleep(300 * time.Millisecond)
		close(release)
	}()
	stop()
	if o, _ := committedOffsets(t, cl, "weir-test").Lookup("t", 0); o.At != 1 {
		t.Errorf("committed %d", o.At)
	}
}

func TestPauseAndResume(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics": "t"}}.build(t)
	start(t, r)
	caughtUp(t, r, 3)
	r.PausePartition("t", 1, true)
	time.Sleep(2 * idleAfter) // until the worker has seen it
	produce(t, cl, flat("t", 0, 1, 1), flat("t", 1, 2, 1), flat("t", 2, 3, 1))
	eventually(t, func() error {
		st := r.Status()
		if s.size() != 2 || st.Tasks[1].State != admin.Paused || st.Tasks[1].Lag.Records != 1 || st.Connector.State != admin.Running {
			return fmt.Errorf("%d rows, %s", s.size(), describe(r))
		}
		return nil
	})
	r.PausePartition("t", 1, false)
	caughtUp(t, r, 3)
	if err := r.Pause(context.Background()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * idleAfter)
	produce(t, cl, flat("t", 0, 4, 1))
	eventually(t, func() error {
		if st := r.Status(); st.Connector.State != admin.Paused || st.Lag.Records != 1 {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	if s.size() != 3 {
		t.Errorf("%d rows while paused", s.size())
	}
	if err := r.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
}

// TestLettersEndWithTheirRunner: a worker that was abandoned and has a letter to
// write does not connect again.
func TestLettersEndWithTheirRunner(t *testing.T) {
	_, addr := fake(t, "t")
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t", "errors.tolerance": "all"}}.build(t)
	letter := []failure{{raw: flat("t", 0, 1, 1), stage: stagePut, err: errors.New("no room for it")}}
	if err := r.letters.send(context.Background(), letter); err != nil {
		t.Fatal(err)
	}
	r.letters.close()
	if err := r.letters.send(context.Background(), letter); !errors.Is(err, errLettersClosed) || r.letters.client != nil {
		t.Errorf("got %v", err)
	}
}

// TestALookAtTheLettersIsRepeated: until the brokers say what the topic has, unless
// they refuse to.
func TestALookAtTheLettersIsRepeated(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		asks int64
	}{{kerr.RequestTimedOut, 3}, {kerr.TopicAuthorizationFailed, 1}} {
		t.Run(c.err.Message, func(t *testing.T) {
			brokers, addr := fake(t, "t", "letters")
			var asks atomic.Int64
			brokers.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
				brokers.KeepControl()
				if asks.Add(1) > 2 {
					return nil, nil, false
				}
				resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
				resource := kmsg.NewDescribeConfigsResponseResource()
				resource.ResourceType, resource.ResourceName, resource.ErrorCode = kmsg.ConfigResourceTypeTopic, "letters", c.err.Code
				resp.Resources = append(resp.Resources, resource)
				return resp, nil, true
			})
			r := setup{addr: addr, writer: newTarget(), properties: map[string]string{
				"topics": "t", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "letters"}}.build(t)
			defer r.letters.close()
			r.letters.look(t.Context(), backoff{time.Millisecond, time.Millisecond, func() float64 { return 0 }})
			if asks.Load() != c.asks {
				t.Errorf("asked %d times", asks.Load())
			}
		})
	}
}
