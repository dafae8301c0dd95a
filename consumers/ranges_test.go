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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// testLayout is the layout of a shelf without transforms.
var testLayout = (&RangeConfig{}).layout(&shelf{})

// ranges makes a runner over a shelf, of group weir-test and topic t.
func ranges(t testing.TB, addr string, s *shelf, rendering RangeConfig, properties ...string) *Runner {
	t.Helper()
	given := map[string]string{
		"name": "test", "bootstrap.servers": addr, "topics": "t", "retry.backoff.ms": "10", "errors.retry.delay.max.ms": "100",
		"offset.flush.interval.ms": "20", "consumer.override.heartbeat.interval.ms": "200", "consumer.override.session.timeout.ms": "6000",
		"consumer.override.fetch.max.wait.ms": "100", "consumer.override.metadata.max.age.ms": "1000",
	}
	for _, p := range properties {
		name, value, _ := strings.Cut(p, "=")
		given[name] = value
	}
	c, _, err := configure(t, given)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{
		Config: c, Limits: Limits{Records: 100, Bytes: 1 << 20, Linger: 5 * time.Millisecond}, Ranges: s, Rendering: rendering,
		Component: "weir-test", Version: "0", Log: logger(t), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill produces n records into partition 0.
func fill(t testing.TB, cl *kgo.Client, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, flat("t", 0, i, i))
	}
	produce(t, cl, records...)
}

// upTo is 0 to n-1.
func upTo(n int64) (out []int64) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// wantEvents compares what happened, without the discarding of ranges.
func wantEvents(t testing.TB, s *shelf, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(s.seen(), func(e string) bool { return strings.HasPrefix(e, "discard") })
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestARangeIsIntendedWrittenCompleted is the protocol, step by step.
func TestARangeIsIntendedWrittenCompleted(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 7)
	s := newShelf(3)
	commitsInto(c, s, 0)
	r := ranges(t, addr, s, RangeConfig{})
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	wantEvents(t, s,
		"commit 0", // a first start
		"open 0", "commit 0 until 3", "complete 0 to 3", "commit 3",
		"open 3", "commit 3 until 6", "complete 3 to 6", "commit 6",
		"open 6", "commit 6 until 7", "complete 6 to 7", "commit 7")
	if got := s.offsets(0); !slices.Equal(got, upTo(7)) {
		t.Errorf("offsets %v are in files", got)
	}
}

// TestAPendingRangeIsRenderedAgain: exactly its records, with its instant.
func TestAPendingRangeIsRenderedAgain(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 10)
	m := rangeMark{topicID: topicIDOf(t, cl, "t"), layout: testLayout, instant: time.UnixMilli(1234567), pending: 6}
	commitFor(t, cl, "weir-test", "t", 0, 2, m.String())
	s := newShelf(100)
	commitsInto(c, s, 0)
	r := ranges(t, addr, s, RangeConfig{})
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	wantEvents(t, s, "open 2 again at 1234567", "complete 2 to 6", "commit 6", "open 6", "commit 6 until 10", "complete 6 to 10", "commit 10")
	if got := s.files["t-0@2"]; !slices.Equal(got, []int64{2, 3, 4, 5}) {
		t.Errorf("the pending range has %v", got)
	}
}

// TestRangesRefuseWhatTheyCannotTrust: nothing is written, and a person is told
// what to do.
func TestRangesRefuseWhatTheyCannotTrust(t *testing.T) {
	id := [16]byte{1: 1}
	for _, c := range []struct {
		name     string
		files    bool
		metadata func(own [16]byte) string // nil: no committed offset
		want     string
	}{
		{"no offset, and files", true, nil, "has no offset of t-0, but the target has files of it"},
		{"a reset", false, func([16]byte) string { return "" }, "was not set by a lake"},
		{"another program", false, func([16]byte) string { return "connect" }, "was not set by a lake"},
		{"a sink of the other shape", false, func(own [16]byte) string { return mark{topicID: own}.String() }, "was not set by a lake"},
		{"a later version", false, func([16]byte) string { return "i2;x" }, "later version"},
		{"nonsense", false, func([16]byte) string { return "i1;00;x;-;-;-" }, "reading the committed metadata"},
		{"a range that ends before it begins", false, func(own [16]byte) string {
			return rangeMark{topicID: own, layout: testLayout, instant: time.UnixMilli(1), pending: 2}.String()
		}, "no range from 3 to 2"},
		{"another topic", false, func([16]byte) string { return rangeMark{topicID: id}.String() }, "was deleted and created again"},
		{"another layout", false, func(own [16]byte) string {
			return rangeMark{topicID: own, layout: "other", instant: time.UnixMilli(1), pending: 5}.String()
		}, "were being written under layout other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := fake(t, "t")
			cl := connect(t, addr)
			fill(t, cl, 10)
			s := newShelf(3)
			s.taken = c.files
			if c.metadata != nil {
				commitFor(t, cl, "weir-test", "t", 0, 3, c.metadata(topicIDOf(t, cl, "t")))
			}
			r := ranges(t, addr, s, RangeConfig{})
			start(t, r)
			eventually(t, func() error {
				for _, task := range r.Status().Tasks {
					if task.Partition.Partition == 0 && task.State == admin.Failed && strings.Contains(task.Problem.Text, c.want) && task.Problem.Do != "" {
						return nil
					}
				}
				return errors.New("partition 0 should have failed: " + describe(r))
			})
			if got := s.offsets(0); len(got) > 0 {
				t.Errorf("%v was written", got)
			}
		})
	}
}

// TestAnIdleRangeMayChangeItsLayout: only a pending one is bound to it.
func TestAnIdleRangeMayChangeItsLayout(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 4)
	commitFor(t, cl, "weir-test", "t", 0, 2, rangeMark{topicID: topicIDOf(t, cl, "t"), layout: "other"}.String())
	s := newShelf(100)
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("got %v", got)
	}
}

// TestTheTransformsAreOfTheLayout: what they route decides which files there are.
func TestTheTransformsAreOfTheLayout(t *testing.T) {
	layout := func(properties map[string]string) string {
		v, _, err := config.Parse(properties, transform.Properties, RangeProperties)
		if err != nil {
			t.Fatal(err)
		}
		c := NewRangeConfig(v)
		return c.layout(&shelf{})
	}
	route := map[string]string{"transforms": "r", "transforms.r.type": "RegexRouter", "transforms.r.replacement": "a"}
	one := layout(route)
	if again := layout(route); again != one {
		t.Errorf("%s and %s for the same", one, again)
	}
	route["transforms.r.replacement"] = "b"
	if two := layout(route); two == one || layout(nil) == one {
		t.Error("another route is the same layout")
	}
}

// TestAFailedCompletionIsTriedAgain keeps the intent, and commits nothing more.
func TestAFailedCompletionIsTriedAgain(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	s := newShelf(3)
	commitsInto(c, s, 0)
	var tries atomic.Int32
	s.complete = func(context.Context, int64) error {
		if tries.Add(1) < 4 {
			return errTarget
		}
		return nil
	}
	r := ranges(t, addr, s, RangeConfig{})
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	wantEvents(t, s, "commit 0", "open 0", "commit 0 until 3", "complete 0 to 3", "complete 0 to 3", "complete 0 to 3", "complete 0 to 3", "commit 3")
}

// TestWhatIsGoneIsRenderedAgain replaces the client, which finds the intent.
func TestWhatIsGoneIsRenderedAgain(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	s := newShelf(3)
	var gone atomic.Bool
	s.complete = func(context.Context, int64) error {
		if gone.CompareAndSwap(false, true) {
			return fmt.Errorf("completing: %w", sink.ErrRenderAgain)
		}
		return nil
	}
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	caughtUp(t, r, 3)
	again := slices.ContainsFunc(s.seen(), func(e string) bool { return strings.HasPrefix(e, "open 0 again") })
	if got := s.offsets(0); !again || !slices.Equal(got, upTo(3)) {
		t.Errorf("%v, rendered again: %v", got, again)
	}
}

// TestOffsetsMovePastWhatNeedsNoFile: dropped records and transaction markers,
// without an intent, so that the lag reaches 0.
func TestOffsetsMovePastWhatNeedsNoFile(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr, kgo.TransactionalID("x"))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		fill(t, cl, 2)
		if err := cl.EndTransaction(context.Background(), end); err != nil {
			t.Fatal(err)
		}
	}
	s := newShelf(100)
	commitsInto(c, s, 0)
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("%v is in files, want the committed records", got)
	}
	if last := s.seen()[len(s.seen())-1]; !strings.HasPrefix(last, "commit 9") && !strings.HasPrefix(last, "discard") {
		t.Errorf("last came %q", last)
	}
}

// TestAnIdlePartitionEndsItsRangeWhenDue asks the range while nothing comes.
func TestAnIdlePartitionEndsItsRangeWhenDue(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	s := newShelf(100)
	var due atomic.Bool
	s.due = due.Load
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].Lag.Records != 3 || st.Tasks[0].Lag.Seconds <= 0 || !slices.Contains(s.seen(), "open 0") {
			return fmt.Errorf("want a lag of 3 and an age: %+v", st.Tasks)
		}
		return nil
	})
	if got := s.offsets(0); len(got) > 0 {
		t.Errorf("%v is visible", got)
	}
	due.Store(true)
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, upTo(3)) {
		t.Errorf("got %v", got)
	}
}

// opened is nil once the range from 0 on has been opened.
func (s *shelf) opened() error {
	if !slices.Contains(s.seen(), "open 0") {
		return errors.New("nothing was taken")
	}
	return nil
}

// TestAPausedPartitionEndsItsRange, and takes nothing more until it is resumed.
func TestAPausedPartitionEndsItsRange(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	s := newShelf(100)
	s.due = func() bool { return false }
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	eventually(t, s.opened)
	if err := r.Pause(context.Background()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got := s.offsets(0); !slices.Equal(got, upTo(3)) {
			return fmt.Errorf("%v is in files", got)
		}
		return nil
	})
}

// TestADeadLetterIsWrittenBeforeTheOffsetMovesOn: errors.tolerance=all.
func TestADeadLetterIsWrittenBeforeTheOffsetMovesOn(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 6)
	s := newShelf(100)
	s.reject = func(r *cdc.Record) error {
		if r.Offset == 2 || r.Offset == 4 {
			return errors.New("column n: no")
		}
		return nil
	}
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		s.note("letters")
		return nil, nil, false
	})
	commitsInto(c, s, 0)
	r := ranges(t, addr, s, RangeConfig{}, "errors.tolerance=all")
	start(t, r)
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, []int64{0, 1, 3, 5}) {
		t.Errorf("%v is in files", got)
	}
	letters := consume(t, addr, "test-dlq", 2)
	if string(letters[0].Value) != `{"id":2,"n":2}` || string(letters[1].Value) != `{"id":4,"n":4}` {
		t.Errorf("dead letters %s and %s", letters[0].Value, letters[1].Value)
	}
	events := s.seen()
	if at := slices.Index(events, "letters"); at < 0 || at > slices.Index(events, "commit 0 until 6") {
		t.Errorf("the intent came first: %v", events)
	}
}

// TestARejectedRecordEndsItsRange: errors.tolerance=none. What was before it is
// durable, and a person can move the partition past it.
func TestARejectedRecordEndsItsRange(t *testing.T) {
	c, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 6)
	s := newShelf(100)
	s.reject = func(r *cdc.Record) error {
		if r.Offset == 2 {
			return errors.New("column n: no")
		}
		return nil
	}
	commitsInto(c, s, 0)
	r := ranges(t, addr, s, RangeConfig{})
	stop := start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[0].Committed != 2 || st.Tasks[0].Problem.Record.Offset != 2 {
			return errors.New("want partition 0 stuck at 2: " + describe(r))
		}
		return nil
	})
	if got := s.offsets(0); !slices.Equal(got, upTo(2)) {
		t.Errorf("%v is in files", got)
	}
	if err := r.Skip(context.Background(), admin.Record{Topic: "t", Partition: 0, Offset: 2}); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	stop()
	wantEvents(t, s, "commit 0", "open 0", "commit 0 until 2", "complete 0 to 2", "commit 2", "commit 3",
		"open 3", "commit 3 until 6", "complete 3 to 6", "commit 6")
	if letters := consume(t, addr, "test-dlq", 1); string(letters[0].Value) != `{"id":2,"n":2}` {
		t.Errorf("dead letter %s", letters[0].Value)
	}
}

// TestAnUndecodableRecordEndsItsRange is the same one step earlier.
func TestAnUndecodableRecordEndsItsRange(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 2)
	produce(t, cl, &kgo.Record{Topic: "t", Value: []byte("{")})
	fill(t, cl, 2)
	s := newShelf(100)
	s.due = func() bool { return false }
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	eventually(t, func() error {
		if st := r.Status(); len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[0].Committed != 2 {
			return errors.New("want partition 0 stuck at 2: " + describe(r))
		}
		return nil
	})
	if err := r.Skip(context.Background(), admin.Record{Topic: "t", Partition: 0, Offset: 2}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if st := r.Status(); st.Tasks[0].Committed != 3 {
			return errors.New("want 3 committed: " + describe(r))
		}
		return nil
	})
}

// doubled makes two records of each.
type doubled struct{ out []*cdc.Record }

func (d *doubled) Apply(_ context.Context, records []*cdc.Record) ([]*cdc.Record, error) {
	d.out = d.out[:0]
	for _, r := range records {
		d.out = append(d.out, r, r)
	}
	return d.out, nil
}

// TestRecordsOfOneOffsetShareARange, or the second would be lost after a crash.
func TestRecordsOfOneOffsetShareARange(t *testing.T) {
	_, addr := fake(t, "t")
	fill(t, connect(t, addr), 4)
	s := newShelf(3)
	r := ranges(t, addr, s, RangeConfig{})
	r.chain = func() (Chain, error) { return &doubled{}, nil }
	start(t, r)
	caughtUp(t, r, 3)
	for name, offsets := range s.files {
		if len(offsets) != 4 {
			t.Errorf("%s has %v", name, offsets)
		}
	}
}

// TestAPartitionAddedLaterIsAFirstStart: the group has no offset of it.
func TestAPartitionAddedLaterIsAFirstStart(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 2)
	s := newShelf(100)
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	caughtUp(t, r, 3)
	if _, err := kadm.NewClient(cl).CreatePartitions(context.Background(), 1, "t"); err != nil {
		t.Fatal(err)
	}
	cl.ForceMetadataRefresh()
	eventually(t, func() error {
		return cl.ProduceSync(context.Background(), flat("t", 3, 1, 1)).FirstErr()
	})
	eventually(t, func() error {
		if got := s.offsets(3); !slices.Equal(got, upTo(1)) {
			return fmt.Errorf("partition 3 has %v in files", got)
		}
		return nil
	})
}

// TestLostRecords were removed from the log before they were read.
func TestLostRecords(t *testing.T) {
	lose := func(t *testing.T, metadata func(id [16]byte) string, rendering RangeConfig) (*shelf, *Runner) {
		_, addr := fake(t, "t")
		cl := connect(t, addr)
		fill(t, cl, 10)
		commitFor(t, cl, "weir-test", "t", 0, 2, metadata(topicIDOf(t, cl, "t")))
		var offsets kadm.Offsets
		offsets.AddOffset("t", 0, 5, -1)
		if _, err := kadm.NewClient(cl).DeleteRecords(context.Background(), offsets); err != nil {
			t.Fatal(err)
		}
		s := newShelf(100)
		r := ranges(t, addr, s, rendering)
		start(t, r)
		return s, r
	}
	idle := func(id [16]byte) string { return rangeMark{topicID: id, layout: testLayout}.String() }
	pending := func(end int64) func(id [16]byte) string {
		return func(id [16]byte) string {
			return rangeMark{topicID: id, layout: testLayout, instant: time.UnixMilli(1), pending: end}.String()
		}
	}
	t.Run("stop", func(t *testing.T) {
		s, r := lose(t, idle, RangeConfig{})
		eventually(t, func() error {
			if st := r.Status(); len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || !strings.Contains(st.Tasks[0].Problem.Text, "removed") {
				return errors.New("partition 0 should have failed: " + describe(r))
			}
			return nil
		})
		if do := r.Status().Tasks[0].Problem.Do; !strings.Contains(do, "lost.records=continue") || strings.Contains(do, "weirctl reset") {
			t.Errorf("advises to %s", do) // a lake cannot be reset
		}
		if got := s.offsets(0); len(got) > 0 {
			t.Errorf("%v is in files", got)
		}
	})
	t.Run("continue", func(t *testing.T) {
		s, r := lose(t, idle, RangeConfig{Continue: true})
		caughtUp(t, r, 3)
		if got := s.offsets(0); !slices.Equal(got, []int64{5, 6, 7, 8, 9}) {
			t.Errorf("%v is in files", got)
		}
	})
	t.Run("of a pending range", func(t *testing.T) {
		s, r := lose(t, pending(7), RangeConfig{Continue: true})
		caughtUp(t, r, 3)
		if got := s.files["t-0@2"]; !slices.Equal(got, []int64{5, 6}) {
			t.Errorf("the pending range has %v", got)
		}
		if got := s.offsets(0); !slices.Equal(got, []int64{5, 6, 7, 8, 9}) {
			t.Errorf("%v is in files", got)
		}
	})
	t.Run("stop in a pending range", func(t *testing.T) {
		s, r := lose(t, pending(7), RangeConfig{})
		eventually(t, func() error {
			if st := r.Status(); len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || !strings.Contains(st.Tasks[0].Problem.Do, "lost.records=continue") {
				return errors.New("partition 0 should have failed: " + describe(r))
			}
			return nil
		})
		if got := s.offsets(0); len(got) > 0 {
			t.Errorf("%v is in files", got)
		}
	})
	t.Run("of a whole pending range", func(t *testing.T) {
		s, r := lose(t, pending(5), RangeConfig{Continue: true})
		caughtUp(t, r, 3)
		if got := s.offsets(0); !slices.Equal(got, []int64{5, 6, 7, 8, 9}) {
			t.Errorf("%v is in files", got)
		}
	})
}

// TestTheEndOfAPendingRangeMayBeGone: its last records, and all behind them,
// were compacted away or aborted, so that no record ever says that it is over.
func TestTheEndOfAPendingRangeMayBeGone(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	txn := connect(t, addr, kgo.TransactionalID("x"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	fill(t, txn, 3) // 3 to 5, and the marker at 6
	if err := txn.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	commitFor(t, cl, "weir-test", "t", 0, 0, rangeMark{topicID: topicIDOf(t, cl, "t"), layout: testLayout, instant: time.UnixMilli(1), pending: 6}.String())
	s := newShelf(100)
	r := ranges(t, addr, s, RangeConfig{})
	r.wrap = func(f flow) flow { return blind{f.(*rangeFlow)} }
	start(t, r)
	eventually(t, func() error {
		if got := s.offsets(0); !slices.Equal(got, upTo(3)) {
			return fmt.Errorf("%v is in files", got)
		}
		return nil
	})
}

// TestAPendingRangeMayEndWithAMarker, and nothing may come behind it: its end is
// told by how far fetching came, not by a record.
func TestAPendingRangeMayEndWithAMarker(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr, kgo.TransactionalID("x"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	fill(t, cl, 3) // and the marker at 3
	if err := cl.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	commitFor(t, cl, "weir-test", "t", 0, 0, rangeMark{topicID: topicIDOf(t, cl, "t"), layout: testLayout, instant: time.UnixMilli(1), pending: 4}.String())
	s := newShelf(100)
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, upTo(3)) {
		t.Errorf("%v is in files", got)
	}
}

// blind is not shown transaction markers, as if they were compacted away.
type blind struct{ *rangeFlow }

func (f blind) take(ctx context.Context, b *batch) error {
	for len(b.raws) > 0 && b.raws[len(b.raws)-1].Attrs.IsControl() {
		b.raws = b.raws[:len(b.raws)-1]
	}
	if len(b.raws) == 0 {
		return nil
	}
	b.cover()
	return f.rangeFlow.take(ctx, b)
}

// TestRangeMark survives the way through the broker.
func TestRangeMark(t *testing.T) {
	for _, m := range []rangeMark{
		{topicID: [16]byte{1, 2}, layout: "l"},
		{topicID: [16]byte{15: 3}, layout: "l", instant: time.UnixMilli(99), pending: 7, since: time.UnixMilli(5)},
	} {
		got, err := parseRangeMark(m.String(), 3)
		if err != nil || got.String() != m.String() || got.topicID != m.topicID || !got.instant.Equal(m.instant) || !got.since.Equal(m.since) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
		if _, _, err := parseMark(m.String()); !errors.Is(err, errRangeMark) {
			t.Errorf("a Writer would take %q for its own: %v", m, err)
		}
		if err := CheckReset(m.String()); err == nil {
			t.Errorf("a reset would move %q", m)
		}
	}
}

// TestACompactedRangeOnKafka: everything of a pending range is compacted away
// before it is rendered again. It ends all the same, and what a file has is kept.
func TestACompactedRangeOnKafka(t *testing.T) {
	t.Parallel()
	addr := servers.Kafka(t)
	topic, group := servers.Unique(t, "compacted"), servers.Unique(t, "compacted")
	createTopic(t, addr, topic, 1, "cleanup.policy", "compact", "segment.ms", "50", "min.cleanable.dirty.ratio", "0.001", "max.compaction.lag.ms", "100", "delete.retention.ms", "0")
	cl := connect(t, addr)
	last := func(n int) { // the newest segment is never compacted
		time.Sleep(100 * time.Millisecond)
		produce(t, cl, flat(topic, 0, n, n))
	}
	for i := range 6 {
		produce(t, cl, flat(topic, 0, 1, i))
	}
	last(1)
	last(2)
	deadline := time.Now().Add(90 * time.Second)
	for n := 3; ; n++ {
		if first := consume(t, addr, topic, 1)[0]; first.Offset >= 6 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker does not compact")
		}
		time.Sleep(2 * time.Second)
		last(n)
	}
	s := newShelf(100)
	s.files[topic+"-0@0"] = upTo(5) // a file of the crashed process
	m := rangeMark{topicID: topicIDOf(t, cl, topic), layout: testLayout, instant: time.UnixMilli(1), pending: 5, since: time.Now()}
	commitFor(t, cl, group, topic, 0, 0, m.String())
	r := ranges(t, addr, s, RangeConfig{}, "topics="+topic, "group.id="+group)
	start(t, r)
	caughtUp(t, r, 1)
	if got := s.files[topic+"-0@0"]; !slices.Equal(got, upTo(5)) {
		t.Errorf("the file that was there became %v", got)
	}
	if all := s.offsets(0); all[5] < 6 {
		t.Errorf("offsets %v", all)
	}
}

// dropped keeps nothing.
type dropped struct{}

func (dropped) Apply(context.Context, []*cdc.Record) ([]*cdc.Record, error) { return nil, nil }

// trickle produces into partition 0 without a pause of idleAfter, for a while.
func trickle(t testing.TB, cl *kgo.Client, d time.Duration) (n int) {
	for began := time.Now(); time.Since(began) < d; n++ {
		produce(t, cl, flat("t", 0, n, n))
		time.Sleep(20 * time.Millisecond)
	}
	return n
}

// TestOffsetsOfDroppedRecordsMoveOn: of a busy partition nothing is kept, and its
// offset must not stay until retention comes to it.
func TestOffsetsOfDroppedRecordsMoveOn(t *testing.T) {
	for name, none := range map[string]func(r *Runner, s *shelf){
		"filtered": func(r *Runner, _ *shelf) { r.chain = func() (Chain, error) { return dropped{}, nil } },
		"rejected": func(_ *Runner, s *shelf) { s.reject = func(*cdc.Record) error { return errors.New("no") } },
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := fake(t, "t")
			cl := connect(t, addr)
			s := newShelf(100)
			r := ranges(t, addr, s, RangeConfig{}, "errors.tolerance=all", "offset.flush.interval.ms=100")
			none(r, s)
			start(t, r)
			caughtUp(t, r, 3)
			n := trickle(t, cl, 2*time.Second)
			if task := r.Status().Tasks[0]; task.Committed < int64(n)/2 {
				t.Errorf("of %d records %d are committed; %s, %v", n, task.Committed, task.State, task.Problem)
			}
		})
	}
}

// TestAFailedPartitionHoldsNoRange: it may wait for a person for days, and what its
// open range holds is the memory of others.
func TestAFailedPartitionHoldsNoRange(t *testing.T) {
	_, addr := fake(t, "t")
	fill(t, connect(t, addr), 3)
	s := newShelf(100)
	s.due = func() bool { return false }
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	eventually(t, s.opened)
	r.mu.Lock()
	w := r.life.worker("t", 0)
	r.mu.Unlock()
	w.halt(&sink.Stopped{Reason: errors.New("a person has to act")})
	eventually(t, func() error {
		if task := r.Status().Tasks[0]; task.State != admin.Failed || !slices.Contains(s.seen(), "discard 0") {
			return fmt.Errorf("%s, %q", task.State, s.seen())
		}
		return nil
	})
}

// blockFetches lets brokers answer no fetch as long as blocked is set.
func blockFetches(c *kfake.Cluster, blocked *atomic.Bool) {
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if blocked.Load() {
			return nil, errors.New("blocked"), true
		}
		return nil, nil, false
	})
}

// TestLostRecordsWhileRunning are handled as those of a start, and what was read
// before them, which Kafka does not have any more either, is in files.
func TestLostRecordsWhileRunning(t *testing.T) {
	for name, goOn := range map[string]bool{"stop": false, "continue": true} {
		t.Run(name, func(t *testing.T) {
			c, addr := fake(t, "t")
			cl := connect(t, addr)
			var blocked atomic.Bool
			blockFetches(c, &blocked)
			fill(t, cl, 3)
			s := newShelf(1000)
			s.due = func() bool { return false }
			r := ranges(t, addr, s, RangeConfig{Continue: goOn})
			start(t, r)
			eventually(t, func() error {
				if !slices.Contains(s.seen(), "open 0") || r.Status().Tasks[0].End != 3 {
					return errors.New("nothing was taken")
				}
				return nil
			})
			blocked.Store(true)
			time.Sleep(300 * time.Millisecond) // a fetch that waits in the broker is over
			fill(t, cl, 10)
			var gone kadm.Offsets
			gone.AddOffset("t", 0, 8, -1)
			if _, err := kadm.NewClient(cl).DeleteRecords(context.Background(), gone); err != nil {
				t.Fatal(err)
			}
			blocked.Store(false)
			eventually(t, func() error {
				st := r.Status()
				if goOn && slices.Contains(s.seen(), "open 8") || !goOn && len(st.Tasks) == 3 && st.Tasks[0].State == admin.Failed {
					return nil
				}
				return errors.New(describe(r))
			})
			if got := s.offsets(0); !slices.Equal(got, upTo(3)) {
				t.Errorf("%v is in files; 0 to 2 were read before anything was removed", got)
			}
		})
	}
}

// TestARangeEndsBeforeItsTopicForgets: what is read of a quiet partition is in files
// before retention, or the horizon of tombstones, would have the next start refuse.
func TestARangeEndsBeforeItsTopicForgets(t *testing.T) {
	for name, c := range map[string]struct{ topic, properties []string }{
		"retention":            {topic: []string{"cleanup.policy", "delete", "retention.ms", "2000"}},
		"deletes":              {topic: []string{"cleanup.policy", "compact", "delete.retention.ms", "2000"}},
		"a horizon of its own": {properties: []string{"tombstone.horizon.ms=2000"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := fake(t)
			createTopic(t, addr, "t", 3, c.topic...)
			fill(t, connect(t, addr), 3)
			s := newShelf(1000)
			s.due = func() bool { return false } // flush.size is far away, and there is no interval
			start(t, ranges(t, addr, s, RangeConfig{}, c.properties...))
			deadline := time.Now().Add(5 * time.Second)
			for !slices.Equal(s.offsets(0), upTo(3)) {
				if time.Now().After(deadline) {
					t.Fatalf("%v is in files", s.offsets(0))
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// trebled makes three records of each.
type trebled struct{ out []*cdc.Record }

func (d *trebled) Apply(_ context.Context, records []*cdc.Record) ([]*cdc.Record, error) {
	d.out = d.out[:0]
	for _, r := range records {
		for _, route := range []string{"a", "b", "c"} {
			one := *r
			one.Route = route
			d.out = append(d.out, &one)
		}
	}
	return d.out, nil
}

// TestRecordsOfOneOffsetShareARangeWhenTwoAreRefused: a person skips one, and the
// sink is restarted at the other.
func TestRecordsOfOneOffsetShareARangeWhenTwoAreRefused(t *testing.T) {
	_, addr := fake(t, "t")
	fill(t, connect(t, addr), 4)
	s := newShelf(1000)
	s.reject = func(r *cdc.Record) error {
		if r.Offset == 2 && r.Route != "a" {
			return fmt.Errorf("no %s", r.Route)
		}
		return nil
	}
	more := func() *Runner {
		r := ranges(t, addr, s, RangeConfig{})
		r.chain = func() (Chain, error) { return &trebled{}, nil }
		return r
	}
	stuck := func(r *Runner, route string) {
		t.Helper()
		eventually(t, func() error {
			if st := r.Status(); len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || !strings.Contains(st.Tasks[0].Problem.Text, "no "+route) {
				return errors.New("want partition 0 stuck at " + route + ": " + describe(r))
			}
			return nil
		})
	}
	skip := func(r *Runner, route string) {
		t.Helper()
		stuck(r, route)
		if err := r.Skip(context.Background(), admin.Record{Topic: "t", Partition: 0, Offset: 2}); err != nil {
			t.Fatal(err)
		}
	}
	r := more()
	stop := start(t, r)
	skip(r, "b")
	stuck(r, "c")
	stop()
	r = more()
	start(t, r)
	skip(r, "b")
	skip(r, "c")
	caughtUp(t, r, 3)
	if got := s.offsets(0); !slices.Equal(got, []int64{0, 0, 0, 1, 1, 1, 2, 3, 3, 3}) {
		t.Errorf("%v is in files", s.files)
	}
}

// TestWhatComesBeforeAMissingSchemaIsWritten, though the range is not due.
func TestWhatComesBeforeAMissingSchemaIsWritten(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 3)
	unknown := flat("t", 0, 3, 3)
	unknown.Headers = []kgo.RecordHeader{{Key: cdc.HeaderSchema, Value: []byte("0123456789abcdef")}}
	produce(t, cl, unknown)
	s := newShelf(1000)
	s.due = func() bool { return false }
	r := ranges(t, addr, s, RangeConfig{})
	start(t, r)
	time.Sleep(settleAfter / 3)
	if got := s.offsets(0); len(got) > 0 {
		t.Errorf("%v is in files though the schema may be on its way", got)
	}
	deadline := time.Now().Add(4 * settleAfter)
	for !slices.Equal(s.offsets(0), upTo(3)) || r.Status().Tasks[0].Committed != 3 || r.Status().Tasks[0].Problem == nil {
		if time.Now().After(deadline) {
			t.Fatalf("%v is in files: %s", s.offsets(0), describe(r))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestABatchThatIsTooLargeForALake stops it, and a new one would meet it again: the
// advice is one that helps.
func TestABatchThatIsTooLargeForALake(t *testing.T) {
	_, addr := fake(t, "t")
	cl := connect(t, addr)
	fill(t, cl, 10)
	s := newShelf(1000)
	s.due = func() bool { return false }
	r := ranges(t, addr, s, RangeConfig{})
	stop := start(t, r)
	eventually(t, s.opened)
	r.mu.Lock()
	l := r.life
	r.mu.Unlock()
	l.fetchError("t", 0, &kgo.ErrDecompressTooLarge{Topic: "t", Partition: 0, Offset: 7, NextOffset: 9})
	eventually(t, func() error {
		if p := r.Status().Tasks[0].Problem; p == nil || !strings.Contains(p.Do, "below offset 9") || !strings.Contains(p.Do, "lost.records=continue") {
			return errors.New(describe(r))
		}
		return nil
	})
	stop()
	var gone kadm.Offsets
	gone.AddOffset("t", 0, 9, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	s.due = nil
	start(t, ranges(t, addr, s, RangeConfig{Continue: true}))
	eventually(t, func() error {
		if got := s.offsets(0); !slices.Equal(got, []int64{9}) {
			return fmt.Errorf("%v is in files", got)
		}
		return nil
	})
}
