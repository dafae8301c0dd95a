package golden

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/kafka"
)

// read reads every committed record of every topic that Debezium has too.
func (r *run) read(ctx context.Context) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ends, err := r.ends(ctx)
	if err != nil {
		return nil, err
	}
	at := map[string]map[int32]kgo.Offset{}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			if at[o.Topic] == nil {
				at[o.Topic] = map[int32]kgo.Offset{}
			}
			at[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
			left++
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(r.bootstrap), kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, fmt.Errorf("reading topics: %w", err)
	}
	defer client.Close()
	var out []Record
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("reading topics: %w", err)
		}
		fetches.EachRecord(func(k *kgo.Record) {
			if end, _ := ends.Lookup(k.Topic, k.Partition); k.Offset == end.Offset-1 {
				left-- // it is the marker of the last transaction
			}
			if !k.Attrs.IsControl() {
				out = append(out, recordOf(k))
			}
		})
	}
	return out, nil
}

// ends are the ends of the topics to compare.
func (r *run) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.bootstrap))
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	list, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	names := slices.DeleteFunc(list.Names(), func(name string) bool {
		return name == r.config.OffsetTopic || name == kafka.SchemaTopic(r.config.Prefix)
	})
	if len(names) == 0 {
		return nil, nil
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing topics' ends: %w", err)
	}
	return ends, nil
}

func recordOf(k *kgo.Record) Record {
	r := Record{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Key: textIn(k.Key), Value: textIn(k.Value)}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, Header{h.Key, textIn(h.Value)})
	}
	return r
}

func textIn(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}
