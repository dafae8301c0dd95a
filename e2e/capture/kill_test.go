package capture

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
	fp "github.com/weir-cdc/weir/internal/failpoint"
)

// death is a step at which the capture dies; n is the passage.
type death struct {
	name fp.Name
	n    int
}

// chains are the deaths that follow each other, by what they are about. The
// first passages of a publisher's steps are those of the record by which a
// leader announces itself.
var chains = map[string][]death{
	"taking the lead": {
		{fp.LeaderJoined, 1}, {fp.LeaderProducer, 1}, {fp.PublisherBegin, 1}, {fp.PublisherFlushed, 1}, {fp.PublisherEnded, 1}, {fp.LeaderAnnounced, 1},
		{fp.LeaderOffsets, 1}, {fp.TopicsReady, 1}, {fp.LeaderRestored, 1},
	},
	"snapshot": {
		{fp.SnapshotRead, 2}, {fp.SnapshotWhole, 1}, {fp.SnapshotEmitted, 3}, {fp.SnapshotStored, 3}, {fp.OffsetTables, 2}, {fp.SnapshotDone, 1},
		{fp.SweepDeleted, 7}, {fp.SweepDeleted, 1},
	},
	"stream": {
		{fp.StreamBegin, 3}, {fp.StreamEvent, 20}, {fp.StreamSchema, 2}, {fp.StreamCommit, 2}, {fp.StreamDDL, 1}, {fp.StreamSpan, 2}, {fp.OffsetEntries, 1}, {fp.OffsetStored, 4},
	},
	"Kafka transactions": {
		{fp.PublisherBegin, 4}, {fp.PublisherBegun, 3}, {fp.PublisherFlush, 5}, {fp.PublisherFlushed, 3}, {fp.PublisherEnded, 4}, {fp.PublisherNoted, 5},
		{fp.PublisherFlushed, 9}, {fp.PublisherEnded, 11},
	},
}

// ◆ "events, offsets and schema entries in one Kafka transaction": the process
// is killed at every step that it has, starts again, and a read-committed
// consumer has every change once, in its order. SEEDS=n adds n runs of random
// steps.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	covered := map[fp.Name]bool{}
	for _, chain := range chains {
		for _, d := range chain {
			covered[d.name] = true
		}
	}
	for _, name := range fp.Capture {
		if !covered[name] {
			t.Errorf("nothing dies at %s", name)
		}
	}
	server := servers.NewMySQL(t)
	t.Run("chains", func(t *testing.T) {
		for name, chain := range chains {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dieAndGoOn(t, server, 1, chain)
			})
		}
		for seed := range seeds(t) {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				dieAndGoOn(t, server, seed, randomChain(seed))
			})
		}
	})
}

// seeds is how many runs with random steps there are besides: SEEDS, else none.
func seeds(t *testing.T) uint64 {
	text := os.Getenv("SEEDS")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("SEEDS=%s: %v", text, err)
	}
	return n
}

// randomChain is some steps in a random order, and random passages.
func randomChain(seed uint64) (chain []death) {
	r := rand.New(rand.NewPCG(seed, 3))
	for _, i := range r.Perm(len(fp.Capture))[:5] {
		name, n := fp.Capture[i], 1
		switch {
		case strings.HasPrefix(string(name), "snapshot.") || name == fp.SweepDeleted:
			chain = append([]death{{name, 1}}, chain...) // there may be no later one
			continue
		case strings.HasPrefix(string(name), "publisher.") || slices.Contains([]fp.Name{fp.StreamEvent, fp.StreamBegin, fp.StreamCommit, fp.OffsetStored}, name):
			n = 1 + r.IntN(40)
		}
		chain = append(chain, death{name, n})
	}
	slices.SortStableFunc(chain, func(x, y death) int { return cmp.Compare(once(x), once(y)) })
	return chain
}

// once puts first what nothing brings about again: the only table that is read in
// one piece is read by the first snapshot alone.
func once(d death) int {
	if d.name == fp.SnapshotWhole {
		return 0
	}
	return 1
}

// dieAndGoOn has a capture die at one step after the other, while the tables
// change, and checks what it published.
func dieAndGoOn(t *testing.T, server servers.SQL, seed uint64, chain []death) {
	r := newRig(t, server, servers.Kafka(t), nil)
	c := &counters{rig: r, pause: 10 * time.Millisecond}
	c.create()
	stop := c.start(seed)
	r.waitFor("some rows", func() bool { return c.transactions.Load() > 40 })
	capture := r.launch("capture", at(chain[0].name, chain[0].n))
	for i, d := range chain {
		if i > 0 {
			capture.again(at(d.name, d.n))
		}
		capture.died(at(d.name, d.n), provoke(r, d.name))
		r.follows(fmt.Sprintf("after the death at %s:%d", d.name, d.n))
	}
	capture.again("")
	before := c.transactions.Load()
	r.waitFor("more transactions", func() bool { return c.transactions.Load() > before+20 })
	stop()
	capture.settle()
	changes := r.check("at the end")
	r.same("swept", r.state("swept"), r.table("SELECT id, n FROM swept"))
	r.same("bare", r.bare(), r.table("SELECT v, count(*) FROM bare GROUP BY v"))
	t.Logf("%d transactions, %d changes, %d deaths", c.transactions.Load(), changes, len(chain))
}

var columns atomic.Int64

// provoke has done what the capture comes to a step by, nil where the workload
// does.
func provoke(r *rig, name fp.Name) func() {
	n := columns.Add(1)
	switch name {
	case fp.StreamSchema, fp.StreamDDL, fp.OffsetEntries:
		return func() {
			n = columns.Add(1)
			r.exec(fmt.Sprintf("ALTER TABLE a ADD COLUMN c%d INT", n))
		}
	case fp.OffsetTables:
		return func() {
			n = columns.Add(1)
			r.exec(fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY)", n), fmt.Sprintf("INSERT INTO t%d VALUES (1)", n))
		}
	case fp.SweepDeleted, fp.SnapshotRead, fp.SnapshotEmitted, fp.SnapshotStored, fp.SnapshotDone:
		return func() {
			if r.t.Context().Err() == nil {
				r.exec("DELETE FROM swept WHERE id > 100", fmt.Sprintf("INSERT IGNORE INTO swept SELECT id + 50 * %d, n, '' FROM (SELECT * FROM swept WHERE id <= 50) s", 1+n%2), "TRUNCATE swept",
					"INSERT INTO swept SELECT v, 1, '' FROM bare WHERE v <= 30")
			}
		}
	}
	return nil
}
