package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/kafka"
)

// realTopic makes a topic of 3 partitions on Apache Kafka, with its own group name.
func realTopic(t testing.TB, configs map[string]string) (addr, topic, name string, cl *kgo.Client) {
	t.Helper()
	addr, topic = servers.Kafka(t), servers.Unique(t, "runtime")
	cl = connect(t, addr)
	if _, err := kafka.CreateTopics(context.Background(), cl, kafka.Topic{Name: topic, Partitions: 3, Configs: configs}); err != nil {
		t.Fatal(err)
	}
	return addr, topic, "c-" + topic, cl
}

// onKafka is the setup of a runner for a topic of realTopic.
func onKafka(addr, topic, name string, s *target, more ...string) setup {
	properties := map[string]string{"name": name, "topics": topic}
	for i := 0; i < len(more); i += 2 {
		properties[more[i]] = more[i+1]
	}
	return setup{addr: addr, writer: s, properties: properties}
}

// TestLagReachesZeroPastTransactionMarkers: the last offset of a transactional
// topic is a marker, which is no record.
func TestLagReachesZeroPastTransactionMarkers(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	tx := connect(t, addr, kgo.TransactionalID(topic))
	for i := range 4 {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for part := range int32(3) {
			produce(t, tx, flat(topic, part, int(part)*100+i, i))
		}
		if err := tx.EndTransaction(context.Background(), i%2 == 0); err != nil { // every other one is aborted
			t.Fatal(err)
		}
	}
	s := newTarget()
	r := onKafka(addr, topic, name, s).build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	ends, err := kadm.NewClient(cl).ListEndOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for part := range int32(3) {
		end, _ := ends.Lookup(topic, part)
		if o, _ := committedOffsets(t, cl, "weir-"+name).Lookup(topic, part); o.At != end.Offset || end.Offset != 8 {
			t.Errorf("partition %d: committed %d of %d", part, o.At, end.Offset)
		}
	}
	if s.size() != 6 || s.writes != 6 {
		t.Errorf("%d rows after %d writes: aborted records were read", s.size(), s.writes)
	}
}

// TestOpenTransactionsAreNotRead until they are committed.
func TestOpenTransactionsAreNotRead(t *testing.T) {
	t.Parallel()
	addr, topic, name, _ := realTopic(t, nil)
	tx := connect(t, addr, kgo.TransactionalID(topic))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, tx, flat(topic, 0, 1, 1))
	s := newTarget()
	r := onKafka(addr, topic, name, s).build(t)
	start(t, r)
	caughtUp(t, r, 3)
	time.Sleep(300 * time.Millisecond)
	if s.size() != 0 {
		t.Error("an open transaction was read")
	}
	if err := tx.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if s.size() != 1 {
			return errors.New("the committed record is missing")
		}
		return nil
	})
	caughtUp(t, r, 3)
}

// TestTwoRunnersShareTheGroup: partitions move, nothing is lost, and each is
// worked on by one of them.
func TestTwoRunnersShareTheGroup(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	s := newTarget()
	a := onKafka(addr, topic, name, s).build(t)
	stopA := start(t, a)
	caughtUp(t, a, 3)
	feed, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-feed:
				return
			default:
				produce(t, cl, flat(topic, int32(i%3), i%30, i))
			}
		}
	}()
	b := onKafka(addr, topic, name, s).build(t)
	start(t, b)
	shared := func() error {
		na, nb := len(a.Status().Tasks), len(b.Status().Tasks)
		if na+nb != 3 || na == 0 || nb == 0 {
			return fmt.Errorf("%d and %d partitions", na, nb)
		}
		return nil
	}
	eventually(t, shared)
	time.Sleep(500 * time.Millisecond)
	stopA()
	close(feed)
	<-ended
	caughtUp(t, b, 3)
	end, err := kadm.NewClient(cl).ListEndOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range int32(3) {
		seen := map[int64]bool{}
		for _, o := range s.order[fmt.Sprintf("%s-%d", topic, part)] {
			seen[o] = true
		}
		if e, _ := end.Lookup(topic, part); int64(len(seen)) != e.Offset {
			t.Errorf("partition %d: %d of %d offsets", part, len(seen), e.Offset)
		}
	}
}

// TestRevokeUnderAStuckWriter: the partition goes to the other member within
// 5 s though the target of this one hangs and is deaf, and what this one had
// not committed stays uncommitted, also when its write comes back.
func TestRevokeUnderAStuckWriter(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	stuck := newTarget()
	inside, release := make(chan bool, 10), make(chan bool)
	stuck.before = func(context.Context, []*cdc.Record) error {
		inside <- true
		<-release // deaf to its context
		return nil
	}
	more := []string{"consumer.override.session.timeout.ms", "30000", "consumer.override.max.poll.interval.ms", "30000"}
	a := onKafka(addr, topic, name, stuck, more...).build(t)
	stopA := start(t, a)
	caughtUp(t, a, 3)
	for part := range int32(3) {
		produce(t, cl, flat(topic, part, int(part), 1))
	}
	for range 3 {
		<-inside
	}
	good := newTarget()
	b := onKafka(addr, topic, name, good, more...).build(t)
	began := time.Now()
	start(t, b)
	eventually(t, func() error {
		if n := len(b.Status().Tasks); n == 0 {
			return errors.New("the other member has no partition")
		}
		return nil
	})
	// One heartbeat until the member hears of it, then at most 5 s.
	if took := time.Since(began); took < time.Second || took > revokeWithin+3*time.Second {
		t.Errorf("took %v", took)
	}
	mine := b.Status().Tasks[0]
	eventually(t, func() error {
		if got := b.Status().Tasks[0]; got.Committed != 1 {
			return fmt.Errorf("committed %d", got.Committed)
		}
		return nil
	})
	// Something else moves what the new owner has committed; if the old owner
	// committed when its write comes back, it would move it again.
	before, _ := committedOffsets(t, cl, "weir-"+name).Lookup(topic, mine.Partition.Partition)
	close(release)
	time.Sleep(time.Second)
	after, _ := committedOffsets(t, cl, "weir-"+name).Lookup(topic, mine.Partition.Partition)
	if before != after {
		t.Errorf("committed %v, then %v", before, after)
	}
	stopA()
	caughtUp(t, b, 3)
}

// TestALeaseThatEndedCommitsNothing: the broker would accept it, since the
// member is in the group and the generation is the current one.
func TestALeaseThatEndedCommitsNothing(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	g := newGate(name, commitTimeout, kgo.NewOffset().AtStart())
	leases := make(chan *Lease, 10)
	g.begun = func(l *Lease) { leases <- l }
	member := connect(t, addr, append(g.options(), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.StickyBalancer()))...)
	l := <-leases
	if err := l.Commit(context.Background(), 7, -1, "first"); err != nil {
		t.Fatal(err)
	}
	g.end(map[string][]int32{topic: {l.Partition()}}, false)
	if err := l.Commit(context.Background(), 3, -1, "late"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if o, _ := committedOffsets(t, cl, name).Lookup(topic, l.Partition()); o.At != 7 || o.Metadata != "first" {
		t.Errorf("committed %+v", o)
	}
	// The broker itself does not mind: that is why the gate has to.
	id, gen := member.GroupMetadata()
	req := commitRequest(name, l.part, l.topicID, Committed{3, -1, "late"})
	req.MemberID, req.Generation = id, gen
	resp, err := req.RequestWith(context.Background(), cl)
	if err != nil || commitAnswer(resp) != nil {
		t.Errorf("the broker answers %v, %v", err, commitAnswer(resp))
	}
}

// TestAZombieIsFenced: a member that the group has removed burns its client.
func TestAZombieIsFenced(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	g := newGate(name, commitTimeout, kgo.NewOffset().AtStart())
	leases := make(chan *Lease, 10)
	g.begun = func(l *Lease) { leases <- l }
	member := connect(t, addr, append(g.options(), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(14*time.Second), kgo.SessionTimeout(45*time.Second))...)
	l := <-leases
	id, _ := member.GroupMetadata()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = name
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = id
	req.Members = append(req.Members, m)
	if resp, err := req.RequestWith(context.Background(), cl); err != nil || kerr.ErrorForCode(resp.ErrorCode) != nil {
		t.Fatal(err)
	}
	if err := l.Commit(context.Background(), 1, -1, "zombie"); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v", err)
	}
	select {
	case <-g.dead:
	default:
		t.Error("the client lives on")
	}
	if err := l.Commit(context.Background(), 1, -1, "zombie"); !errors.Is(err, ErrFenced) {
		t.Errorf("then got %v", err)
	}
	if o, ok := committedOffsets(t, cl, name).Lookup(topic, l.Partition()); ok {
		t.Errorf("committed %+v", o)
	}
}

// TestDeadLettersComeBeforeTheirOffset: errors.tolerance=all.
func TestDeadLettersComeBeforeTheirOffset(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	bad := &kgo.Record{Topic: topic, Key: []byte(`{"id":2}`), Value: []byte(`{"id":2,`), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
	badKey := &kgo.Record{Topic: topic, Key: []byte(`{`), Value: []byte(`{"id":3}`)}
	produce(t, cl, flat(topic, 0, 1, 1), bad, badKey, flat(topic, 0, 4, 1), flat(topic, 0, 5, 1))
	s := newTarget()
	s.after = rejectIDs(4)
	dlq := servers.Unique(t, "letters")
	r := onKafka(addr, topic, name, s, "errors.tolerance", "all", "errors.deadletterqueue.topic.name", dlq,
		"errors.deadletterqueue.context.headers.enable", "true").build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	if _, ok := s.get(topic + `/{"id":5}`); !ok {
		t.Error("the record behind is missing")
	}
	letters := map[string]*kgo.Record{}
	for _, l := range consume(t, addr, dlq, 3) {
		letters[string(l.Key)] = l
	}
	for key, want := range map[string]map[string]string{
		`{"id":2}`: {"h": "v", "topic": topic, "partition": "0", "offset": "1", "stage": "VALUE_CONVERTER", "connector.name": name, "task.id": "0",
			"class.name": jsonConverter, "exception.class.name": "org.apache.kafka.connect.errors.DataException"},
		`{`:        {"offset": "2", "stage": "KEY_CONVERTER"},
		`{"id":4}`: {"offset": "3", "stage": "TASK_PUT", "exception.message": "offset 3 of " + topic + `-0, key {"id":4} (TASK_PUT): no room for it`},
	} {
		got := letters[key]
		if got == nil {
			t.Errorf("no dead letter with key %s", key)
			continue
		}
		headers := map[string]string{}
		for _, h := range got.Headers {
			headers[strings.TrimPrefix(h.Key, headerPrefix)] = string(h.Value)
		}
		for name, text := range want {
			if headers[name] != text {
				t.Errorf("%s: header %s is %q, want %q", key, name, headers[name], text)
			}
		}
	}
	if got := letters[`{"id":2}`]; string(got.Value) != `{"id":2,` {
		t.Errorf("the dead letter is %s", got.Value)
	}
}

// TestLettersOfOldRecordsAreKeptFromWhenTheyAreWritten: the topic that Weir makes
// drops by the time of writing, and a record's own time is in a header.
func TestLettersOfOldRecordsAreKeptFromWhenTheyAreWritten(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	old := time.Now().Add(-30 * 24 * time.Hour)
	bad := &kgo.Record{Topic: topic, Key: []byte(`{"id":1}`), Value: []byte(`{"id":`), Timestamp: old}
	produce(t, cl, bad)
	r := onKafka(addr, topic, name, newTarget(), "errors.tolerance", "all").build(t)
	began := time.Now()
	start(t, r)
	caughtUp(t, r, 3)
	letter := consume(t, addr, name+"-dlq", 1)[0]
	if letter.Timestamp.Before(began.Add(-time.Minute)) {
		t.Errorf("the letter counts from %v: by Kafka's default it is dropped at once", letter.Timestamp)
	}
	at := slices.IndexFunc(letter.Headers, func(h kgo.RecordHeader) bool { return h.Key == "weir.timestamp" })
	if at < 0 || string(letter.Headers[at].Value) != strconv.FormatInt(old.UnixMilli(), 10) {
		t.Errorf("the record's time %d is not in headers %v", old.UnixMilli(), letter.Headers)
	}
}

// TestATopicThatDropsOldLettersIsSaid: one that exists, and drops letters by the
// time of their records, is said at the start and once.
func TestATopicThatDropsOldLettersIsSaid(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		configs map[string]string
		said    int
	}{
		"by their own time":    {map[string]string{"retention.ms": "604800000"}, 1},
		"by the time of write": {map[string]string{"retention.ms": "604800000", "message.timestamp.type": "LogAppendTime"}, 0},
		"never":                {map[string]string{"retention.ms": "-1"}, 0},
	} {
		t.Run(what, func(t *testing.T) {
			addr, topic, name, cl := realTopic(t, nil)
			if _, err := kafka.CreateTopics(t.Context(), cl, kafka.Topic{Name: name + "-dlq", Partitions: 1, Configs: c.configs}); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error { // the broker may not know yet what its controller has made
				_, err := kafka.TopicRetention(t.Context(), cl, name+"-dlq")
				return err
			})
			o := onKafka(addr, topic, name, newTarget(), "errors.tolerance", "all").options(t)
			core, said := observer.New(zap.WarnLevel)
			o.Log = zap.New(core)
			r, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			start(t, r)
			about := func() int { return said.FilterField(zap.String("topic", name+"-dlq")).Len() }
			eventually(t, func() error {
				if n := about(); n < c.said {
					return fmt.Errorf("said %d times", n)
				}
				return nil
			})
			produce(t, cl, &kgo.Record{Topic: topic, Key: []byte(`{"id":1}`), Value: []byte(`{"id":`)})
			consume(t, addr, name+"-dlq", 1)
			if n := about(); n != c.said {
				t.Errorf("said %d times: %v", n, said.All())
			}
		})
	}
}

// TestAnOffsetWaitsForItsDeadLetter: while the dead letter topic does not take
// the record, its offset is not committed.
func TestAnOffsetWaitsForItsDeadLetter(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	produce(t, cl, flat(topic, 0, 1, 1), &kgo.Record{Topic: topic, Key: []byte(`{"id":2}`), Value: []byte(strings.Repeat("x", 5000))}, flat(topic, 0, 3, 1))
	dlq := servers.Unique(t, "letters")
	if _, err := kafka.CreateTopics(context.Background(), cl, kafka.Topic{Name: dlq, Partitions: 1, Configs: map[string]string{"max.message.bytes": "1000"}}); err != nil {
		t.Fatal(err)
	}
	s := newTarget()
	r := onKafka(addr, topic, name, s, "errors.tolerance", "all", "errors.deadletterqueue.topic.name", dlq,
		"producer.override.compression.type", "none").build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].Problem == nil || !strings.Contains(st.Tasks[0].Problem.Text, "dead letter topic") {
			return fmt.Errorf("no reason: %s", describe(r))
		}
		return nil
	})
	if o, ok := committedOffsets(t, cl, "weir-"+name).Lookup(topic, 0); ok && o.At > 1 {
		t.Errorf("committed %d", o.At)
	}
	if err := kafka.AlterTopic(context.Background(), cl, dlq, map[string]string{"max.message.bytes": "1000000"}); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, r, 3)
	consume(t, addr, dlq, 1)
}

// TestTombstoneHorizon: a sink that comes back after deletes may be gone
// refuses; a mark of a reset lifts that once.
func TestTombstoneHorizon(t *testing.T) {
	t.Parallel()
	hour := strconv.FormatInt(time.Hour.Milliseconds(), 10)
	addr, topic, name, cl := realTopic(t, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": hour, "message.timestamp.before.max.ms": strconv.FormatInt(1<<50, 10)})
	old := func(part int32, id int) *kgo.Record {
		r := flat(topic, part, id, 1)
		r.Timestamp = time.Now().Add(-2 * time.Hour)
		return r
	}
	s := newTarget()
	run := func(more ...string) (*Runner, func()) {
		r := onKafka(addr, topic, name, s, more...).build(t)
		return r, start(t, r)
	}
	produce(t, cl, old(0, 1), old(1, 2))
	r, stop := run() // a first start is no return: old records are read
	caughtUp(t, r, 3)
	stop()

	// The sink is away. Long after that, in partition 0 old records wait, in
	// partition 1 only young ones.
	setMarks(t, cl, "weir-"+name, topic, time.Now().Add(-3*time.Hour))
	produce(t, cl, old(0, 3), flat(topic, 0, 4, 1), flat(topic, 1, 5, 1))
	r, stop = run()
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[1].Lag.Records != 0 || st.Tasks[2].State != admin.Running {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	if p := r.Status().Tasks[0].Problem; !strings.Contains(p.Text, "tombstone horizon") || !strings.Contains(p.Do, "rebuild") {
		t.Errorf("problem %+v", p)
	}
	stop()
	if o, _ := committedOffsets(t, cl, "weir-"+name).Lookup(topic, 0); o.At != 1 {
		t.Errorf("committed %d", o.At)
	}

	// weirctl reset marks its commit with the time: that lifts the rule.
	setMarks(t, cl, "weir-"+name, topic, time.Now())
	r, stop = run()
	caughtUp(t, r, 3)
	stop()

	// A topic that is not compacted keeps no tombstones to miss.
	setMarks(t, cl, "weir-"+name, topic, time.Now().Add(-3*time.Hour))
	produce(t, cl, old(0, 6))
	if err := kafka.AlterTopic(context.Background(), cl, topic, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}); err != nil {
		t.Fatal(err)
	}
	r, stop = run()
	caughtUp(t, r, 3)
	stop()
}

// setMarks commits what is committed again, with another time in the mark.
func setMarks(t testing.TB, cl *kgo.Client, group, topic string, since time.Time) {
	t.Helper()
	adm := kadm.NewClient(cl)
	offsets := kadm.Offsets{}
	for _, o := range committedOffsets(t, cl, group).Sorted() {
		m, _, err := parseMark(o.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		m.since = since
		offsets.Add(kadm.Offset{Topic: topic, Partition: o.Partition, At: o.At, LeaderEpoch: -1, Metadata: m.String()})
	}
	eventually(t, func() error { return adm.CommitAllOffsets(context.Background(), group, offsets) })
}

// TestRecordsThatWereRemovedUnread stop their partition.
func TestRecordsThatWereRemovedUnread(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	s := newTarget()
	r := onKafka(addr, topic, name, s).build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	for i := range 5 {
		produce(t, cl, flat(topic, 0, i, i))
	}
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3})
	if _, err := kadm.NewClient(cl).DeleteRecords(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	r = onKafka(addr, topic, name, s).build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || st.Tasks[1].State != admin.Running || !strings.Contains(st.Tasks[0].Problem.Text, "removed") {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	if s.size() != 0 {
		t.Errorf("%d rows", s.size())
	}
}

// TestATopicThatWasCreatedAgain is not read on from the old offset.
func TestATopicThatWasCreatedAgain(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	produce(t, cl, flat(topic, 0, 1, 1), flat(topic, 0, 2, 1))
	s := newTarget()
	r := onKafka(addr, topic, name, s).build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	recreate(t, cl, topic)
	for i := range 4 {
		produce(t, connect(t, addr), flat(topic, 0, 10+i, 1))
	}
	// The broker forgets offsets of a deleted topic; one that still has them is
	// played here.
	setOldMarks(t, cl, "weir-"+name, topic)
	r = onKafka(addr, topic, name, s).build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) != 3 || st.Tasks[0].State != admin.Failed || !strings.Contains(st.Tasks[0].Problem.Text, "created again") {
			return fmt.Errorf("%s", describe(r))
		}
		return nil
	})
	if s.size() != 2 {
		t.Errorf("%d rows", s.size())
	}
}

// TestOffsetsOfATopicCreatedAnewStop: the broker has forgotten the offsets of the
// old topic, and those of the new one are lower than the versions of the target.
func TestOffsetsOfATopicCreatedAnewStop(t *testing.T) {
	t.Parallel()
	addr, topic, name, cl := realTopic(t, nil)
	for n := range 10 {
		produce(t, cl, flat(topic, 0, 1, n))
	}
	s := newTarget()
	s.before = admitting(map[string]string{})
	r := onKafka(addr, topic, name, s).build(t)
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	recreate(t, cl, topic)
	produce(t, connect(t, addr), flat(topic, 0, 1, 100))
	r = onKafka(addr, topic, name, s).build(t)
	start(t, r)
	eventually(t, func() error {
		st := r.Status()
		if len(st.Tasks) == 3 && st.Tasks[0].State == admin.Failed {
			return nil
		}
		if row, _ := s.get(topic + `/{"id":1}`); st.Lag.Records == 0 && len(st.Tasks) == 3 && st.Tasks[0].Committed == 1 {
			t.Fatalf("all is written, and the target has %s", row.text)
		}
		return fmt.Errorf("%s", describe(r))
	})
	if p := r.Status().Tasks[0].Problem; !strings.Contains(p.Text, "cannot be compared") {
		t.Errorf("problem %+v", p)
	}
}

// TestOffsetsAfterPartitionsWereAddedStop: a key's records go to another partition
// from then on, where offsets are lower; also while the sink was down.
func TestOffsetsAfterPartitionsWereAddedStop(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down %t", down), func(t *testing.T) {
			_, addr := fake(t, "orders")
			cl := connect(t, addr)
			s := newTarget()
			s.before = admitting(map[string]string{})
			o := setup{addr: addr, writer: s, properties: map[string]string{"topics": "orders"}}
			r := o.build(t)
			stop := start(t, r)
			for n := range 10 {
				produce(t, cl, flat("orders", 0, 1, n))
			}
			caughtUp(t, r, 3)
			if down {
				stop()
			}
			if _, err := kadm.NewClient(cl).CreatePartitions(t.Context(), 1, "orders"); err != nil {
				t.Fatal(err)
			}
			if down {
				r = o.build(t)
				start(t, r)
			}
			cl = connect(t, addr)
			produce(t, cl, flat("orders", 3, 1, 100))
			eventually(t, func() error {
				st := r.Status()
				if len(st.Tasks) != 4 || st.Tasks[3].State != admin.Failed {
					return fmt.Errorf("%s", describe(r))
				}
				return nil
			})
			produce(t, cl, flat("orders", 1, 2, 100)) // keys move between those that were there, too
			eventually(t, func() error {
				if st := r.Status(); st.Tasks[1].State != admin.Failed {
					return fmt.Errorf("%s", describe(r))
				}
				return nil
			})
			if row, _ := s.get(`orders/{"id":1}`); row.text != `{"id":1,"n":9}` {
				t.Errorf("the target has %s", row.text)
			}
		})
	}
}

func recreate(t testing.TB, cl *kgo.Client, topic string) {
	t.Helper()
	adm := kadm.NewClient(cl)
	if _, err := adm.DeleteTopics(context.Background(), topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		created, err := kafka.CreateTopics(context.Background(), cl, kafka.Topic{Name: topic, Partitions: 3})
		if err == nil && len(created) == 0 {
			err = errors.New("the old topic is still there")
		}
		return err
	})
}

// setOldMarks commits offset 2 of partition 0 with another topic's id.
func setOldMarks(t testing.TB, cl *kgo.Client, group, topic string) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 2, LeaderEpoch: -1, Metadata: mark{topicID: [16]byte{1}}.String()})
	eventually(t, func() error { return kadm.NewClient(cl).CommitAllOffsets(context.Background(), group, offsets) })
}
