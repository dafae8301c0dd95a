package compare

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Redis is the keys under a prefix as one side of a comparison. Their values
// are JSON documents or hashes.
type Redis struct {
	Client redis.UniversalClient
	Prefix string
	Table  *Table // whose rows the values are
	// AnyName says that what follows the prefix is not the table's key
	// (cache.key.field).
	AnyName bool
	// Look, if not nil, is shown every JSON document before it is compared, for
	// what it has beside the columns. Its error ends the reading.
	Look func(key string, document []byte) error
}

// scanCount is how many keys the server looks at in one step.
const scanCount = 1000

// guards are keys under the prefix in which the sink keeps versions.
const guards = "weir:"

// Each scans all masters for the prefix's keys and reads each.
func (r *Redis) Each(ctx context.Context, each func(*Row) error) error {
	s := &scan{Redis: r, each: each, builder: r.Table.builder(), seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	switch client := r.Client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, s.node)
	case *redis.Client:
		return s.node(ctx, client)
	}
	return fmt.Errorf("reading Redis: a client of type %T", r.Client)
}

// scan is one run of Each.
type scan struct {
	*Redis
	mu      sync.Mutex
	each    func(*Row) error
	builder *builder
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of names: a scan may return a key more than once
}

// node reads the keys of one server.
func (s *scan) node(ctx context.Context, client *redis.Client) error {
	for cursor := uint64(0); ; {
		names, next, err := client.Scan(ctx, cursor, escape(s.Prefix)+"*", scanCount).Result()
		if err != nil {
			return fmt.Errorf("scanning Redis: %w", err)
		}
		if err := s.read(ctx, client, s.fresh(names)); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// fresh are the names that were not read yet and are no guards.
func (s *scan) fresh(names []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := names[:0]
	for _, name := range names {
		key := maphash.String(s.seed, name)
		if _, again := s.seen[key]; again || strings.HasPrefix(name, s.Prefix+guards) {
			continue
		}
		s.seen[key] = struct{}{}
		out = append(out, name)
	}
	return out
}

// read reads keys in two round trips: documents, then what are hashes.
func (s *scan) read(ctx context.Context, client *redis.Client, names []string) error {
	texts := map[string]*redis.StringCmd{}
	hashes := map[string]*redis.MapStringStringCmd{}
	// Each command's own error is looked at.
	_, _ = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			texts[name] = p.Get(ctx, name)
		}
		return nil
	})
	_, _ = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for name, text := range texts {
			if wrongType(text.Err()) {
				hashes[name] = p.HGetAll(ctx, name)
			}
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if err := s.take(name, texts[name], hashes[name]); err != nil {
			return fmt.Errorf("key %s: %w", name, err)
		}
	}
	return nil
}

// take hands one key's row on. One that is gone meanwhile was deleted or expired.
func (s *scan) take(name string, text *redis.StringCmd, hash *redis.MapStringStringCmd) error {
	var row *Row
	switch {
	case hash != nil && wrongType(hash.Err()):
		row = s.builder.foreign(name)
	case hash != nil && hash.Err() != nil:
		return hash.Err()
	case hash != nil && len(hash.Val()) == 0, hash == nil && errors.Is(text.Err(), redis.Nil):
		return nil
	case hash != nil:
		row = s.builder.hash(hash.Val())
	case text.Err() != nil:
		return text.Err()
	default:
		if err := look(s.Look, name, []byte(text.Val())); err != nil {
			return err
		}
		row = s.builder.document(name, []byte(text.Val()))
	}
	if !s.AnyName {
		s.builder.place(name, s.Prefix)
	}
	return s.each(row)
}

// wrongType is the server's answer for a key of another type.
func wrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }

// escape makes a prefix mean itself in a glob.
func escape(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(prefix)
}
