package capture

import (
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/deploy/local/servers"
	fp "github.com/weir-cdc/weir/internal/failpoint"
)

// ◆ Take-over: a leader is paused by SIGSTOP at a step, a standby takes over when
// its session has ended, the paused one wakes up and goes on from that very
// step: it is fenced, stands by, and every change is there once. It has read
// offsets that are old by then, or is about to commit a transaction.
func TestPausedLeaderWakesUp(t *testing.T) {
	t.Parallel()
	server := servers.NewMySQL(t)
	t.Run("steps", func(t *testing.T) {
		for _, d := range []death{{fp.LeaderOffsets, 1}, {fp.LeaderProducer, 1}, {fp.StreamEvent, 1500}, {fp.PublisherFlushed, 8}} {
			t.Run(string(d.name), func(t *testing.T) {
				t.Parallel()
				pauseAndTakeOver(t, server, d)
			})
		}
	})
}

func pauseAndTakeOver(t *testing.T, server servers.SQL, d death) {
	r := newRig(t, server, servers.Kafka(t), nil)
	c := &counters{rig: r, pause: 5 * time.Millisecond}
	c.create()
	stop := c.start(2)
	first := r.launch("first", at(d.name, d.n)+":stop")
	first.stopped(at(d.name, d.n))
	second := r.launch("second", "")
	r.waitFor("the standby to lead", func() bool { return second.says(`"leading"`) })
	before := c.transactions.Load()
	r.waitFor("more transactions", func() bool { return c.transactions.Load() > before+20 })
	r.follows("while the first leader is paused")
	if err := first.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.waitFor("the first leader to stand by", func() bool { return first.says("lost the lead") || first.says("standing in the leaders' group failed") })
	before = c.transactions.Load()
	r.waitFor("more transactions", func() bool { return c.transactions.Load() > before+20 })
	stop()
	second.settle()
	r.check("at the end")
	if err := first.Ended(); err != nil {
		t.Errorf("the first leader does not stand by: %v", err)
	}
}

// A capture dies with its Kafka transaction open, and nobody takes over: readers
// of what is committed wait for as long as transaction.timeout.ms, and for the
// broker to look, and not for ever; and the next leader has it all.
func TestOpenTransactionOfADeadLeaderEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, servers.MySQL(t), servers.Kafka(t), nil)
	c := &counters{rig: r, pause: 5 * time.Millisecond}
	c.create()
	stop := c.start(3)
	capture := r.launch("capture", at(fp.PublisherFlushed, 8))
	capture.died(at(fp.PublisherFlushed, 8), nil)
	stop()
	admin := kadm.NewClient(r.client)
	open := func() (n int64) {
		for _, table := range []string{"a", "b", "wide"} {
			ends, err := admin.ListEndOffsets(t.Context(), r.topic(table))
			if err != nil {
				t.Fatal(err)
			}
			stable, err := admin.ListCommittedOffsets(t.Context(), r.topic(table))
			if err != nil {
				t.Fatal(err)
			}
			ends.Each(func(end kadm.ListedOffset) {
				at, _ := stable.Lookup(end.Topic, end.Partition)
				n += end.Offset - at.Offset
			})
		}
		return n
	}
	if open() == 0 {
		t.Fatal("it died without an open transaction")
	}
	r.waitFor("the end of the open transaction", func() bool { return open() == 0 })
	r.follows("when the broker gave it up")
	capture.again("")
	capture.settle()
	r.check("at the end")
}
