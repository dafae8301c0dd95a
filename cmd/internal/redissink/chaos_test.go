package redissink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
)

// account are server arguments for the sink's user.
var account = []string{"--user", user, "on", ">" + password, "~*", "+@all"}

// seeds calls play with SEED (1) and those after it, SEEDS of them (otherwise).
func seeds(t *testing.T, otherwise uint64, play func(t *testing.T, seed uint64)) {
	from, n := uint64(1), otherwise
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		from = v
	}
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		n = v
	}
	for seed := from; seed < from+n; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { play(t, seed) })
	}
}

func client(t *testing.T, address string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// do runs a command of an operator.
func do(t *testing.T, c *redis.Client, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// pair is a master with a replica, behind one address, which a failover moves.
type pair struct {
	*trial
	front, replication *faults.TCP
	master, replica    *servers.Private
}

func newPair(t *testing.T, seed uint64) *pair {
	fsync := []string{"always", "everysec"}[seed%2]
	args := append([]string{"--appendonly", "yes", "--appendfsync", fsync, "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024",
		"--repl-diskless-sync-delay", "0", "--repl-timeout", "600"}, account...)
	p := &pair{master: servers.NewRedisServer(t, args...), replica: servers.NewRedisServer(t, args...)}
	p.front, p.replication = faults.NewTCP(p.master.Address), faults.NewTCP(p.master.Address)
	t.Cleanup(p.front.Close)
	t.Cleanup(p.replication.Close)
	p.trial = newTrial(t, seed, p.front.Addr, client(t, p.front.Addr), nil)
	p.follow()
	return p
}

// follow makes the one server the other's replica and waits for it.
func (p *pair) follow() {
	host, port, _ := strings.Cut(p.replication.Addr, ":")
	c := client(p.t, p.replica.Address)
	do(p.t, c, "REPLICAOF", host, port)
	p.until("the replica", func() error {
		text, err := c.Info(p.t.Context(), "replication").Result()
		if err == nil && !strings.Contains(text, "master_link_status:up") {
			err = errors.New("not in step")
		}
		return err
	})
}

// failover promotes the replica; what the master acknowledged last has not come
// to it. Readers and writers come to it late, and meet a server of the other role
// or none before.
func (p *pair) failover() {
	p.replication.Stall(faults.Answers)
	p.change(5 + p.rng.IntN(20))
	p.some(100 * time.Millisecond)
	p.losing(func() {
		kill := p.rng.IntN(2) == 0
		if kill {
			p.master.Kill()
		}
		do(p.t, client(p.t, p.replica.Address), "REPLICAOF", "NO", "ONE")
		p.replication.Cut()
		p.replication.Resume()
		p.master, p.replica = p.replica, p.master
		p.replication.SetTarget(p.master.Address)
		if kill {
			p.replica.Start()
		}
		p.follow()
		p.some(200 * time.Millisecond)
		p.front.SetTarget(p.master.Address)
		p.front.Cut()
	})
}

// restart ends the master and starts it with what it has on disk.
func (p *pair) restart() {
	p.losing(func() {
		if p.rng.IntN(2) == 0 {
			p.master.Stop()
		} else {
			p.master.Kill()
		}
		p.change(3)
		p.master.Start()
	})
}

// fullMemory: nothing is lost and nothing rejected for want of memory.
func (w *trial) fullMemory(c *redis.Client) {
	do(w.t, c, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	do(w.t, c, "CONFIG", "SET", "maxmemory", "1")
	w.waits("OOM")
	do(w.t, c, "CONFIG", "SET", "maxmemory", "0")
}

// withoutRights: NOPERM is not a record's fault.
func (w *trial) withoutRights(c *redis.Client) {
	taken := [][]any{{"-@write"}, {"-evalsha", "-eval"}, {"resetkeys"}, {"-info"}}[w.rng.IntN(4)]
	do(w.t, c, append([]any{"ACL", "SETUSER", user}, taken...)...)
	w.waits("NOPERM", "No permissions", "can't run this command")
	do(w.t, c, "ACL", "SETUSER", user, "~*", "+@all")
}

// unsaved: the server takes no writes since it could not save (MISCONF).
func (w *trial) unsaved(c *redis.Client) {
	folder := c.ConfigGet(w.t.Context(), "dir").Val()["dir"]
	inTheWay := filepath.Join(folder, "dump.rdb")
	_ = os.Remove(inTheWay)
	if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	do(w.t, c, "CONFIG", "SET", "save", "3600 1000000")
	do(w.t, c, "BGSAVE", "SCHEDULE")
	w.saved(c, "err")
	w.waits("MISCONF")
	if err := os.RemoveAll(inTheWay); err != nil {
		w.t.Fatal(err)
	}
	do(w.t, c, "BGSAVE", "SCHEDULE")
	w.saved(c, "ok")
	do(w.t, c, "CONFIG", "SET", "save", "")
}

// saved waits until the last save to disk ended well (ok) or not (err).
func (w *trial) saved(c *redis.Client, how string) {
	w.until("a save", func() error {
		if text := c.Info(w.t.Context(), "persistence").Val(); !strings.Contains(text, "rdb_last_bgsave_status:"+how) {
			return errors.New("not yet")
		}
		return nil
	})
}

// TestPairUnderChaos: a master and its replica under load, with failovers that
// lose the last writes, restarts, a full memory, rights taken away, saves that
// fail, scripts forgotten and connections cut in the middle of answers. At the end
// every key is its row's newest state, and no reader saw one go back but by a
// loss. SEEDS=n plays more, SEED=n begins elsewhere.
func TestPairUnderChaos(t *testing.T) {
	seeds(t, 2, func(t *testing.T, seed uint64) {
		p := newPair(t, seed)
		defer p.watch()()
		p.change(rows)
		for _, fault := range p.rng.Perm(8) {
			p.change(p.rng.IntN(30))
			p.pairFault(fault)
			p.change(p.rng.IntN(10))
			if p.rng.IntN(3) == 0 {
				p.stop()
				p.trial.start()
			}
		}
		p.isWhole()
	})
}

func (p *pair) pairFault(fault int) {
	switch c := client(p.t, p.master.Address); fault {
	case 0, 1:
		p.failover()
	case 2:
		p.restart()
	case 3:
		p.fullMemory(c)
	case 4:
		p.withoutRights(c)
	case 5:
		p.unsaved(c)
	case 6:
		do(p.t, c, "SCRIPT", "FLUSH")
	case 7:
		for range 5 {
			p.front.CutAfter(p.rng.IntN(200))
			p.change(5)
			p.some(50 * time.Millisecond)
		}
	}
}

// TestRedisComesBackWithOlderData: from a snapshot on disk that is minutes old,
// while the sink was down, too.
func TestRedisComesBackWithOlderData(t *testing.T) {
	s := servers.NewRedisServer(t, account...)
	c := client(t, s.Address)
	w := newTrial(t, 1, s.Address, c, nil)
	w.change(30)
	w.isWhole()
	do(t, c, "SAVE")
	w.change(60)
	w.isWhole()
	w.stop()
	s.Kill()
	s.Start()
	w.start()
	w.isWhole()
}

// TestAnEmptiedRedisStopsTheSink: what the last minutes do not hold cannot be
// mended by them, and is said; a reset to the beginning mends it.
func TestAnEmptiedRedisStopsTheSink(t *testing.T) {
	for _, c := range []struct {
		name  string
		empty func(t *testing.T, s *servers.Private)
	}{
		{"restart without data", func(_ *testing.T, s *servers.Private) { s.Kill(); s.Start() }},
		{"FLUSHALL", func(t *testing.T, s *servers.Private) { do(t, client(t, s.Address), "FLUSHALL") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servers.NewRedisServer(t, account...)
			w := newTrial(t, 1, s.Address, client(t, s.Address), nil)
			w.change(30)
			w.isWhole()
			w.stop()
			w.age()
			w.start()
			w.touch()
			w.isWhole()
			c.empty(t, s)
			w.until("the stop", func() error {
				st := w.main.Status()
				if st.Connector.State != admin.Failed || st.Problem == nil || !strings.Contains(st.Problem.Text, "has lost keys") || !strings.Contains(st.Problem.Do, "weirctl reset") {
					return fmt.Errorf("%s with %+v", st.Connector.State, st.Problem)
				}
				return nil
			})
			w.stop()
			w.reset()
			w.start()
			w.isWhole()
		})
	}
}

// age lets the group's marks say that everything was written long ago.
func (w *trial) age() {
	w.rewrite(func(o *kadm.Offset) {
		parts := strings.Split(o.Metadata, ";")
		if len(parts) != 5 {
			w.t.Fatalf("committed with %q", o.Metadata)
		}
		parts[3], _, _ = strings.Cut(parts[3], "@") // of markers that are old
		parts[4] = "1000:" + strconv.FormatInt(o.At, 10)
		o.Metadata = strings.Join(parts, ";")
	})
}

// reset is what weirctl reset --to earliest does.
func (w *trial) reset() {
	w.rewrite(func(o *kadm.Offset) { o.At, o.Metadata = 0, consumers.ResetMetadata(w.topicID(), time.Now()) })
}

func (w *trial) topicID() [16]byte {
	topics, err := kadm.NewClient(w.producer).ListTopics(w.t.Context(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	return topics["shop"].ID
}

// rewrite changes the offsets of a group that is stopped.
func (w *trial) rewrite(change func(*kadm.Offset)) {
	w.t.Helper()
	adm := kadm.NewClient(w.producer)
	offsets, err := adm.FetchOffsets(w.t.Context(), "weir-cache")
	if err != nil {
		w.t.Fatal(err)
	}
	changed := kadm.Offsets{}
	offsets.Each(func(o kadm.OffsetResponse) {
		change(&o.Offset)
		changed.Add(o.Offset)
	})
	if err := adm.CommitAllOffsets(w.t.Context(), "weir-cache", changed); err != nil {
		w.t.Fatal(err)
	}
}

// TestEvictedKeys: a server that evicts keys of any kind takes versions from
// values that stay. Rows go missing, and none is older than the topic says.
func TestEvictedKeys(t *testing.T) {
	s := servers.NewRedisServer(t, account...)
	c := client(t, s.Address)
	w := newTrial(t, 1, s.Address, c, nil)
	w.change(rows)
	w.isWhole()
	for range 20 { // what an eviction does, of keys that chance has chosen
		for key := range w.want {
			if w.rng.IntN(3) == 0 {
				do(t, c, "DEL", []string{key, versionKey(t, c, key)}[w.rng.IntN(2)])
			}
		}
		w.change(20)
	}
	do(t, c, "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	do(t, c, "DEL", "shop:weir:here")
	w.touch()
	w.until("the last rows", func() error {
		for id := range parts {
			if n, err := w.number(fmt.Sprint("shop:", id)); err != nil || n != w.want[fmt.Sprint("shop:", id)] {
				return fmt.Errorf("row %d is %d: %w", id, n, err)
			}
		}
		return nil
	})
	for key, want := range w.want {
		if n, err := w.number(key); err != nil || n != want && n != 0 {
			t.Errorf("%s is %d, want %d or nothing: %v", key, n, want, err)
		}
	}
	if st := w.main.Status(); st.Connector.State != admin.Running {
		t.Errorf("%s: %s", st.Connector.State, w.describe())
	}
}

// versionKey is the key of a key's version.
func versionKey(t *testing.T, c *redis.Client, key string) string {
	t.Helper()
	rest, _ := strings.CutPrefix(key, "shop:")
	keys, err := c.Keys(t.Context(), "shop:weir:v:{*}:"+rest).Result()
	if err != nil {
		t.Fatal(err)
	}
	return append(keys, key)[0]
}

// cluster is masters under load; slots move from one to the other, also to one
// that had none.
type cluster struct {
	*trial
	nodes []*servers.Private
	ids   []string
}

// TestClusterUnderChaos: slots move step by step under load, masters restart, get
// full, forget scripts and take rights away. At the end every key is its row's
// newest state, and no reader saw one go back. SEEDS=n plays more.
func TestClusterUnderChaos(t *testing.T) {
	seeds(t, 1, func(t *testing.T, seed uint64) {
		nodes := servers.NewRedisCluster(t, 3, 1, append([]string{"--appendonly", "yes", "--appendfsync", "always", "--cluster-require-full-coverage", "no"}, account...)...)
		k := &cluster{nodes: nodes}
		var hosts []string
		for _, n := range nodes[:3] {
			hosts = append(hosts, n.Address)
		}
		reads := redis.NewClusterClient(&redis.ClusterOptions{Addrs: hosts, DisableIdentity: true})
		t.Cleanup(func() { _ = reads.Close() })
		for _, n := range nodes {
			k.ids = append(k.ids, client(t, n.Address).ClusterMyID(t.Context()).Val())
		}
		k.trial = newTrial(t, seed, strings.Join(hosts, ","), reads, nil)
		defer k.watch()()
		k.change(rows)
		for _, fault := range k.rng.Perm(7) {
			k.change(k.rng.IntN(20))
			k.fault(fault)
		}
		k.isWhole()
	})
}

func (k *cluster) fault(fault int) {
	node := k.nodes[k.rng.IntN(3)]
	switch c := client(k.t, node.Address); fault {
	case 0:
		k.reshard(3) // to the master without slots
	case 1, 2:
		k.reshard(k.rng.IntN(4))
	case 3:
		node.Kill()
		k.change(10)
		node.Start()
	case 4:
		k.everywhere(func(c *redis.Client) { do(k.t, c, "CONFIG", "SET", "maxmemory", "1") })
		k.waits("OOM")
		k.everywhere(func(c *redis.Client) { do(k.t, c, "CONFIG", "SET", "maxmemory", "0") })
	case 5:
		k.everywhere(func(c *redis.Client) { do(k.t, c, "ACL", "SETUSER", user, "-@write") })
		k.waits("NOPERM", "No permissions", "can't run this command")
		k.everywhere(func(c *redis.Client) { do(k.t, c, "ACL", "SETUSER", user, "+@all") })
	case 6:
		do(k.t, c, "SCRIPT", "FLUSH")
		k.change(10)
	}
}

func (k *cluster) everywhere(what func(*redis.Client)) {
	for _, n := range k.nodes {
		what(client(k.t, n.Address))
	}
}

// reshard moves slots that have rows to a node, key by key.
func (k *cluster) reshard(to int) {
	moved := map[int64]bool{}
	for range 12 {
		slot := k.reads.ClusterKeySlot(k.t.Context(), fmt.Sprint("shop:", k.rng.IntN(rows))).Val()
		from := k.owner(slot)
		if moved[slot] || from < 0 || from == to {
			continue
		}
		moved[slot] = true
		k.move(slot, from, to)
	}
}

// owner is the node that has a slot, -1 if the nodes do not say.
func (k *cluster) owner(slot int64) int {
	shards, err := client(k.t, k.nodes[0].Address).ClusterShards(k.t.Context()).Result()
	if err != nil {
		return -1
	}
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if r.Start <= slot && slot <= r.End {
				return slices.Index(k.ids, shard.Nodes[0].ID)
			}
		}
	}
	return -1
}

// move moves a slot as redis-cli does, with changes of rows between the steps.
func (k *cluster) move(slot int64, from, to int) {
	a, b := client(k.t, k.nodes[from].Address), client(k.t, k.nodes[to].Address)
	host, port, _ := strings.Cut(k.nodes[to].Address, ":")
	set := func(c *redis.Client, args ...any) {
		k.until("the cluster", func() error { // a node that was restarted may not know the others yet
			return c.Do(k.t.Context(), append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err()
		})
	}
	set(b, "IMPORTING", k.ids[from])
	set(a, "MIGRATING", k.ids[to])
	for {
		k.change(1)
		keys, err := a.ClusterGetKeysInSlot(k.t.Context(), int(slot), 1).Result()
		if err != nil {
			k.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		k.until("the move of a key", func() error { // a node that was restarted may not answer yet
			return a.Do(k.t.Context(), "MIGRATE", host, port, keys[0], 0, 5000, "REPLACE").Err()
		})
		k.some(5 * time.Millisecond)
	}
	for _, c := range []*redis.Client{b, a} {
		set(c, "NODE", k.ids[to])
	}
	for i, n := range k.nodes {
		if i != from && i != to {
			_ = client(k.t, n.Address).Do(context.Background(), "CLUSTER", "SETSLOT", slot, "NODE", k.ids[to]).Err() // it would hear of it later
		}
	}
}
