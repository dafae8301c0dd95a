package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-cdc/weir/consumers"
)

// goal is where the offsets of a group are to be moved.
type goal struct {
	kind   string // earliest, latest, current, time, offset
	time   time.Time
	offset int64
}

// parseGoal reads earliest, latest, current, a time (RFC 3339 or a date), or an offset.
func parseGoal(text string) (goal, error) {
	switch text {
	case "earliest", "latest", "current":
		return goal{kind: text}, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil && offset >= 0 {
		return goal{kind: "offset", offset: offset}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return goal{kind: "time", time: at}, nil
		}
	}
	return goal{}, fmt.Errorf("%w: --to %q; want earliest, latest, current, a time such as 2026-11-22T10:00:00Z, or an offset", errUsage, text)
}

// move is what becomes of the offset of one partition.
type move struct {
	topic     string
	partition int32
	committed int64 // -1: none
	epoch     int32
	start     int64
	end       int64
	to        int64
}

// chosen limits a reset to some partitions.
type chosen struct {
	topics     []string
	partitions []int32 // all if empty
}

func (c chosen) has(topic string, partition int32) bool {
	return slices.Contains(c.topics, topic) && (len(c.partitions) == 0 || slices.Contains(c.partitions, partition))
}

// errMembers is a group that has members, so that its offsets must not be moved.
var errMembers = errors.New("the group has members")

// empty checks that no member of a group is there: their next commit would undo
// what is moved.
func empty(ctx context.Context, cluster *kadm.Client, group string) error {
	described, err := cluster.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("asking for group %s: %w", group, err)
	}
	d := described[group]
	if errors.Is(d.Err, kerr.GroupIDNotFound) {
		return nil
	}
	if d.Err != nil {
		return fmt.Errorf("asking for group %s: %w", group, d.Err)
	}
	if d.State == "Empty" || d.State == "Dead" {
		return nil
	}
	var hosts []string
	for _, m := range d.Members {
		hosts = append(hosts, strings.TrimPrefix(m.ClientHost, "/"))
	}
	slices.Sort(hosts)
	return fmt.Errorf("group %s: %w (%d, on %s; state %s); stop the sink first", group, errMembers, len(d.Members), strings.Join(slices.Compact(hosts), ", "), d.State)
}

// plan works out where the offsets of a group go.
func plan(ctx context.Context, cluster *kadm.Client, group string, c chosen, to goal) ([]move, error) {
	starts, errStarts := cluster.ListStartOffsets(ctx, c.topics...)
	ends, errEnds := cluster.ListCommittedOffsets(ctx, c.topics...)
	if err := errors.Join(errStarts, errEnds, starts.Error(), ends.Error()); err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}
	committed, err := cluster.FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("fetching the offsets of group %s: %w", group, err)
	}
	var times kadm.ListedOffsets
	if to.kind == "time" {
		if times, err = cluster.ListOffsetsAfterMilli(ctx, to.time.UnixMilli(), c.topics...); err != nil {
			return nil, fmt.Errorf("listing offsets by time: %w", err)
		}
	}
	var moves []move
	for _, topic := range slices.Sorted(maps.Keys(ends)) {
		for _, partition := range slices.Sorted(maps.Keys(ends[topic])) {
			if !c.has(topic, partition) {
				continue
			}
			m := move{topic: topic, partition: partition, committed: -1, start: starts[topic][partition].Offset, end: ends[topic][partition].Offset}
			have, ok := committed.Lookup(topic, partition)
			if err := errors.Join(have.Err, consumers.CheckReset(have.Metadata)); ok && err != nil {
				return nil, fmt.Errorf("%s-%d: %w", topic, partition, err)
			} else if ok {
				m.committed, m.epoch = have.At, have.LeaderEpoch
			}
			if to.kind == "current" && m.committed < 0 {
				continue
			}
			m.to, m.epoch = m.target(to, times)
			moves = append(moves, m)
		}
	}
	return moves, nil
}

// target is the offset that a goal is in the partition, with its leader epoch
// where that is known, else -1.
func (m move) target(to goal, times kadm.ListedOffsets) (int64, int32) {
	switch to.kind {
	case "current":
		return m.committed, m.epoch
	case "earliest":
		return m.start, -1
	case "offset":
		return min(max(to.offset, m.start), m.end), -1
	case "time":
		at, ok := times.Lookup(m.topic, m.partition)
		if ok && at.Err == nil && at.Timestamp >= 0 && at.Offset >= 0 {
			return min(at.Offset, m.end), at.LeaderEpoch
		}
	}
	return m.end, -1
}

// printPlan prints what moves.
func printPlan(w io.Writer, moves []move) {
	t := newTable("TOPIC", ">PARTITION", ">COMMITTED", ">TO", ">MOVES BY", ">LEFT TO READ")
	var left int64
	for _, m := range moves {
		by := "-"
		if m.committed >= 0 {
			by = count(m.to - m.committed)
			if m.to > m.committed {
				by = "+" + by
			}
		}
		t.add(m.topic, strconv.Itoa(int(m.partition)), none(m.committed), count(m.to), by, count(m.end-m.to))
		left += m.end - m.to
	}
	t.write(w)
	printf(w, "%d partitions, %s records to read\n", len(moves), count(left))
}

// none is an offset, or a dash for none.
func none(offset int64) string {
	if offset < 0 {
		return "-"
	}
	return count(offset)
}

// commit moves the offsets of a group without members, and keeps beside each
// what metadata says of it.
func commit(ctx context.Context, cluster *kadm.Client, group string, moves []move, metadata func(move) string) error {
	offsets := make(kadm.Offsets)
	for _, m := range moves {
		offsets.Add(kadm.Offset{Topic: m.topic, Partition: m.partition, At: m.to, LeaderEpoch: m.epoch, Metadata: metadata(m)})
	}
	answers, err := cluster.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("committing offsets of group %s: %w", group, err)
	}
	return nil
}
