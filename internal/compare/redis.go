package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
}

// Each scans all masters for the prefix's keys and reads each.
func (r *Redis) Each(ctx context.Context, each func(key, row string) error) error {
	var one sync.Mutex
	scan := func(ctx context.Context, c *redis.Client) error {
		keys := c.Scan(ctx, 0, escape(r.Prefix)+"*", 1000).Iterator()
		for keys.Next(ctx) {
			name := keys.Val()
			if strings.HasPrefix(name, r.Prefix+"weir:") {
				continue
			}
			document, err := r.read(ctx, name)
			if errors.Is(err, redis.Nil) {
				continue // expired or deleted meanwhile
			}
			if err != nil {
				return fmt.Errorf("key %s: %w", name, err)
			}
			key, row, err := r.Table.Document(document)
			if err != nil {
				return fmt.Errorf("key %s: %w", name, err)
			}
			one.Lock()
			err = each(key, row)
			one.Unlock()
			if err != nil {
				return err
			}
		}
		return keys.Err()
	}
	if cluster, ok := r.Client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, scan)
	}
	return scan(ctx, r.Client.(*redis.Client))
}

// read is a key's document, whichever type the key has.
func (r *Redis) read(ctx context.Context, name string) (map[string]any, error) {
	text, err := r.Client.Get(ctx, name).Result()
	if err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return r.readHash(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	document := map[string]any{}
	return document, d.Decode(&document)
}

// readHash reads a hash, in which a NULL is a field that is not there.
func (r *Redis) readHash(ctx context.Context, name string) (map[string]any, error) {
	fields, err := r.Client.HGetAll(ctx, name).Result()
	if err != nil {
		return nil, err
	}
	document := map[string]any{}
	for i := range r.Table.Columns {
		c := &r.Table.Columns[i]
		if text, ok := fields[c.Name]; ok {
			document[c.Name] = text
		} else {
			document[c.Name] = nil
		}
	}
	return document, nil
}

// escape makes a prefix mean itself in a glob.
func escape(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(prefix)
}
