package enrich

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// redisClient is a client for the test's own words.
func redisClient(t testing.TB, options *redis.UniversalOptions) redis.UniversalClient {
	t.Helper()
	c := redis.NewUniversalClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// inRedis is a look-up under prefix of the hosts.
func inRedis(prefix, hosts string, more ...string) map[string]string {
	properties := map[string]string{
		"lookup.source": "redis", "lookup.redis.hosts": hosts, "lookup.key.field": "user_id", "lookup.key.template": prefix + ":${user_id}",
		"lookup.value.fields": "user_name,user_email,user_role", "lookup.miss.policy": "null",
	}
	for i := 0; i < len(more); i += 2 {
		properties[more[i]] = more[i+1]
	}
	return properties
}

// fillUsers writes users 1 to n: odd ones as JSON, even ones as hashes.
func fillUsers(t testing.TB, c redis.UniversalClient, prefix string, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		key := fmt.Sprintf("%s:%d", prefix, i)
		err := c.Set(t.Context(), key, fmt.Sprintf(`{"user_name":"u%d","user_email":"u%d@x","user_role":%d}`, i, i, i), 0).Err()
		if i%2 == 0 {
			c.Del(t.Context(), key)
			err = c.HSet(t.Context(), key, "user_name", fmt.Sprintf("u%d", i), "user_role", i).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// usersAsFilled is what look-ups of users 1 to n make of records.
func usersAsFilled(n int) (in, out []string) {
	for i := 1; i <= n; i++ {
		in = append(in, fmt.Sprintf(`{"user_id":%d}`, i))
		if i%2 == 0 {
			out = append(out, fmt.Sprintf(`{"user_id":%d,"user_name":"u%d","user_email":null,"user_role":"%d"}`, i, i, i))
		} else {
			out = append(out, fmt.Sprintf(`{"user_id":%d,"user_name":"u%d","user_email":"u%d@x","user_role":%d}`, i, i, i, i))
		}
	}
	return in, out
}

// TestLookupInRedis: JSON texts and hashes, mixed; one pipeline for all that are
// of the kind that was last seen.
func TestLookupInRedis(t *testing.T) {
	addr, prefix := servers.Redis(t), servers.Unique(t, "lookup")
	c := redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}})
	fillUsers(t, c, prefix, 40)
	l := startLookup(t, inRedis(prefix, addr))
	in, want := usersAsFilled(40)
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Error(d)
	}
	if asked := l.metric(t, "weir_lookup_requests_total", "source", "redis"); asked != 1 {
		t.Errorf("asked %v times", asked)
	}
	if keys := l.metric(t, "weir_lookup_entries", "kind", "cache"); keys != 40 {
		t.Errorf("%v keys are cached", keys)
	}
}

// TestOnePipelinePerBatch: the server sees one command a key, in one read.
func TestOnePipelinePerBatch(t *testing.T) {
	addr := servers.NewRedis(t)
	c := redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}})
	for i := 1; i <= 500; i++ {
		c.Set(t.Context(), fmt.Sprintf("user_id:%d", i), `{"user_name":"Ann"}`, 0)
	}
	l := startLookup(t, inRedis("user_id", addr))
	calls := func() string {
		stats := c.Info(t.Context(), "commandstats").Val()
		_, after, _ := strings.Cut(stats, "cmdstat_get:calls=")
		n, _, _ := strings.Cut(after, ",")
		return n
	}
	in, _ := usersAsFilled(500)
	for range 2 {
		l.apply(t, append(in, in...)...)
		if n := calls(); n != "500" {
			t.Errorf("%s commands", n)
		}
	}
	if asked := l.metric(t, "weir_lookup_requests_total", "source", "redis"); asked != 1 {
		t.Errorf("%v pipelines", asked)
	}
}

// TestRedisKinds: what is stated is not guessed, and what is not there differs
// from a hash that has none of the fields.
func TestRedisKinds(t *testing.T) {
	addr, prefix := servers.Redis(t), servers.Unique(t, "lookup")
	c := redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}})
	for _, err := range []error{
		c.HSet(t.Context(), prefix+":1", "user_role", "7").Err(), c.HSet(t.Context(), prefix+":2", "other", "7").Err(),
		c.Set(t.Context(), prefix+":3", `{"user_role":7}`, 0).Err(), c.LPush(t.Context(), prefix+":4", "x").Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for kind, want := range map[string][]string{
		"hash": {`{"user_id":1,"user_role":"7"}`, `{"user_id":2,"user_role":null}`, "no hash", "no hash", "nothing"},
		"json": {"no JSON text", "no JSON text", `{"user_id":3,"user_role":7}`, "no JSON text", "nothing"},
		"auto": {`{"user_id":1,"user_role":"7"}`, `{"user_id":2,"user_role":null}`, `{"user_id":3,"user_role":7}`, "", "nothing"},
	} {
		l := startLookup(t, inRedis(prefix, addr, "lookup.redis.type", kind, "lookup.value.fields", "user_role", "lookup.miss.policy", "dead_letter"))
		for i, text := range want {
			if text == "" {
				continue // a list: neither
			}
			if got := l.apply(t, fmt.Sprintf(`{"user_id":%d}`, i+1))[0]; !strings.Contains(got, text) {
				t.Errorf("%s %d: %s, want %s", kind, i+1, got, text)
			}
		}
	}
}

// TestAListInRedisIsRejected: it is neither of the kinds.
func TestAListInRedisIsRejected(t *testing.T) {
	addr, prefix := servers.Redis(t), servers.Unique(t, "lookup")
	c := redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}})
	fillUsers(t, c, prefix, 3)
	c.Del(t.Context(), prefix+":2")
	c.LPush(t.Context(), prefix+":2", "x")
	l := startLookup(t, inRedis(prefix, addr))
	in, want := usersAsFilled(3)
	want[1] = "rejected: applying transform user: looking up " + prefix + ":2 in Redis: the key is neither a JSON text nor a hash"
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Error(d)
	}
}

// TestLookupInARedisCluster: the keys of a batch are on all servers.
func TestLookupInARedisCluster(t *testing.T) {
	addrs, prefix := servers.RedisCluster(t), servers.Unique(t, "lookup")
	c := redisClient(t, &redis.UniversalOptions{Addrs: addrs, IsClusterMode: true})
	fillUsers(t, c, prefix, 60)
	in, want := usersAsFilled(60)
	for name, properties := range map[string]map[string]string{
		"all hosts": inRedis(prefix, strings.Join(addrs, ",")),
		"one host":  inRedis(prefix, addrs[1], "lookup.redis.mode", "cluster"),
	} {
		if d := cmp.Diff(want, startLookup(t, properties).apply(t, in...)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestLookupInASecureRedis: TLS, and a user that may read these keys only.
func TestLookupInASecureRedis(t *testing.T) {
	files := servers.TLS(t)
	addr := servers.NewRedis(t, "--tls-port", "{port}", "--port", "0", "--tls-cert-file", files.CertFile, "--tls-key-file", files.KeyFile,
		"--tls-ca-cert-file", files.CAFile, "--tls-auth-clients", "no", "--user", "reader", "on", ">s3cret", "~users:*", "+@read", "+@connection",
		"--user", "default", "on", ">root", "~*", "+@all")
	secure := []string{"lookup.redis.tls", "true", "lookup.redis.tls.ca", files.CAFile}
	writer := startLookup(t, inRedis("users", addr, append(secure, "lookup.redis.password", "root")...))
	c := writer.made[0].run.sources[0].source.(*redisSource).client
	fillUsers(t, c, "users", 3)
	l := startLookup(t, inRedis("users", addr, append(secure, "lookup.redis.username", "reader", "lookup.redis.password", "s3cret")...))
	in, want := usersAsFilled(3)
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Error(d)
	}
	for name, more := range map[string][]string{
		"without the authority": {"lookup.redis.tls", "true", "lookup.redis.username", "reader", "lookup.redis.password", "s3cret"},
		"in clear":              {"lookup.redis.username", "reader", "lookup.redis.password", "s3cret"},
		"a wrong password":      append(secure, "lookup.redis.username", "reader", "lookup.redis.password", "s3cret2"),
		"other keys":            append(secure, "lookup.redis.username", "reader", "lookup.redis.password", "s3cret", "lookup.key.template", "others:${user_id}"),
	} {
		t.Run(name, func(t *testing.T) {
			l := startLookup(t, inRedis("users", addr, more...))
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := l.Apply(ctx, oneUser(t))
			reason := ""
			select {
			case reason = <-l.waits:
			default:
			}
			if err == nil || strings.Contains(fmt.Sprint(err, reason), "s3cret") {
				t.Errorf("got %v, waiting for %q", err, reason)
			}
		})
	}
}

// gate passes connections on to a server that may change.
type gate struct {
	listener net.Listener
	mu       sync.Mutex
	target   string // "": nobody answers
	open     []net.Conn
}

func newGate(t testing.TB, target string) *gate {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, target: target}
	t.Cleanup(func() { _ = l.Close(); g.to("") })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.pass(c)
		}
	}()
	return g
}

func (g *gate) pass(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.target == "" {
		_ = c.Close()
		return
	}
	s, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", g.target)
	if err != nil {
		_ = c.Close()
		return
	}
	g.open = append(g.open, c, s)
	go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
	go func() { _, _ = io.Copy(c, s); _ = c.Close() }()
}

// to ends all connections and passes new ones on to target.
func (g *gate) to(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
	for _, c := range g.open {
		_ = c.Close()
	}
	g.open = nil
}

// TestLookupOutlivesItsRedis: the server is killed and another comes back under
// its address; the batch waits for it, and has what it would have had.
func TestLookupOutlivesItsRedis(t *testing.T) {
	first := servers.NewRedis(t)
	g := newGate(t, first)
	l := startLookup(t, inRedis("user", g.listener.Addr().String(), "lookup.cache.size", "0", "lookup.timeout.ms", "1000"))
	fillUsers(t, redisClient(t, &redis.UniversalOptions{Addrs: []string{first}}), "user", 10)
	in, want := usersAsFilled(10)
	if d := cmp.Diff(want, l.apply(t, in...)); d != "" {
		t.Fatal(d)
	}
	redisClient(t, &redis.UniversalOptions{Addrs: []string{first}}).ShutdownNoSave(context.Background())
	done := make(chan []string, 1)
	go func() { done <- l.apply(t, in...) }()
	for reason := ""; !strings.HasPrefix(reason, "looking up: asking Redis: "); {
		select {
		case reason = <-l.waits:
		case got := <-done:
			t.Fatalf("it did not wait: %v", got)
		}
	}
	second := servers.NewRedis(t)
	fillUsers(t, redisClient(t, &redis.UniversalOptions{Addrs: []string{second}}), "user", 10)
	g.to(second)
	if d := cmp.Diff(want, <-done); d != "" {
		t.Error(d)
	}
	if down := l.metric(t, "weir_lookup_unavailable", "source", "redis"); down != 0 {
		t.Error("still unavailable")
	}
}

// TestLookupGoesOnWithoutRedis: null after the time that was given, at once for
// batches after that, and again what is there when the server is back.
func TestLookupGoesOnWithoutRedis(t *testing.T) {
	addr := servers.NewRedis(t)
	fillUsers(t, redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}}), "user", 1)
	g := newGate(t, "")
	l := startLookup(t, inRedis("user", g.listener.Addr().String(), "lookup.timeout.ms", "1000",
		"lookup.unavailable.policy", "null", "lookup.unavailable.timeout.ms", "300"))
	null, want := `{"user_id":1,"user_name":null,"user_email":null,"user_role":null}`, `{"user_id":1,"user_name":"u1","user_email":"u1@x","user_role":1}`
	if got := l.apply(t, `{"user_id":1}`)[0]; got != null {
		t.Errorf("without the server: %s", got)
	}
	g.to(addr)
	for deadline := time.Now().Add(20 * time.Second); ; {
		got := l.apply(t, `{"user_id":1}`)[0]
		if got == want {
			break
		}
		if got != null || time.Now().After(deadline) {
			t.Fatalf("after the outage: %s", got)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestTheSinksOwnRedis is asked where the look-up names no other.
func TestTheSinksOwnRedis(t *testing.T) {
	addr := servers.NewRedis(t)
	fillUsers(t, redisClient(t, &redis.UniversalOptions{Addrs: []string{addr}}), "user_id", 1)
	properties := map[string]string{"lookup.source": "redis", "lookup.key.field": "user_id", "lookup.value.fields": "user_name,user_email,user_role"}
	l := startLookupWith(t, LookupServers{Redis: &RedisServer{Hosts: []string{addr}}}, properties)
	if got, want := l.apply(t, `{"user_id":1}`)[0], `{"user_id":1,"user_name":"u1","user_email":"u1@x","user_role":1}`; got != want {
		t.Error(got)
	}
}
