package consumers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/failpoint"
)

// How a commit can end other than well.
var (
	// ErrClosed is returned once the lease is over: revoked, lost or fenced.
	// Nothing was committed, nor will be. Drop the partition's state.
	ErrClosed = errors.New("the partition was given up")
	// ErrUnknown is returned when a commit may or may not arrive, now or later.
	// The client never commits again; it is replaced.
	ErrUnknown = errors.New("a commit's outcome is unknown")
	// ErrFenced is returned when the group no longer knows the member. The
	// client is replaced.
	ErrFenced = errors.New("the group no longer knows this member")
)

// gate is the only place of a running sink that commits. It belongs to one
// client, thus to one member id after another, and hands out a lease per
// assigned partition.
//
// The broker checks who commits and for which generation, never who owns the
// partition, so the gate does: a lease ends before the member rejoins, and a
// commit whose fate is unknown is the client's last.
type gate struct {
	group   string
	timeout time.Duration // of one commit's round trip
	start   kgo.Offset    // where a partition without a commit begins
	// begun is told of each new lease, before its first record; ending of the
	// leases that are about to close, and returns when their work has stopped.
	begun func(*Lease)
	// from says where fetching begins for a lease whose group has an offset; nil:
	// at that offset.
	from   func(context.Context, *Lease) (int64, error)
	ending func(leases []*Lease, lost bool)
	judge  func(error) verdict
	// session is how soon a member without heartbeats can be out of the group;
	// begins is sent to when a lease begins.
	session time.Duration
	begins  chan struct{}
	pulse   pulse

	mu     sync.Mutex
	leases map[partition]*Lease
	fatal  error
	dead   chan struct{}
	coord  int32 // the last known coordinator, -1 unknown
}

// partition names a partition of a topic.
type partition struct {
	topic  string
	number int32
}

func newGate(group string, timeout time.Duration, start kgo.Offset) *gate {
	return &gate{
		group: group, timeout: timeout, start: start, judge: judgeAnswer,
		begun: func(*Lease) {}, ending: func([]*Lease, bool) {},
		leases: map[partition]*Lease{}, dead: make(chan struct{}), begins: make(chan struct{}, 1), coord: -1,
	}
}

// options are the client options that the gate's promises rest on.
func (g *gate) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(g.group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // polled records belong to a live lease until AllowRebalance
		kgo.ConsumeStartOffset(g.start),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // lost records are an error, never a jump
		kgo.OnOffsetsFetched(g.fetched),
		kgo.AdjustFetchOffsetsFn(g.settle),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.end(gone, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { g.end(gone, true) }),
	}
}

// err says why the client must be replaced, or nil; dead is closed then.
func (g *gate) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fatal
}

// fail burns the client, for the first reason given.
func (g *gate) fail(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fatal == nil {
		g.fatal = err
		close(g.dead)
	}
	return err
}

// lease is the live lease of a partition, or nil. It is asked for between a
// poll and AllowRebalance.
func (g *gate) lease(topic string, number int32) *Lease {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leases[partition{topic, number}]
}

// lock is a mutex that may be held over network waits inside a testing/synctest
// bubble, where a goroutine blocked on a sync.Mutex would stop the clock.
type lock chan struct{}

// Lock waits until the lock is free and takes it.
func (l lock) Lock() { l <- struct{}{} }

// Unlock frees the lock.
func (l lock) Unlock() { <-l }

// Committed is what the group holds for a partition.
type Committed struct {
	Offset      int64 // -1: none
	LeaderEpoch int32 // -1: unknown
	Metadata    string
}

// Lease is the right to commit for one partition, from the fetch of its offset
// to its revocation or loss. It is safe for concurrent use.
type Lease struct {
	gate    *gate
	client  *kgo.Client
	part    partition
	topicID [16]byte
	member  string // pinned: another one may not commit what this one began
	gen     int32
	start   int64
	done    chan struct{}

	offset atomic.Int64 // of committed, for those who must not wait

	mu        lock // held over a commit's round trip: the end of the lease waits for it
	closed    bool
	committed Committed
}

// Topic is the partition's topic.
func (l *Lease) Topic() string { return l.part.topic }

// Partition is the partition's number.
func (l *Lease) Partition() int32 { return l.part.number }

// TopicID is the id of this incarnation of the topic.
func (l *Lease) TopicID() [16]byte { return l.topicID }

// Done is closed when the lease is about to end.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Start is the offset at which fetching began: the committed one, else where
// auto.offset.reset points.
func (l *Lease) Start() int64 { return l.start }

// Client is the client whose member holds the lease, for questions to the
// brokers. Nobody but the lease commits with it.
func (l *Lease) Client() *kgo.Client { return l.client }

// Committed is what the group holds: as fetched, then as committed here.
func (l *Lease) Committed() Committed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

// Commit commits offset with metadata, which should never be empty: that is how
// an offset set by something else is told apart. epoch is the leader epoch of
// the record before offset, or -1; one older than that would look like a
// truncated log to the next consumer. nil: committed. ErrClosed: not committed
// and never will be. ctx ends the waiting between attempts, never an attempt;
// its error means not committed. Any other error means that the client is burnt
// and the lease about to end.
func (l *Lease) Commit(ctx context.Context, offset int64, epoch int32, metadata string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := Committed{Offset: offset, LeaderEpoch: epoch, Metadata: metadata}
	failpoint.Pass(failpoint.GateCommit)
	if err := l.commit(ctx, next); err != nil {
		return err
	}
	failpoint.Pass(failpoint.GateCommitted)
	l.committed = next
	l.offset.Store(offset)
	return nil
}

// verdict is what a commit's answer means.
type verdict uint8

const (
	applied verdict = iota
	again           // not applied, and cannot come later: the same commit may be sent again
	moved           // not applied, or before all that is sent later: again, after finding the coordinator anew
	fenced          // the member is out for good
	unknown         // it may still arrive
	refused         // a person has to act
)

// judgeAnswer classifies the outcome of one attempt.
func judgeAnswer(err error) verdict {
	if err == nil {
		return applied
	}
	var answer *kerr.Error
	if !errors.As(err, &answer) {
		return unknown
	}
	switch answer {
	case kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.GroupIDNotFound, kerr.FencedMemberEpoch:
		return fenced
	case kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.StaleMemberEpoch:
		return again // the revoke that follows closes the lease
	case kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable:
		return moved
	}
	return refused
}

// commit tries until there is a definite outcome; l.mu is held.
func (l *Lease) commit(ctx context.Context, next Committed) error {
	for try := 0; ; try++ {
		if l.closed {
			return ErrClosed
		}
		if err := l.gate.err(); err != nil {
			return err
		}
		member, gen := l.client.GroupMetadata()
		if member != l.member || member == "" || gen < l.gen || gen < 0 {
			// Generation -1 is accepted from anybody while the group is empty.
			return l.gate.fail(ErrFenced)
		}
		err := l.gate.send(ctx, l, gen, next)
		switch l.gate.judge(err) {
		case applied:
			return nil
		case unknown:
			return l.gate.fail(fmt.Errorf("%w: %w", ErrUnknown, err))
		case fenced:
			return l.gate.fail(ErrFenced)
		case moved:
			l.gate.setCoordinator(-1)
		case refused:
			return l.gate.fail(fmt.Errorf("committing offset %d of %s-%d: %w", next.Offset, l.part.topic, l.part.number, err))
		}
		if err := l.pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt, without the lock, so that a revoke can
// end the lease meanwhile.
func (l *Lease) pause(ctx context.Context, try int) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	t := time.NewTimer(min(50*time.Millisecond<<min(try, 5), time.Second))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err() // the last answer was definite: nothing is on its way
	}
	return nil
}

func (g *gate) setCoordinator(id int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.coord = id
}

// coordinator returns the group's coordinator. It answers like the coordinator
// that is not there when it cannot find one: nothing was sent, which is definite.
func (g *gate) coordinator(ctx context.Context, cl *kgo.Client) (int32, error) {
	g.mu.Lock()
	known := g.coord
	g.mu.Unlock()
	if known >= 0 {
		return known, nil
	}
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = g.group, []string{g.group}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, kerr.CoordinatorNotAvailable
	}
	id, code := resp.NodeID, resp.ErrorCode
	if len(resp.Coordinators) > 0 {
		id, code = resp.Coordinators[0].NodeID, resp.Coordinators[0].ErrorCode
	}
	if code != 0 {
		return 0, kerr.CoordinatorNotAvailable
	}
	g.setCoordinator(id)
	return id, nil
}

// send makes one attempt on the wire. A *kerr.Error is a broker's answer; every
// other error means that the outcome is unknown.
func (g *gate) send(ctx context.Context, l *Lease, gen int32, next Committed) error {
	coord, err := g.coordinator(ctx, l.client)
	if err != nil {
		return err
	}
	req := commitRequest(g.group, l.part, l.topicID, next)
	req.MemberID, req.Generation = l.member, gen
	// The caller's context must not cut the attempt short: that would make its
	// outcome unknown. Broker.Request never sends twice, as Client.Request may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	resp, err := l.client.Broker(int(coord)).Request(ctx, req)
	if err != nil {
		g.setCoordinator(-1)
		return &transportError{err}
	}
	return commitAnswer(resp.(*kmsg.OffsetCommitResponse))
}

func commitRequest(group string, part partition, topicID [16]byte, next Committed) *kmsg.OffsetCommitRequest {
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = part.number, next.Offset, next.LeaderEpoch, kmsg.StringPtr(next.Metadata)
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = part.topic, topicID // from version 10 on only the id is sent
	t.Partitions = append(t.Partitions, p)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	req.Topics = append(req.Topics, t)
	return req
}

func commitAnswer(resp *kmsg.OffsetCommitResponse) error {
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the answer lacks the partition")
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// transportError hides what the client wrapped, so that it is never taken for a
// broker's answer.
type transportError struct{ err error }

func (t *transportError) Error() string { return t.err.Error() }

// fetched opens the leases: the client calls it after join and sync with the
// offsets it fetched after them, before the first record.
func (g *gate) fetched(ctx context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	if err := g.err(); err != nil {
		return err // a burnt client works on nothing
	}
	member, gen := cl.GroupMetadata()
	for _, group := range resp.Groups {
		for _, t := range group.Topics {
			id, err := topicID(ctx, cl, t)
			if err != nil {
				return err // the client rejoins and asks again
			}
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					continue // the client reports it in a fetch and does not assign it
				}
				l := &Lease{
					gate: g, client: cl, part: partition{t.Topic, p.Partition}, topicID: id, member: member, gen: gen,
					start: p.Offset, done: make(chan struct{}), mu: make(lock, 1),
					committed: Committed{Offset: p.Offset, LeaderEpoch: p.LeaderEpoch},
				}
				l.offset.Store(p.Offset)
				if p.Metadata != nil {
					l.committed.Metadata = *p.Metadata
				}
				g.begin(l)
			}
		}
	}
	return nil
}

// begin puts a lease in place; one that the client forgot to end is ended.
func (g *gate) begin(l *Lease) {
	g.end(map[string][]int32{l.part.topic: {l.part.number}}, true)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leases[l.part] = l
	select {
	case g.begins <- struct{}{}:
	default:
	}
}

// settle says where fetching begins, and with that the leases have begun. A
// partition without a commit gets a definite offset, so that a crash before
// its first commit is not a jump under auto.offset.reset=latest.
func (g *gate) settle(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var begun []*Lease
	for topic, parts := range offsets {
		for number := range parts {
			l := g.lease(topic, number)
			if l == nil {
				delete(parts, number)
				continue
			}
			if l.start < 0 && g.start != NoReset.offset() {
				at, err := g.first(ctx, l)
				if err != nil {
					return nil, err
				}
				l.start = at
				parts[number] = kgo.NewOffset().At(at)
			}
			if l.committed.Offset >= 0 && g.from != nil {
				at, err := g.from(ctx, l)
				if err != nil {
					return nil, err
				}
				if at != l.start {
					l.start = at
					parts[number] = kgo.NewOffset().At(at)
				}
			}
			begun = append(begun, l)
		}
	}
	for _, l := range begun {
		g.begun(l)
	}
	return offsets, nil
}

// first resolves where a partition without a commit starts.
func (g *gate) first(ctx context.Context, l *Lease) (int64, error) {
	list := kadm.NewClient(l.client).ListStartOffsets
	if g.start == kgo.NewOffset().AtEnd() {
		list = kadm.NewClient(l.client).ListCommittedOffsets
	}
	offsets, err := list(ctx, l.part.topic)
	if err != nil {
		return 0, fmt.Errorf("listing offsets of %s: %w", l.part.topic, err)
	}
	at, ok := offsets.Lookup(l.part.topic, l.part.number)
	if !ok {
		return 0, fmt.Errorf("listing offsets of %s: no answer for partition %d", l.part.topic, l.part.number)
	}
	return at.Offset, at.Err
}

// topicID is in the offset fetch's answer from version 10 on; older brokers are
// asked for it.
func topicID(ctx context.Context, cl *kgo.Client, t kmsg.OffsetFetchResponseGroupTopic) ([16]byte, error) {
	if t.TopicID != [16]byte{} {
		return t.TopicID, nil
	}
	topics, err := kadm.NewClient(cl).ListTopics(ctx, t.Topic)
	if err != nil {
		return [16]byte{}, fmt.Errorf("reading the id of topic %s: %w", t.Topic, err)
	}
	if err := topics[t.Topic].Err; err != nil {
		return [16]byte{}, fmt.Errorf("reading the id of topic %s: %w", t.Topic, err)
	}
	return topics[t.Topic].ID, nil
}

// end closes leases, after the work on them has stopped. It waits for a commit
// on the wire: the client may get the partition back in the same generation,
// and a commit that still travels would land after the new lease read its
// offset.
func (g *gate) end(gone map[string][]int32, lost bool) {
	var leases []*Lease
	g.mu.Lock()
	for topic, numbers := range gone {
		for _, n := range numbers {
			if l := g.leases[partition{topic, n}]; l != nil {
				leases = append(leases, l)
				delete(g.leases, l.part)
			}
		}
	}
	g.mu.Unlock()
	if len(leases) == 0 {
		return
	}
	for _, l := range leases {
		close(l.done)
	}
	g.ending(leases, lost)
	for _, l := range leases {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
	}
}
