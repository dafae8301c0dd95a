package consumers

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// stableEnds are the last stable offsets of a topic's partitions.
func stableEnds(t testing.TB, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	listed, err := kadm.NewClient(cl).ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// createTopic makes a topic and returns when it is there.
func createTopic(t testing.TB, brokers, topic string, partitions int32, configs ...string) {
	t.Helper()
	given := map[string]*string{}
	for i := 0; i+1 < len(configs); i += 2 {
		given[configs[i]] = &configs[i+1]
	}
	if _, err := kadm.NewClient(connect(t, brokers)).CreateTopic(context.Background(), partitions, -1, given, topic); err != nil {
		t.Fatal(err)
	}
}

func netDial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// shelf is a RangeWriter in memory. It cuts a range after every cut records, and
// writes down, in order, what it is asked.
type shelf struct {
	cut      int
	onOpen   func(start int64)
	complete func(ctx context.Context, start int64) error
	reject   func(r *cdc.Record) error
	due      func() bool // nil: at once

	mu     sync.Mutex
	events []string
	files  map[string][]int64 // "topic-partition@start" → offsets, visible
	taken  bool               // Empty says no
}

func newShelf(cut int) *shelf { return &shelf{cut: cut, files: map[string][]int64{}} }

func (s *shelf) note(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf(format, a...))
}

func (s *shelf) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// offsets are those in visible files of a partition, in order.
func (s *shelf) offsets(partition int32) (out []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, offsets := range s.files {
		if strings.Contains(name, fmt.Sprintf("-%d@", partition)) {
			out = append(out, offsets...)
		}
	}
	slices.Sort(out)
	return out
}

func (s *shelf) Layout() string { return "shelf" }

func (s *shelf) Empty(_ context.Context, p sink.Partition) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.taken, nil
}

func (s *shelf) Open(p sink.Partition, start int64, instant time.Time, redo bool) (sink.Range, error) {
	if s.onOpen != nil {
		s.onOpen(start)
	}
	if redo {
		s.note("open %d again at %d", start, instant.UnixMilli())
	} else {
		s.note("open %d", start)
	}
	return &shelfRange{s: s, name: fmt.Sprintf("%s-%d@%d", p.Topic, p.Number, start), start: start, redo: redo}, nil
}

type shelfRange struct {
	s       *shelf
	name    string
	start   int64
	redo    bool
	offsets []int64
}

func (r *shelfRange) Append(batch []*cdc.Record) error {
	for i, b := range batch {
		if r.s.reject != nil {
			if err := r.s.reject(b); err != nil {
				return &sink.Rejected{Items: []sink.Rejection{{Index: i, Reason: err}}}
			}
		}
		r.offsets = append(r.offsets, b.Offset)
	}
	return nil
}

func (r *shelfRange) Advance(context.Context) error { return nil }

func (r *shelfRange) Fit(_ time.Time, next []*cdc.Record) int {
	return min(len(next), max(0, r.s.cut-len(r.offsets)))
}

func (r *shelfRange) Due(time.Time) bool {
	return len(r.offsets) > 0 && (r.s.due == nil || r.s.due())
}
func (r *shelfRange) Records() int { return len(r.offsets) }
func (r *shelfRange) Files() bool  { return len(r.offsets) > 0 }
func (r *shelfRange) Discard()     { r.s.note("discard %d", r.start) }

func (r *shelfRange) Complete(ctx context.Context, end int64) error {
	r.s.note("complete %d to %d", r.start, end)
	if r.s.complete != nil {
		if err := r.s.complete(ctx, r.start); err != nil {
			return err
		}
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if _, there := r.s.files[r.name]; !there || !r.redo {
		r.s.files[r.name] = slices.Clone(r.offsets)
	}
	return nil
}

// commitsInto writes down every commit that the broker is sent for a partition.
func commitsInto(c *kfake.Cluster, s *shelf, partition int32) {
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range t.Partitions {
				if p.Partition != partition {
					continue
				}
				m, err := parseRangeMark(*p.Metadata, p.Offset)
				switch {
				case err != nil:
					s.note("commit %d %v", p.Offset, err)
				case m.pending > 0:
					s.note("commit %d until %d", p.Offset, m.pending)
				default:
					s.note("commit %d", p.Offset)
				}
			}
		}
		return nil, nil, false
	})
}

// commitFor commits as the operator of a group without members.
func commitFor(t testing.TB, cl *kgo.Client, group, topic string, partition int32, offset int64, metadata string) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1, Metadata: metadata})
	answers, err := kadm.NewClient(cl).CommitOffsets(context.Background(), group, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// topicIDOf is the id of a topic.
func topicIDOf(t testing.TB, cl *kgo.Client, topic string) [16]byte {
	t.Helper()
	topics, err := kadm.NewClient(cl).ListTopics(context.Background(), topic)
	if err != nil || topics[topic].Err != nil {
		t.Fatal(err, topics[topic].Err)
	}
	return topics[topic].ID
}
