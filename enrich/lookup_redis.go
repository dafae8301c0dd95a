package enrich

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
)

// RedisServer is how a Redis or Valkey server or cluster is reached.
type RedisServer struct {
	Hosts       []string // host:port, of one server or of some of a cluster
	User        string
	Password    config.SecretText
	DB          int
	TLS         *tls.Config // nil: in clear
	Cluster     bool        // even if Hosts is one
	Connections int         // to each server, at most
}

// newRedisServer reads lookup.redis.*; without hosts it is the one that is lent.
func newRedisServer(o lookupOptions, lent *RedisServer) RedisServer {
	hosts := o.list("redis.hosts")
	mode := o.oneOf("redis.mode", "auto", "single", "cluster")
	s := RedisServer{
		User: o.text("redis.username", ""), Password: config.NewSecret(o.text("redis.password", "")),
		DB: o.number("redis.database", 0, 1<<20), TLS: lookupTLS(o, "redis.tls"), Connections: o.number("redis.connections", 16, 10_000),
	}
	if len(hosts) == 0 {
		if lent == nil {
			o.fail("redis.hosts", "host:port of the Redis server that has the values, or of some servers of a cluster")
			return s
		}
		return *lent
	}
	for _, host := range hosts {
		s.Hosts = append(s.Hosts, o.host("redis.hosts", strings.TrimPrefix(host, "redis://")))
	}
	s.Cluster = mode == "cluster" || mode == "auto" && len(hosts) > 1
	return s
}

// lookupTLS reads <name> (true or false) and what follows it: .ca, .cert, .key
// and .insecure. It is nil where the connection is to be in clear.
func lookupTLS(o lookupOptions, name string) *tls.Config {
	on := o.flag(name, false)
	ca, cert, key := o.text(name+".ca", ""), o.text(name+".cert", ""), o.text(name+".key", "")
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.flag(name+".insecure", false)}
	if !on {
		return nil
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			o.fail(name+".ca", "a readable PEM file with certificates")
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			o.fail(name+".cert", "a PEM certificate, with its key in "+name+".key: "+err.Error())
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// redisSource looks up hashes and JSON texts, all keys in one pipeline.
type redisSource struct {
	client  redis.UniversalClient
	timeout time.Duration
}

func newRedisSource(s RedisServer, timeout time.Duration) *redisSource {
	return &redisSource{timeout: timeout, client: redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: s.Hosts, Username: s.User, Password: s.Password.Reveal(), DB: s.DB, TLSConfig: s.TLS, IsClusterMode: s.Cluster,
		PoolSize: s.Connections, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		MaxRetries: 1, DialerRetries: 1, DisableIdentity: true,
	})}
}

func (s *redisSource) close() error { return s.client.Close() }

// redisStep is what is asked about a key next.
type redisStep uint8

const (
	stepGet    redisStep = iota // a JSON text
	stepHash                    // the fields of a hash
	stepExists                  // whether a hash without these fields is there
)

// redisAsk is a question on its way.
type redisAsk struct {
	*question
	step    redisStep
	turned  bool // the key holds nothing of the first kind
	command redis.Cmder
}

// ask sends one pipeline; those keys that turn out to hold the other kind of
// value, and hashes that may not be there at all, take another.
func (s *redisSource) ask(ctx context.Context, open []*question) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	asks := make([]redisAsk, len(open))
	for i, q := range open {
		asks[i] = redisAsk{question: q, step: q.lookup.firstStep()}
	}
	for len(asks) > 0 {
		var err error
		if asks, err = s.round(ctx, asks); err != nil {
			return err
		}
	}
	return nil
}

func (l *lookup) firstStep() redisStep {
	if l.redis == "hash" || l.redis == "auto" && l.hash.Load() {
		return stepHash
	}
	return stepGet
}

// round sends a pipeline and returns what has to be asked once more, moved to
// the beginning of asks.
func (s *redisSource) round(ctx context.Context, asks []redisAsk) ([]redisAsk, error) {
	pipe := s.client.Pipeline()
	for i := range asks {
		a := &asks[i]
		switch a.step {
		case stepGet:
			a.command = pipe.Get(ctx, a.key)
		case stepHash:
			a.command = pipe.HMGet(ctx, a.key, a.lookup.froms()...)
		case stepExists:
			a.command = pipe.Exists(ctx, a.key)
		}
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	again := asks[:0]
	var failed error
	for i := range asks {
		a := asks[i]
		if more, err := a.take(); err != nil {
			failed = fmt.Errorf("asking Redis: %w", err)
		} else if more {
			again = append(again, a)
		}
	}
	return again, failed
}

// froms are the names of the outputs where they are looked up.
func (l *lookup) froms() []string {
	names := make([]string, len(l.outputs))
	for i := range l.outputs {
		names[i] = l.outputs[i].from
	}
	return names
}

// take takes the answer of a command and reports whether another is needed.
func (a *redisAsk) take() (again bool, err error) {
	err = a.command.Err()
	switch {
	case errors.Is(err, redis.Nil):
		a.answer(&found{missing: true})
		return false, nil
	case err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return a.other(), nil
	case err != nil:
		return false, err
	}
	switch c := a.command.(type) {
	case *redis.StringCmd:
		a.answer(a.lookup.fromJSON([]byte(c.Val())))
		a.lookup.hash.Store(false)
	case *redis.SliceCmd:
		if !a.fromHash(c.Val()) {
			a.step = stepExists
			return true, nil
		}
		a.lookup.hash.Store(true)
	case *redis.IntCmd:
		if c.Val() == 0 {
			a.answer(&found{missing: true})
			return false, nil
		}
		a.answer(newFound(*a.lookup.fields.Load(), make([]cdc.Value, len(a.lookup.outputs))))
	}
	return false, nil
}

// other goes on with the other kind of value, where both are allowed.
func (a *redisAsk) other() (again bool) {
	switch {
	case a.lookup.redis != "auto":
		a.answer(&found{err: fmt.Errorf("the key is no %s, as redis.type says", map[redisStep]string{stepGet: "JSON text", stepHash: "hash"}[a.step])})
		return false
	case a.turned:
		a.answer(&found{err: errors.New("the key is neither a JSON text nor a hash")})
		return false
	}
	a.turned = true
	if a.step == stepGet {
		a.step = stepHash
	} else {
		a.step = stepGet
	}
	return true
}

// fromHash answers by the fields of a hash; false where it has none of them,
// which a key that is not there has neither.
func (a *redisAsk) fromHash(fields []any) bool {
	raw, some := make([]cdc.Value, len(fields)), false
	for i, field := range fields {
		if text, ok := field.(string); ok {
			raw[i], some = cdc.String([]byte(text)), true
		}
	}
	if some {
		a.answer(newFound(*a.lookup.fields.Load(), raw))
	}
	return some
}
