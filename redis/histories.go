package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	// historyDigits is how much of a replication id is kept: enough to tell two
	// apart, and little enough for a commit's metadata.
	historyDigits = 10
	// historiesMost is how many are kept one by one.
	historiesMost = 100
)

// histories names what each master's data goes back to: the replication ids,
// which a server changes when it starts and when it is promoted. Under the same
// ones, what was acknowledged is there; under another one, the last of it may not
// be. The names are sorted.
func (s *Sink) histories(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var ids []string
	err := s.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		id := infoField(text, "master_replid")
		if infoField(text, "role") != "master" || len(id) < historyDigits {
			return fmt.Errorf("READONLY %s is not a master now", c.Options().Addr)
		}
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id[:historyDigits])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking Redis for its replication id (INFO replication): %w", err)
	}
	slices.Sort(ids)
	return fold(slices.Compact(ids)), nil
}

// fold makes very many ids one: any change of them then counts.
func fold(ids []string) []string {
	if len(ids) <= historiesMost {
		return ids
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, ",")))
	return []string{hex.EncodeToString(sum[:])[:historyDigits]}
}

// infoField is a field of what INFO answers, "" if it is not there.
func infoField(text, name string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// eachMaster asks every server that is written to.
func (s *Sink) eachMaster(ctx context.Context, ask func(context.Context, *redis.Client) error) error {
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, ask)
	case *redis.Client:
		return ask(ctx, client)
	}
	return fmt.Errorf("there is no way to ask every server of a %T", s.client)
}

// policies are what the servers evict when they are full (maxmemory-policy).
func (s *Sink) policies(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var policies []string
	err := s.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx, "memory").Result()
		mu.Lock()
		defer mu.Unlock()
		policies = append(policies, infoField(text, "maxmemory_policy"))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking Redis what it evicts (INFO memory): %w", err)
	}
	return policies, nil
}

func evictsAny(policy string) bool      { return strings.HasPrefix(policy, "allkeys-") }
func evictsExpiring(policy string) bool { return strings.HasPrefix(policy, "volatile-") }

// evicts reports whether a server drops keys of any kind when it is full.
func (s *Sink) evicts(ctx context.Context) (bool, error) {
	policies, err := s.policies(ctx)
	return slices.ContainsFunc(policies, evictsAny), err
}

// warnOfEviction says once what an eviction policy means here.
func (s *Sink) warnOfEviction(ctx context.Context) {
	policies, err := s.policies(ctx)
	if err != nil {
		return
	}
	warning := ""
	switch {
	case slices.ContainsFunc(policies, evictsAny):
		warning = "the server evicts keys of any kind when it is full (maxmemory-policy): rows go missing then, and a version that was evicted no longer keeps older records from being written; noeviction is what the sink is made for"
	case slices.ContainsFunc(policies, evictsExpiring):
		warning = "the server evicts keys that expire when it is full (maxmemory-policy): the versions of deleted keys are such, and one that was evicted no longer keeps an older record from bringing its key back; with cache.ttl rows go missing, too; noeviction is what the sink is made for"
	default:
		return
	}
	s.warned.Do(func() { s.log.Warn(warning) })
}
