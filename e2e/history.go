package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// history is the versions of the deletes of each row.
type history map[where][]uint64

// behind reports whether a row was deleted after a version.
func (h history) behind(at where, version uint64) bool {
	return slices.ContainsFunc(h[at], func(deleted uint64) bool { return deleted > version })
}

// deletes reads all topics from their start to their end.
func (f *fleet) deletes(ctx context.Context) (history, error) {
	cluster := kadm.NewClient(f.kafka)
	var topics []string
	for _, t := range tables() {
		topics = append(topics, f.topic(t.name))
	}
	ends, err := cluster.ListCommittedOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	left := map[string]map[int32]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset == 0 {
			return
		}
		if left[end.Topic] == nil {
			left[end.Topic], from[end.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[end.Topic][end.Partition], from[end.Topic][end.Partition] = end.Offset, kgo.NewOffset().AtStart()
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(f.at.kafka), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	h := history{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading the topics: %w", err)
		}
		var wrong error
		fetches.EachRecord(func(r *kgo.Record) {
			wrong = errors.Join(wrong, h.take(strings.TrimPrefix(r.Topic, f.topic("")), r))
			if r.Offset+1 >= left[r.Topic][r.Partition] {
				if delete(left[r.Topic], r.Partition); len(left[r.Topic]) == 0 {
					delete(left, r.Topic)
				}
			}
		})
		if wrong != nil {
			return nil, wrong
		}
	}
	return h, nil
}

// take notes a record if it is a delete's tombstone.
func (h history) take(table string, r *kgo.Record) error {
	if r.Attrs.IsControl() || r.Value != nil {
		return nil
	}
	key, err := keyText(table, r.Key)
	if err != nil {
		return fmt.Errorf("reading the key %s: %w", r.Key, err)
	}
	for _, header := range r.Headers {
		if header.Key != "weir.version" {
			continue
		}
		version, err := strconv.ParseUint(string(header.Value), 10, 64)
		if err != nil {
			return fmt.Errorf("reading the version of %s: %w", r.Key, err)
		}
		at := where{table, key}
		h[at] = append(h[at], version)
		return nil
	}
	return fmt.Errorf("the tombstone of %s in %s has no version", r.Key, r.Topic)
}

// keyDates are the fields of keys that are dates, by table and name.
var keyDates = sync.OnceValue(func() map[[2]string]bool {
	dates := map[[2]string]bool{}
	for _, t := range tables() {
		for _, c := range t.columns[:t.keys] {
			dates[[2]string{t.name, c.name}] = strings.HasPrefix(c.ddl, "DATE ")
		}
	}
	return dates
})

// keyText is a key as ids and names of keys have it: the text of its only field,
// or those of all joined by |, with \ before each \ and |. A date is days since
// 1970 in a record, and a date in them.
func keyText(table string, key []byte) (string, error) {
	var whole struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(key, &whole); err != nil {
		return "", err
	}
	if whole.Payload != nil {
		key = whole.Payload
	}
	decoder := json.NewDecoder(bytes.NewReader(key))
	decoder.UseNumber()
	var parts []string
	var name string
	for i := 0; decoder.More() || i == 0; i++ { // { name value name value … }
		token, err := decoder.Token()
		text := fmt.Sprint(token)
		switch {
		case err != nil:
			return "", err
		case i%2 == 1:
			name = text
		case i > 0 && keyDates()[[2]string{table, name}]:
			days, err := strconv.Atoi(text)
			if err != nil {
				return "", err
			}
			parts = append(parts, time.Unix(0, 0).UTC().AddDate(0, 0, days).Format(time.DateOnly))
		case i > 0:
			parts = append(parts, text)
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	for i := range parts {
		parts[i] = strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(parts[i])
	}
	return strings.Join(parts, "|"), nil
}
