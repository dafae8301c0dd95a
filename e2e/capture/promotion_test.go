package capture

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// pair is a primary and its replica, by GTIDs, behind one address.
type pair struct {
	primary, replica servers.SQL
	address          *faults.TCP
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{primary: servers.NewMySQL(t, "--log-replica-updates=ON"), replica: servers.NewMySQL(t, "--server-id=2", "--log-replica-updates=ON")}
	p.address = faults.NewTCP(address(p.primary))
	t.Cleanup(p.address.Close)
	db := p.replica.Open(t, "")
	for _, s := range []string{
		fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=%d, SOURCE_USER='%s', SOURCE_PASSWORD='%s', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
			p.primary.Host, p.primary.Port, p.primary.User, p.primary.Password),
		"START REPLICA",
	} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return p
}

// behind are the properties of a capture that reads by a proxy's address, and notices
// a dead connection soon.
func behind(proxy *faults.TCP) map[string]string {
	host, port, _ := net.SplitHostPort(proxy.Addr) // it has both
	return map[string]string{"database.hostname": host, "database.port": port, "connect.keep.alive.interval.ms": "500"}
}

func address(s servers.SQL) string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// promote makes the replica what the address leads to, when it has applied all
// that it received.
func (p *pair) promote(t *testing.T, r *rig) {
	t.Helper()
	db := p.replica.Open(t, "")
	r.waitFor("the replica to apply what it received", func() bool {
		var left int
		err := db.QueryRowContext(t.Context(), "SELECT GTID_SUBSET(RECEIVED_TRANSACTION_SET, @@GLOBAL.gtid_executed) FROM performance_schema.replication_connection_status").Scan(&left)
		if err != nil {
			t.Fatal(err)
		}
		return left == 1
	})
	for _, s := range []string{"STOP REPLICA", "RESET REPLICA ALL"} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	p.address.SetTarget(address(p.replica))
	p.address.Cut()
	r.db = p.replica.Open(t, r.name)
}

// The primary dies under load, its replica is promoted, and the capture, which
// knows one address, goes on there by GTID: nothing of what the replica has is
// lost or doubled. What the capture had not got from the primary when that died
// it gets from the replica.
func TestPromotion(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	r := newRig(t, p.primary, servers.Kafka(t), behind(p.address))
	promoted := make(chan struct{})
	c := &counters{rig: r, pause: 3 * time.Millisecond, keep: true, outage: func(ctx context.Context) error {
		select {
		case <-promoted:
		case <-ctx.Done():
		}
		return nil
	}}
	c.create()
	stop := c.start(4)
	capture := r.launch("capture", "")
	r.waitFor("the snapshot and some changes", func() bool { return capture.says("snapshot completed") && c.transactions.Load() > 300 })
	// The capture is cut off first: the replica is ahead of it, as one is that
	// replicates semi-synchronously.
	p.address.Freeze()
	before := c.transactions.Load()
	r.waitFor("changes that the capture has not seen", func() bool { return c.transactions.Load() > before+50 })
	p.primary.Kill()
	p.promote(t, r)
	close(promoted)
	before = c.transactions.Load()
	r.waitFor("changes on the promoted server", func() bool { return c.transactions.Load() > before+50 })
	stop()
	capture.settle()
	changes := r.check("after the promotion")
	t.Logf("%d transactions, %d changes", c.transactions.Load(), changes)
}

// The promoted replica lacks transactions that were published, for the primary
// died before they were replicated: the capture stops and says so, and what it
// published stays as it is, for new transactions never take the place of those.
func TestPromotionOfAReplicaThatLacksWhatIsPublished(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	r := newRig(t, p.primary, servers.Kafka(t), behind(p.address))
	r.exec("CREATE TABLE a (id INT PRIMARY KEY, n BIGINT)", "INSERT INTO a VALUES (1, 1)")
	capture := r.launch("capture", "")
	r.exec("UPDATE a SET n = n + 1")
	capture.settle()
	replica := p.replica.Open(t, "")
	r.waitFor("the replica", func() bool {
		var n int
		return replica.QueryRowContext(t.Context(), "SELECT n FROM "+r.name+".a").Scan(&n) == nil && n == 2
	})
	if _, err := replica.ExecContext(t.Context(), "STOP REPLICA"); err != nil {
		t.Fatal(err)
	}
	r.exec("UPDATE a SET n = n + 1", "INSERT INTO a VALUES (2, 1)")
	capture.settle()
	published := len(r.read(r.topic("a")))
	p.primary.Kill()
	p.promote(t, r)
	r.exec("UPDATE a SET n = n + 10", "INSERT INTO a VALUES (3, 1)") // life goes on
	for _, attempt := range []string{"while it runs", "started again"} {
		if why := capture.failed(); !strings.Contains(why, "exit status 4") {
			t.Errorf("%s: it ended with %s", attempt, why)
		}
		for _, text := range []string{"unknown to the server", "when_needed"} {
			if !capture.says(text) {
				t.Errorf("%s: the log does not say %q", attempt, text)
			}
		}
		if attempt == "while it runs" {
			capture.Env = nil
			if err := capture.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := len(r.read(r.topic("a"))); got != published {
		t.Errorf("%d records are published, and %d were", got, published)
	}
}
