package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

var (
	keySchema   = cdc.NewSchema("shop.orders.Key", cdc.Field{Name: "id", Type: cdc.Int64})
	valueSchema = cdc.NewSchema("shop.orders.Value",
		cdc.Field{Name: "id", Type: cdc.Int64},
		cdc.Field{Name: "city", Type: cdc.Text, Optional: true},
		cdc.Field{Name: "total", Type: cdc.Binary, Semantic: cdc.Decimal, Precision: 10, Scale: 2, Optional: true, SchemaVersion: 1})
)

func open(t testing.TB, address string, properties map[string]string) *Sink {
	t.Helper()
	all := map[string]string{"name": "cache", "redis.hosts": address, "max.retries": "8", "retry.backoff.ms": "20"}
	for k, v := range properties {
		all[k] = v
	}
	v, _, err := config.Parse(all, Properties, config.Common)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	s := New(c, zaptest.NewLogger(t), prometheus.NewRegistry())
	t.Cleanup(func() { s.Close() })
	return s
}

// row is a record with a value; total is in hundredths, -1 for NULL.
func row(id int64, version uint64, city string, total int64) *cdc.Record {
	r := gone(id, version)
	r.Deleted, r.Tombstone = false, false
	r.Value = new(cdc.Row)
	r.Value.Reset(valueSchema)
	r.Value.Values[0], r.Value.Values[1] = cdc.Int(id), cdc.String([]byte(city))
	if total >= 0 {
		r.Value.Values[2] = cdc.SmallDecimal(total)
	}
	return r
}

func gone(id int64, version uint64) *cdc.Record {
	key := new(cdc.Row)
	key.Reset(keySchema)
	key.Values[0] = cdc.Int(id)
	return &cdc.Record{Origin: cdc.Origin{Topic: "shop.orders"}, Route: "orders", Key: key, Version: version, Domain: "weir:shop", Deleted: true, Tombstone: true}
}

func write(t testing.TB, s *Sink, records ...*cdc.Record) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return s.Write(ctx, records)
}

func mustWrite(t testing.TB, s *Sink, records ...*cdc.Record) {
	t.Helper()
	if err := write(t, s, records...); err != nil {
		t.Fatal(err)
	}
}

// raw is a client of its own, which knows nothing of the sink.
func raw(t testing.TB, address string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { c.Close() })
	return c
}

func get(t testing.TB, c redis.UniversalClient, key string) string {
	t.Helper()
	text, err := c.Get(context.Background(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return text
}

func TestWriteAndDelete(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "cache") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix, "cache.key.field": "id", "cache.ttl": "3600"}), raw(t, address)
	mustWrite(t, s, row(1, 10, "Rome", 1250), row(2, 11, "Oslo", -1), row(1, 12, "Bern", 1300))
	if got, want := get(t, c, prefix+"1"), `{"id":1,"city":"Bern","total":13.00}`; got != want {
		t.Errorf("key 1 is %s, want %s", got, want)
	}
	if got, want := get(t, c, prefix+"2"), `{"id":2,"city":"Oslo","total":null}`; got != want {
		t.Errorf("key 2 is %s, want %s", got, want)
	}
	if ttl := c.TTL(context.Background(), prefix+"1").Val(); ttl <= 3500*time.Second || ttl > time.Hour {
		t.Errorf("key 1 expires in %s", ttl)
	}
	mustWrite(t, s, gone(1, 13))
	if got := get(t, c, prefix+"1"); got != "" {
		t.Errorf("key 1 is still %s", got)
	}
}

// TestStaleWrites: what comes late changes nothing: not an older update after a
// newer, and not an update after the delete that followed it. Versions that a
// double cannot tell apart are told apart.
func TestStaleWrites(t *testing.T) {
	address := servers.Redis(t)
	for _, kind := range []string{"string", "hash"} {
		t.Run(kind, func(t *testing.T) {
			prefix := servers.Unique(t, "stale") + ":"
			s, c := open(t, address, map[string]string{"cache.prefix": prefix, "redis.type": kind}), raw(t, address)
			const big = uint64(1) << 62
			mustWrite(t, s, row(1, big+1, "new", 1))
			mustWrite(t, s, row(1, big, "old", 1))
			if city := city(t, c, kind, prefix+"1"); city != "new" {
				t.Errorf("the city is %s: an older write won", city)
			}
			mustWrite(t, s, gone(1, big+2))
			mustWrite(t, s, row(1, big+1, "new", 1))
			if n := c.Exists(context.Background(), prefix+"1").Val(); n != 0 {
				t.Error("a write that is older than the delete brought the key back")
			}
			mustWrite(t, s, row(1, big+3, "again", 1))
			if city := city(t, c, kind, prefix+"1"); city != "again" {
				t.Errorf("the city is %s after it was inserted again", city)
			}
		})
	}
}

// TestNewestOfABatch: of the records that one batch has of a key the newest is
// written, wherever it stands.
func TestNewestOfABatch(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "newest") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix}), raw(t, address)
	mustWrite(t, s, row(1, 2, "new", 1), row(1, 1, "old", 1), row(2, 4, "old", 1), row(2, 5, "new", 1), gone(3, 7), row(3, 6, "old", 1))
	for key, want := range map[string]string{"1": "new", "2": "new", "3": ""} {
		if got := city(t, c, "string", prefix+key); got != want {
			t.Errorf("key %s is %q, want %q", key, got, want)
		}
	}
}

// TestVersionOutlivesItsValue: what has expired does not come back by an older
// record.
func TestVersionOutlivesItsValue(t *testing.T) {
	address := servers.Redis(t)
	for _, kind := range []string{"string", "hash"} {
		t.Run(kind, func(t *testing.T) {
			prefix := servers.Unique(t, "expired") + ":"
			s := open(t, address, map[string]string{"cache.prefix": prefix, "redis.type": kind, "cache.ttl": "1", "cache.version.retention.ms": "3600000"})
			c := raw(t, address)
			mustWrite(t, s, row(1, 10, "Rome", 1))
			for deadline := time.Now().Add(time.Minute); c.Exists(context.Background(), prefix+"1").Val() == 1; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the key does not expire")
				}
			}
			mustWrite(t, s, row(1, 9, "Oslo", 1))
			if got := city(t, c, kind, prefix+"1"); got != "" {
				t.Errorf("an older record brought the key back, as %s", got)
			}
		})
	}
}

func city(t testing.TB, c redis.UniversalClient, kind, key string) string {
	t.Helper()
	if kind == "hash" {
		return c.HGet(context.Background(), key, "city").Val()
	}
	_, rest, _ := strings.Cut(get(t, c, key), `"city":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// TestHashHasNoVanishedFields: a field that became NULL is no longer there, and
// a row wider than Lua's stack is written.
func TestHashHasNoVanishedFields(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "hash") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix, "redis.type": "hash"}), raw(t, address)
	mustWrite(t, s, row(1, 1, "Rome", 1250))
	mustWrite(t, s, row(1, 2, "Rome", -1))
	if got := fmt.Sprint(c.HGetAll(context.Background(), prefix+"1").Val()); got != "map[city:Rome id:1]" {
		t.Errorf("the hash is %s", got)
	}
	fields := make([]cdc.Field, 5000)
	for i := range fields {
		fields[i] = cdc.Field{Name: fmt.Sprint("f", i), Type: cdc.Int64}
	}
	wide := row(2, 3, "", 0)
	wide.Value.Reset(cdc.NewSchema("wide", fields...))
	for i := range fields {
		wide.Value.Values[i] = cdc.Int(int64(i))
	}
	mustWrite(t, s, wide)
	if n := c.HLen(context.Background(), prefix+"2").Val(); n != 5000 {
		t.Errorf("the wide hash has %d fields", n)
	}
}

// TestValueWithoutVersion: a value that nobody guards is of unknown age: it is
// deleted, what comes is written, and that is counted.
func TestValueWithoutVersion(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "bare") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix}), raw(t, address)
	for _, key := range []string{"1", "2"} {
		c.Set(context.Background(), prefix+key, "something", 0)
	}
	mustWrite(t, s, gone(1, 5), row(2, 5, "Rome", 1), row(3, 5, "Oslo", 1))
	if got := get(t, c, prefix+"1"); got != "" {
		t.Errorf("the key is still %s", got)
	}
	if got := city(t, c, "string", prefix+"2"); got != "Rome" {
		t.Errorf("key 2 is %s", got)
	}
	if got := testutil.ToFloat64(s.metrics.unguarded); got != 2 {
		t.Errorf("%v values without a version are counted, want 2", got)
	}
}

// TestForeignKey: a key that another topic's record wrote is not touched.
func TestForeignKey(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "two") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix}), raw(t, address)
	mustWrite(t, s, row(7, 1, "Rome", 1))
	other := row(7, 2, "Oslo", 1)
	other.Topic = "shop.customers"
	var rejected *sink.Rejected
	if err := write(t, s, other, row(8, 3, "Bern", 1)); !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 0 {
		t.Fatalf("the other topic's record: %v", err)
	}
	if got := city(t, c, "string", prefix+"7"); got != "Rome" {
		t.Errorf("key 7 is %s", got)
	}
	if got := city(t, c, "string", prefix+"8"); got != "Bern" {
		t.Errorf("key 8, of the same batch, is %s", got)
	}
}

// TestKeysNamedAsOurOwn: a key that people choose is no way to what the sink keeps
// beside the rows: its record is rejected, and all others are written.
func TestKeysNamedAsOurOwn(t *testing.T) {
	address := servers.Redis(t)
	schema := cdc.NewSchema("shop.users.Key", cdc.Field{Name: "name", Type: cdc.Text})
	user := func(name string, version uint64) *cdc.Record {
		r := row(1, version, "Rome", 1)
		r.Key = new(cdc.Row)
		r.Key.Reset(schema)
		r.Key.Values[0] = cdc.String([]byte(name))
		return r
	}
	for _, kind := range []string{"string", "hash"} {
		prefix := servers.Unique(t, "own") + ":"
		s, c := open(t, address, map[string]string{"cache.prefix": prefix, "redis.type": kind}), raw(t, address)
		session, _, err := s.Resume(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Write(t.Context(), []*cdc.Record{user("ann", 1)}); err != nil {
			t.Fatal(err)
		}
		own, err := c.Keys(t.Context(), prefix+"weir:*").Result()
		if err != nil || len(own) != 3 {
			t.Fatalf("the sink's own are %q, %v", own, err)
		}
		for i, key := range own {
			was := c.Dump(t.Context(), key).Val()
			var rejected *sink.Rejected
			name := strings.TrimPrefix(key, prefix)
			err := session.Write(t.Context(), []*cdc.Record{user(name, 2), user("bob", uint64(2+i))})
			if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 0 || !strings.Contains(err.Error(), name) {
				t.Errorf("the key %s: %v", name, err)
			}
			if is := c.Dump(t.Context(), key).Val(); is != was {
				t.Errorf("%s is another one", key)
			}
		}
		mustWrite(t, s, user("ann", 9), user("weir", 1), user("Weir:here", 1), user("a weir:here", 1))
		if n := c.Exists(t.Context(), prefix+"bob", prefix+"weir", prefix+"Weir:here", prefix+"a weir:here").Val(); n != 4 {
			t.Errorf("%d of 4 keys that only look like it", n)
		}
	}
}

// change is a record as the runtime hands it over when its envelope is unwrapped:
// r is the row after it, was the city before, "" for none.
func change(r *cdc.Record, op cdc.Op, was string) *cdc.Record {
	r.Op, r.Envelope = op, &cdc.Envelope{Op: op, After: r.Value}
	if was != "" {
		r.Envelope.Before = row(1, 1, was, 1).Value
	}
	if op == cdc.OpDelete {
		r.Tombstone, r.Value = false, r.Envelope.Before
	}
	return r
}

// TestKeysNamedByAFieldOfTheValue: a row is under one key at a time, whatever
// becomes of the field, and gone after its delete; the tombstone behind that
// cannot name the key, and need not.
func TestKeysNamedByAFieldOfTheValue(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "field") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix, "cache.key.field": "city"}), raw(t, address)
	cities := func(what, want string) {
		t.Helper()
		var got []string
		for _, name := range []string{"Rome", "Oslo", "Bern", "Wien"} {
			if city(t, c, "string", prefix+name) != "" {
				got = append(got, name)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: there are %v, want %s", what, got, want)
		}
	}
	mustWrite(t, s, change(row(1, 1, "Rome", 1), cdc.OpCreate, ""))
	mustWrite(t, s, change(row(1, 2, "Oslo", 1), cdc.OpUpdate, "Rome"))
	cities("an update", "[Oslo]")
	mustWrite(t, s, change(row(1, 3, "Bern", 1), cdc.OpUpdate, "Oslo"), change(row(1, 4, "Oslo", 2), cdc.OpUpdate, "Bern"), change(row(1, 5, "Oslo", 3), cdc.OpUpdate, "Oslo"))
	cities("there and back in one batch", "[Oslo]")
	mustWrite(t, s, change(row(2, 7, "Rome", 1), cdc.OpCreate, ""))
	mustWrite(t, s, change(row(1, 6, "Bern", 1), cdc.OpUpdate, "Rome"))
	cities("a key that another row has by now", "[Rome Oslo Bern]")
	mustWrite(t, s, change(gone(1, 8), cdc.OpDelete, "Oslo"), gone(1, 8))
	cities("a delete and its tombstone", "[Rome Bern]")
	mustWrite(t, s, gone(1, 8)) // in the next batch
	unwrapped := change(gone(1, 9), cdc.OpDelete, "Bern")
	unwrapped.Value, unwrapped.Tombstone = nil, true
	mustWrite(t, s, unwrapped)
	cities("a delete that is unwrapped to a null value", "[Rome]")

	other := change(row(9, 10, "Wien", 1), cdc.OpUpdate, "Rome")
	other.Topic = "shop.customers"
	mustWrite(t, s, other)
	cities("the key of another topic", "[Rome Wien]")
}

// TestTombstonesThatNameNoKey are rejected where no delete came before them that
// does: in a topic of rows, and for a delete that has no row.
func TestTombstonesThatNameNoKey(t *testing.T) {
	s := open(t, servers.Redis(t), map[string]string{"cache.prefix": servers.Unique(t, "names") + ":", "cache.key.field": "city"})
	for what, batch := range map[string][]*cdc.Record{
		"a tombstone in a topic of rows": {row(1, 1, "Rome", 1), gone(1, 2)},
		"a delete without its row":       {change(row(1, 3, "Oslo", 1), cdc.OpCreate, ""), change(gone(1, 4), cdc.OpDelete, "")},
	} {
		for _, r := range batch {
			r.Topic = what
		}
		var rejected *sink.Rejected
		if err := write(t, s, batch...); !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDomain: versions that count something else stop the sink.
func TestDomain(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "domain") + ":"
	s := open(t, address, map[string]string{"cache.prefix": prefix})
	mustWrite(t, s, row(1, 1, "Rome", 1))
	fresh := open(t, address, map[string]string{"cache.prefix": prefix})
	r := row(1, 100, "Oslo", 1)
	r.Domain = "offset"
	var domain *DomainError
	if err := write(t, fresh, r); !errors.As(err, &domain) {
		t.Errorf("a record of another domain: %v", err)
	}
}

// TestOffsetDomains: offsets go on from those that an earlier version wrote down
// without their topic, and from none of another topic or of fewer partitions.
func TestOffsetDomains(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "offsets") + ":"
	for i, c := range []struct {
		domain string
		said   string // why it stops
	}{
		{"offset", ""}, {"offset:aa:3", ""}, {"offset:aa:3", ""}, {"offset", "cannot be compared"},
		{"offset:aa:4", "set version.source=record-time, and"}, {"offset:bb:3", "cannot be compared"}, {"offset:aa:3", ""},
	} {
		r := row(1, uint64(i+1), "Rome", 1)
		r.Domain = c.domain
		err := write(t, open(t, address, map[string]string{"cache.prefix": prefix}), r)
		if c.said == "" && err != nil || c.said != "" && (err == nil || !strings.Contains(err.Error(), c.said)) {
			t.Errorf("%s: %v, want %q", c.domain, err, c.said)
		}
	}
}

// TestScriptFlushed: the server forgets its scripts (SCRIPT FLUSH, a restart),
// and nothing is lost by it.
func TestScriptFlushed(t *testing.T) {
	address := servers.Redis(t)
	prefix := servers.Unique(t, "flush") + ":"
	s, c := open(t, address, map[string]string{"cache.prefix": prefix}), raw(t, address)
	for i := range int64(3) {
		c.ScriptFlush(context.Background())
		mustWrite(t, s, row(i, uint64(i+1), "Rome", 1))
		if got := city(t, c, "string", fmt.Sprint(prefix, i)); got != "Rome" {
			t.Errorf("key %d is %q", i, got)
		}
	}
}

// TestAServerThatKnowsNoScriptIsWrittenToWithoutRetries: sending the script along
// is no quick attempt.
func TestAServerThatKnowsNoScriptIsWrittenToWithoutRetries(t *testing.T) {
	server := servers.NewRedisServer(t)
	s, c := open(t, server.Address, map[string]string{"max.retries": "0"}), raw(t, server.Address)
	for i := range int64(2) {
		mustWrite(t, s, row(i, uint64(i+1), "Rome", 1))
		if got := city(t, c, "string", fmt.Sprint(i)); got != "Rome" {
			t.Errorf("key %d is %q", i, got)
		}
		c.ScriptFlush(t.Context())
	}
}

// TestRoutesAreForgotten: routes by what a row has may be any number.
func TestRoutesAreForgotten(t *testing.T) {
	address := servers.Redis(t)
	s := open(t, address, map[string]string{"cache.prefix": servers.Unique(t, "routes") + ":"})
	for from := 0; from < 3*routesKept; from += 1000 {
		var batch []*cdc.Record
		for i := range 1000 {
			r := row(1, uint64(from+i+1), "Rome", 1)
			r.Route = fmt.Sprint("orders-of-customer-", from+i)
			batch = append(batch, r)
			s.keepDomain(claim{r.Route, r.Topic}, r.Domain)
		}
		mustWrite(t, s, batch...)
	}
	n := 0
	s.prefixes.Range(func(any, any) bool { n++; return true })
	if n > routesKept || len(s.domains) > routesKept {
		t.Errorf("%d routes and %d domains are remembered", n, len(s.domains))
	}
}

// TestCluster: values and their versions live in the same slot whatever the key,
// braces included.
func TestCluster(t *testing.T) {
	addresses := servers.RedisCluster(t)
	prefix := servers.Unique(t, "cluster") + ":"
	s := open(t, strings.Join(addresses, ","), map[string]string{"cache.prefix": prefix, "cache.key.field": "city"})
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses})
	defer c.Close()
	var records []*cdc.Record
	names := []string{"plain", "{tag}a", "{}b", "a}b{c", "{x", "wörld", strings.Repeat("long", 100)}
	for i := range 200 {
		names = append(names, fmt.Sprint("n", i))
	}
	for i, name := range names {
		r := row(int64(i), uint64(i+1), name, 5)
		records = append(records, r)
	}
	mustWrite(t, s, records...)
	for _, name := range names {
		if got := city(t, c, "string", prefix+name); got != name {
			t.Errorf("key %s is %q", name, got)
		}
	}
	stale := row(0, 0, "plain", 99)
	mustWrite(t, s, stale)
	if got := get(t, c, prefix+"plain"); !strings.Contains(got, "0.05") {
		t.Errorf("an older write won: %s", got)
	}
}

// TestSlotOf has the examples of the Redis Cluster specification.
func TestSlotOf(t *testing.T) {
	for key, want := range map[string]int{"123456789": 0x31c3 % slots, "foo": 12182, "{user1000}.following": slotOf([]byte("user1000")), "foo{}{bar}": slotOf([]byte("foo{}{bar}"))} {
		if got := slotOf([]byte(key)); got != want {
			t.Errorf("slot of %s is %d, want %d", key, got, want)
		}
	}
	for slot, tag := range tags() {
		if got := slotOf([]byte("x{" + tag + "}y")); got != slot {
			t.Fatalf("the tag of slot %d is of slot %d", slot, got)
		}
	}
}

// TestCompositeKeys: no two keys have one name.
func TestCompositeKeys(t *testing.T) {
	s := open(t, "127.0.0.1:1", nil)
	schema := cdc.NewSchema("k", cdc.Field{Name: "a", Type: cdc.Text, Optional: true}, cdc.Field{Name: "b", Type: cdc.Text, Optional: true})
	seen := map[string][2]string{}
	for _, pair := range [][2]string{{"a", "b|c"}, {"a|b", "c"}, {`a\`, "|b"}, {`a`, `\|b`}, {`\N`, "x"}, {"null", "x"}, {"", ""}, {"|", ""}, {"", "|"}} {
		r := &cdc.Record{Key: new(cdc.Row)}
		r.Key.Reset(schema)
		for i, text := range pair {
			if text != "null" {
				r.Key.Values[i] = cdc.String([]byte(text))
			}
		}
		name, _, err := s.appendKey(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(name)]; ok {
			t.Errorf("%q and %q are both %s", pair, other, name)
		}
		seen[string(name)] = pair
	}
}
