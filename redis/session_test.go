package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// remembered writes a record through a session and returns what that remembers.
func remembered(t *testing.T, s *Sink) string {
	t.Helper()
	session, lost, err := s.Resume(t.Context(), "")
	if err != nil || lost != nil {
		t.Fatal(lost, err)
	}
	if err := session.Write(t.Context(), []*cdc.Record{row(1, 1, "Rome", 1)}); err != nil {
		t.Fatal(err)
	}
	memory, sound := session.Memory()
	if time.Since(sound) > time.Minute || strings.ContainsAny(memory, ";") {
		t.Fatalf("%s at %s", memory, sound)
	}
	return memory
}

// old is the memory of a session that has known its markers for long.
func old(memory string) string {
	before, _, _ := strings.Cut(memory, "@")
	return before
}

// TestResume: what was written is there, its end may be lost, or more is.
func TestResume(t *testing.T) {
	server := servers.NewRedisServer(t, "--appendonly", "yes", "--appendfsync", "always")
	c := raw(t, server.Address)
	s := open(t, server.Address, map[string]string{"cache.prefix": "a|b;c="})
	memory := remembered(t, s)
	check := func(what, memory string, lost bool, emptied *EmptiedError) {
		t.Helper()
		_, gotLost, err := s.Resume(t.Context(), memory)
		var got *EmptiedError
		var stopped *sink.Stopped
		if isEmptied := errors.As(err, &got); isEmptied != (emptied != nil) || isEmptied && (got.As.IsZero() != emptied.As.IsZero() || !errors.As(err, &stopped)) || err != nil && !isEmptied {
			t.Errorf("%s: %v", what, err)
		}
		if (gotLost != nil) != lost {
			t.Errorf("%s: lost %v", what, gotLost)
		}
	}
	check("nothing happened", memory, false, nil)
	check("nothing happened for long", old(memory), false, nil)
	server.Kill()
	server.Start()
	check("a restart", memory, true, nil)
	parts := strings.Split(old(memory), "|")
	parts[1] = fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())
	check("a restart with data of an hour before", strings.Join(parts, "|"), false, &EmptiedError{As: time.Now()})
	c.Del(t.Context(), "a|b;c=weir:here")
	check("a marker of now is gone", memory, true, nil)
	check("a marker of long ago is gone", old(memory), false, &EmptiedError{})
	c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru")
	check("a marker was evicted", old(memory), true, nil) // since the server was restarted
	check("what another version wrote", "", false, nil)
	var stopped *sink.Stopped
	if _, _, err := s.Resume(t.Context(), "what is this"); !errors.As(err, &stopped) {
		t.Errorf("what nobody can read: %v", err)
	}
}

// TestAnOldMarkerIsOldToWhoFindsIt: a sink without a memory, as after weirctl reset
// --to current, takes a Redis that is emptied then for one that lost more than its
// last writes, since it holds what was written before.
func TestAnOldMarkerIsOldToWhoFindsIt(t *testing.T) {
	address := servers.Redis(t)
	c := raw(t, address)
	now, before := time.Now().UnixMilli(), time.Now().Add(-time.Hour).UnixMilli()
	for _, marker := range []struct {
		what, text string
		emptied    bool
	}{
		{"left by this sink", "", false},
		{"left an hour ago", fmt.Sprintf("TOKEN.%d %d", before, now), true},
		{"left just now", fmt.Sprintf("TOKEN.%d %d", now, now), false},
		{"left by an earlier version", fmt.Sprintf("TOKEN %d", now), true},
	} {
		prefix := servers.Unique(t, "reset") + ":"
		s := open(t, address, map[string]string{"cache.prefix": prefix})
		if marker.text != "" {
			c.Set(t.Context(), prefix+"weir:here", marker.text, 0)
		}
		memory := remembered(t, s)
		if _, lost, err := s.Resume(t.Context(), memory); lost != nil || err != nil {
			t.Errorf("a marker %s that is there: %v, %v", marker.what, lost, err)
		}
		c.Del(t.Context(), prefix+"weir:here")
		_, lost, err := s.Resume(t.Context(), memory)
		var emptied *EmptiedError
		if errors.As(err, &emptied) != marker.emptied || (lost != nil) == marker.emptied {
			t.Errorf("a marker %s is gone: %v, %v", marker.what, lost, err)
		}
	}
}

// TestDomainsAreWrittenAgainAfterALoss, since they may be among what was lost.
func TestDomainsAreWrittenAgainAfterALoss(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "domain") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix}), raw(t, address)
	memory := remembered(t, s)
	for _, loss := range []struct{ what, key, memory string }{
		{"a new history", domainKey(prefix), strings.Repeat("0", historyDigits) + memory[historyDigits:]},
		{"a marker that is gone", prefix + "weir:here", memory},
	} {
		if err := c.Del(t.Context(), domainKey(prefix), loss.key).Err(); err != nil {
			t.Fatal(err)
		}
		session, lost, err := s.Resume(t.Context(), loss.memory)
		if lost == nil || err != nil {
			t.Fatalf("%s: %v, %v", loss.what, lost, err)
		}
		if err := session.Write(t.Context(), []*cdc.Record{row(1, 1<<60, "Rome", 1)}); err != nil {
			t.Fatal(err)
		}
		other := row(1, 7, "Oslo", 1)
		other.Domain = "offset"
		var domain *DomainError
		if err := write(t, open(t, address, map[string]string{"cache.prefix": prefix}), other); !errors.As(err, &domain) {
			t.Errorf("%s: versions of another domain: %v", loss.what, err)
		}
	}
}

// TestEvictionIsWarnedOf, also where only keys that expire are evicted: versions of
// deleted keys are such. Markers are not, so that one that is gone is a loss.
func TestEvictionIsWarnedOf(t *testing.T) {
	server := servers.NewRedisServer(t)
	c := raw(t, server.Address)
	for policy, want := range map[string]string{"noeviction": "", "allkeys-lru": "keys of any kind", "volatile-lru": "keys that expire", "volatile-ttl": "keys that expire"} {
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.WarnLevel)
		s := open(t, server.Address, nil)
		s.log = zap.New(core)
		for range 2 {
			if _, _, err := s.Resume(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if got := logs.All(); len(got) != min(len(want), 1) || len(got) > 0 && !strings.Contains(got[0].Message, want) {
			t.Errorf("%s: %v", policy, got)
		}
		if evicts, err := s.evicts(t.Context()); err != nil || evicts != (policy == "allkeys-lru") {
			t.Errorf("%s may evict a marker: %v, %v", policy, evicts, err)
		}
	}
}

// TestMarkersAreRenewed, and do not come back by that when they are gone.
func TestMarkersAreRenewed(t *testing.T) {
	for _, c := range []struct{ name, address string }{{"single", servers.Redis(t)}, {"cluster", strings.Join(servers.RedisCluster(t), ",")}} {
		t.Run(c.name, func(t *testing.T) {
			prefix := servers.Unique(t, "marks") + ":"
			s := open(t, c.address, map[string]string{"cache.prefix": prefix})
			was, err := s.leaveMarkers(t.Context(), prefix)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := s.leaveMarkers(t.Context(), prefix); err != nil || again.text() != was.text() || again.beat != was.beat {
				t.Errorf("left again: %v, %v; they were %v", again, err, was)
			}
			s.config.Rewind = beatsPerReach * time.Millisecond
			s.lookout.watch(prefix)
			time.Sleep(5 * time.Millisecond)
			if _, err := s.lookNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if now, err := s.readMarkers(t.Context(), prefix); err != nil || now.text() != was.text() || !now.beat.After(was.beat) || now.born != was.born || now.born.IsZero() {
				t.Errorf("renewed: %v, %v; they were %v", now, err, was)
			}
			if err := s.client.Del(t.Context(), s.markerKeys(prefix)[0]).Err(); err != nil {
				t.Fatal(err)
			}
			s.lookout.marked = time.Time{}
			v, err := s.lookNow(t.Context())
			if err != nil || v.markers[prefix] == was.text() {
				t.Errorf("one is gone: %v, %v", v, err)
			}
			if now, err := s.readMarkers(t.Context(), prefix); err != nil || now.tokens[0] != "" || now.beat.After(time.UnixMilli(0)) {
				t.Errorf("one is gone: %v, %v", now, err)
			}
		})
	}
}

// TestMemoryIsBounded, however many prefixes a partition writes to.
func TestMemoryIsBounded(t *testing.T) {
	s := open(t, servers.Redis(t), map[string]string{"cache.prefix": servers.Unique(t, "many") + ":${table}:"})
	session, _, err := s.Resume(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var batch []*cdc.Record
	for i := range 40 {
		r := row(1, uint64(i+1), "Rome", 1)
		r.Route = strings.Repeat("ä", 60) + fmt.Sprint(i)
		batch = append(batch, r)
	}
	if err := session.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	memory, _ := session.Memory()
	if len(memory) > 2000 || !strings.Contains(memory, "%C3%A4") {
		t.Errorf("%d bytes: %s", len(memory), memory)
	}
	if _, lost, err := s.Resume(t.Context(), memory); err != nil || lost != nil {
		t.Errorf("resuming: %v, %v", lost, err)
	}
	if got := len(fold(make([]string, historiesMost+1))); got != 1 {
		t.Errorf("very many replication ids are kept as %d", got)
	}
}

// TestUnknownScriptOnAMovingSlot: a master to which its first slot moves is asked
// before it is one of the masters with slots, and does not know the script.
func TestUnknownScriptOnAMovingSlot(t *testing.T) {
	nodes := servers.NewRedisCluster(t, 1, 1)
	from, to := raw(t, nodes[0].Address), raw(t, nodes[1].Address)
	s := open(t, nodes[0].Address, map[string]string{"redis.mode": "cluster"})
	mustWrite(t, s, row(2, 1, "Rome", 1)) // the script is known to the first
	slot := slotOf([]byte("2"))
	for _, command := range []struct {
		c    *redis.Client
		args []any
	}{
		{to, []any{"CLUSTER", "SETSLOT", slot, "IMPORTING", from.ClusterMyID(t.Context()).Val()}},
		{from, []any{"CLUSTER", "SETSLOT", slot, "MIGRATING", to.ClusterMyID(t.Context()).Val()}},
	} {
		if err := command.c.Do(t.Context(), command.args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := strings.Cut(nodes[1].Address, ":")
	for _, key := range []string{"2", string(appendVersionKey(nil, []byte("2"), 0, slot))} {
		if err := from.Do(t.Context(), "MIGRATE", host, port, key, 0, 60_000).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, s, row(2, 2, "Oslo", 1))
	if got := to.Do(t.Context(), "DBSIZE").Val(); got != int64(2) {
		t.Errorf("the node that the slot moves to has %v keys", got)
	}
	if err := to.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", to.ClusterMyID(t.Context()).Val()).Err(); err != nil {
		t.Fatal(err)
	}
	if got := city(t, to, "string", "2"); got != "Oslo" {
		t.Errorf("the key is %q", got)
	}
}
