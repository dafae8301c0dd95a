package capture

import (
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// The broker is killed and started again under load, its connections go silent
// or break, and its disk is full for a while: the capture goes on from the
// stored offset. Then the connection to MySQL goes silent.
func TestFaultsOfTheBroker(t *testing.T) {
	t.Parallel()
	kafka := faults.NewTCP("")
	t.Cleanup(kafka.Close)
	broker := servers.NewBroker(t, func(to string) string {
		kafka.SetTarget(to)
		return kafka.Addr
	})
	server := servers.NewMySQL(t) // of its own: the log has nothing of other tests
	source := faults.NewTCP(address(server))
	t.Cleanup(source.Close)
	r := newRig(t, server, kafka.Addr, behind(source))
	c := &counters{rig: r, pause: 40 * time.Millisecond}
	c.create()
	stop := c.start(5)
	capture := r.launch("capture", "")
	r.waitFor("the snapshot", func() bool { return capture.says("snapshot completed") })
	more := func() {
		t.Helper()
		before := c.transactions.Load()
		r.waitFor("more transactions", func() bool { return c.transactions.Load() > before+20 })
	}
	// stored waits until the capture has stored what is in the database now.
	stored := func(when string) {
		t.Helper()
		want := r.table("SELECT writer, tx FROM marks")
		r.waitFor("the capture to go on "+when, func() bool {
			got := r.marks()
			for writer, tx := range want {
				if got[writer] < tx {
					return false
				}
			}
			return true
		})
	}
	more()
	stored("at first")
	broker.Kill()
	more()
	broker.Start()
	stored("after the broker was killed")
	if kafka.Freeze() == 0 {
		t.Error("nothing was frozen")
	}
	more()
	stored("after its connections to Kafka went silent")
	if source.Freeze() == 0 {
		t.Error("nothing was frozen")
	}
	more()
	stored("after its connections to MySQL went silent")
	broker.LimitFiles(1)
	more()
	r.waitFor("the broker to give up its full disk", func() bool { return !broker.Running() })
	more()
	broker.Start()
	stored("after the disk was full")
	stop()
	capture.settle()
	r.check("at the end")
}
