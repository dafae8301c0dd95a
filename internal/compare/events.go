package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Events are the records of Kafka that a lake's rows are made of, as the rows
// say. It compares them with what a topic holds.
type Events struct {
	rows  int
	seen  map[spot]*offsets
	twice []string // some that are there more than once
	again int
}

// spot is a partition.
type spot struct {
	topic     string
	partition int32
}

// offsets is a set of offsets of one partition.
type offsets struct{ words []uint64 }

func (o *offsets) add(offset int64) (isNew bool) {
	at := int(offset / 64)
	for at >= len(o.words) {
		o.words = append(o.words, make([]uint64, at+1-len(o.words))...)
	}
	bit := uint64(1) << (offset % 64)
	isNew = o.words[at]&bit == 0
	o.words[at] |= bit
	return isNew
}

func (o *offsets) has(offset int64) bool {
	at := int(offset / 64)
	return o != nil && at < len(o.words) && o.words[at]&(1<<(offset%64)) != 0
}

func (o *offsets) len() (n int) {
	for _, w := range o.words {
		n += bits.OnesCount64(w)
	}
	return n
}

func (o *offsets) each(each func(offset int64)) {
	for w, word := range o.words {
		for ; word != 0; word &= word - 1 {
			each(int64(64*w + bits.TrailingZeros64(word)))
		}
	}
}

// begin forgets what an earlier reading of the lake found.
func (e *Events) begin() { *e = Events{seen: map[spot]*offsets{}} }

func (e *Events) add(topic string, partition int32, offset int64) {
	e.rows++
	at := spot{topic, partition}
	if e.seen[at] == nil {
		e.seen[at] = &offsets{}
	}
	if offset < 0 || !e.seen[at].add(offset) {
		e.again++
		e.twice = note(e.twice, "offset %d of %s-%d is in the lake more than once", offset, topic, partition)
	}
}

func note(lines []string, format string, args ...any) []string {
	if len(lines) < defaultExamples {
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	return lines
}

// EventsResult is how far the rows of a lake are not the change events of its
// topics.
type EventsResult struct {
	Table  string // whose changes they are
	Kafka  int    // events in the topics that have to be rows
	Rows   int    // rows in the lake
	Gaps   int    // events that are not in the lake
	Twice  int    // rows whose event is in another row, too
	Alien  int    // rows whose offset is no event: aborted, a marker, or beyond the end
	Echoes int    // tombstones that directly follow their delete, which say nothing more
	// Compacted are rows whose event the topics no longer have.
	Compacted int
	Examples  []string
}

// Differences is how many events are wrong.
func (r *EventsResult) Differences() int { return r.Gaps + r.Twice + r.Alien }

// Compare reads topics from their start to their end, read committed, and
// compares their events with the rows that were read from the lake. options are
// those of the connection.
func (e *Events) Compare(ctx context.Context, topics []string, options ...kgo.Opt) (*EventsResult, error) {
	r := &EventsResult{Rows: e.rows, Twice: e.again, Examples: slices.Clone(e.twice)}
	committed, err := readTopics(ctx, topics, true, options)
	if err != nil {
		return nil, err
	}
	for at, p := range committed {
		r.partition(at, p, e.seen[at])
	}
	alien := 0
	e.unexplained(committed, func(spot, int64) { alien++ })
	if alien > 0 {
		err = e.explain(ctx, r, topics, committed, options)
	}
	return r, err
}

// partition looks for the events of one partition.
func (r *EventsResult) partition(at spot, p *partitionEvents, seen *offsets) {
	r.Kafka += p.events.len()
	p.events.each(func(offset int64) {
		switch {
		case seen.has(offset):
		case p.echoes.has(offset):
			r.Kafka--
			r.Echoes++
		default:
			r.Gaps++
			r.Examples = note(r.Examples, "offset %d of %s-%d is not in the lake", offset, at.topic, at.partition)
		}
	})
}

// unexplained calls each with the rows whose offset is no committed event.
func (e *Events) unexplained(committed map[spot]*partitionEvents, each func(at spot, offset int64)) {
	for at, seen := range e.seen {
		p := committed[at]
		seen.each(func(offset int64) {
			if p == nil || !p.events.has(offset) {
				each(at, offset)
			}
		})
	}
}

// explain tells rows whose event was compacted or deleted by age from rows that
// should not be: only the latter are still in the log, or beyond its end.
func (e *Events) explain(ctx context.Context, r *EventsResult, topics []string, committed map[spot]*partitionEvents, options []kgo.Opt) error {
	all, err := readTopics(ctx, topics, false, options)
	if err != nil {
		return err
	}
	e.unexplained(committed, func(at spot, offset int64) {
		p := all[at]
		switch {
		case p == nil || offset >= p.end:
			r.Alien++
			r.Examples = note(r.Examples, "offset %d of %s-%d is in the lake and does not exist", offset, at.topic, at.partition)
		case p.events.has(offset) || p.markers.has(offset):
			r.Alien++
			r.Examples = note(r.Examples, "offset %d of %s-%d is in the lake and was never committed", offset, at.topic, at.partition)
		default:
			r.Compacted++
		}
	})
	return nil
}

// partitionEvents is what a partition holds.
type partitionEvents struct {
	events  offsets // records that are no markers
	echoes  offsets // of events, tombstones directly behind the delete of their key
	markers offsets
	start   int64
	next    int64 // one past the last offset that was read
	end     int64
	last    *kgo.Record // the event before
}

// readTopics reads topics from their start to their end.
func readTopics(ctx context.Context, topics []string, committed bool, options []kgo.Opt) (map[spot]*partitionEvents, error) {
	out := map[spot]*partitionEvents{}
	for _, topic := range topics {
		partitions, err := readTopic(ctx, topic, committed, options)
		if err != nil {
			return nil, fmt.Errorf("reading topic %s: %w", topic, err)
		}
		for number, p := range partitions {
			out[spot{topic, number}] = p
		}
	}
	return out, nil
}

// readTopic reads a topic from its start to its end.
func readTopic(ctx context.Context, topic string, committed bool, options []kgo.Opt) (map[int32]*partitionEvents, error) {
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	client, err := kgo.NewClient(append(slices.Clone(options), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	out, starts, err := bounds(ctx, kadm.NewClient(client), topic, committed)
	if err != nil {
		return nil, err
	}
	open := len(starts)
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts})
	for quiet := time.Now(); open > 0; {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		if err := errors.Join(ctx.Err(), fetchError(fetches)); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			quiet = time.Now()
			open -= out[record.Partition].take(record)
		})
		if time.Since(quiet) > stalled {
			return nil, fmt.Errorf("%d partitions did not come to their end for %v", open, stalled)
		}
	}
	return out, nil
}

// stalled is how long a broker may send nothing.
const stalled = 30 * time.Second

// fetchError is what went wrong in a poll, but for its time being over.
func fetchError(fetches kgo.Fetches) error {
	var errs []error
	fetches.EachError(func(_ string, _ int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	})
	return errors.Join(errs...)
}

// bounds asks where a topic's partitions begin and end, and returns the starts
// of those that are not empty.
func bounds(ctx context.Context, cluster *kadm.Client, topic string, committed bool) (map[int32]*partitionEvents, map[int32]kgo.Offset, error) {
	list := cluster.ListEndOffsets
	if committed {
		list = cluster.ListCommittedOffsets
	}
	starts, errStarts := cluster.ListStartOffsets(ctx, topic)
	ends, errEnds := list(ctx, topic)
	if err := errors.Join(errStarts, errEnds, starts.Error(), ends.Error()); err != nil {
		return nil, nil, err
	}
	out, from := map[int32]*partitionEvents{}, map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) {
		start := starts[topic][end.Partition].Offset
		out[end.Partition] = &partitionEvents{start: start, next: start, end: end.Offset}
		if start < end.Offset {
			from[end.Partition] = kgo.NewOffset().At(start)
		}
	})
	return out, from, nil
}

// take notes a record and returns 1 if it is the partition's last one.
func (p *partitionEvents) take(r *kgo.Record) int {
	if p.next >= p.end {
		return 0 // beyond what was the end
	}
	if r.Attrs.IsControl() {
		p.markers.add(r.Offset)
	} else {
		p.events.add(r.Offset)
		cut := p.last == nil && p.start > 0 // its delete may be gone
		if r.Value == nil && (cut || isDelete(p.last) && bytes.Equal(p.last.Key, r.Key)) {
			p.echoes.add(r.Offset)
		}
		p.last = r
	}
	if p.next = r.Offset + 1; p.next >= p.end {
		return 1
	}
	return 0
}

// isDelete reports whether a record is a change event of a delete, or the
// unwrapped row of one.
func isDelete(r *kgo.Record) bool {
	if r == nil || r.Value == nil {
		return false
	}
	type event struct {
		Op      string `json:"op"`
		Deleted any    `json:"__deleted"`
	}
	var e struct {
		event
		Payload *event `json:"payload"`
	}
	if json.Unmarshal(r.Value, &e) != nil {
		return false
	}
	if e.Payload != nil {
		e.event = *e.Payload
	}
	return e.Op == "d" || e.Deleted == "true" || e.Deleted == true
}
