package consumers

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// witness reads along at the brokers: who was assigned what in which
// generation, which commits were accepted, and which dead letters were taken.
// What must not be accepted, it writes down:
//
//   - a commit of a member that does not own the partition in its generation,
//   - a commit that takes the group back,
//   - one past a record that is neither durable nor a dead letter: see gaps.
type witness struct {
	dice *dice
	// durable says whether a record is in the target. It is called while a
	// commit arrives.
	durable func(part int32, offset int64) bool

	mu       sync.Mutex
	owners   map[string]bool // "generation member partition"
	letters  map[string]bool // "partition/offset"
	next     map[int32]int64 // one past the last offset that was looked at
	high     map[int32]int64 // the highest offset that was accepted and answered
	gaps     map[string]string
	accepted []witnessed
	bad      []string
}

// witnessed is a commit.
type witnessed struct {
	member     string
	generation int32
	part       int32
	Committed
}

func newWitness(d *dice) *witness {
	return &witness{
		dice: d, durable: func(int32, int64) bool { return true }, owners: map[string]bool{}, letters: map[string]bool{},
		next: map[int32]int64{}, high: map[int32]int64{}, gaps: map[string]string{},
	}
}

// watch reads along on a connection, at the broker's end of it or the client's.
func (w *witness) watch(in net.Conn, broker bool) net.Conn {
	return &seen{Conn: in, w: w, broker: broker, pending: map[int32]question{}}
}

// seen is a connection that is read along.
type seen struct {
	net.Conn
	w      *witness
	broker bool

	mu        sync.Mutex
	questions []byte // what has come of the next request
	answers   []byte
	pending   map[int32]question
}

// question is a request that was not answered yet. answered may return another
// answer, which is what the client gets.
type question struct {
	request  kmsg.Request
	answered func(kmsg.Response) (instead kmsg.Response)
}

func (s *seen) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.broker {
		s.asked(b[:n])
	} else {
		s.told(b[:n])
	}
	return n, err
}

func (s *seen) Write(b []byte) (int, error) {
	if !s.broker {
		s.asked(b)
		return s.Conn.Write(b)
	}
	if _, err := s.Conn.Write(s.told(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// frames cuts what has come into requests or answers.
func frames(kept, b []byte, each func([]byte)) []byte {
	kept = append(kept, b...)
	for len(kept) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(kept))
		if len(kept) < n {
			break
		}
		each(kept[4:n])
		kept = kept[n:]
	}
	return kept
}

// asked reads requests.
func (s *seen) asked(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions = frames(s.questions, b, func(frame []byte) {
		r := kbin.Reader{Src: frame}
		key, version, id := r.Int16(), r.Int16(), r.Int32()
		if !slices.Contains([]int16{produceKey, offsetCommitKey, syncGroupKey}, key) {
			return
		}
		r.NullableString()
		request := kmsg.RequestForKey(key)
		request.SetVersion(version)
		if request.IsFlexible() {
			kmsg.SkipTags(&r)
		}
		if request.ReadFrom(slices.Clone(r.Src)) == nil {
			s.pending[id] = question{request, s.w.ask(request)}
		}
	})
}

// told reads answers and returns what to pass on.
func (s *seen) told(b []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = frames(s.answers, b, func(frame []byte) {
		r := kbin.Reader{Src: frame}
		id := r.Int32()
		q, ok := s.pending[id]
		if !ok {
			return
		}
		delete(s.pending, id)
		if q.request.IsFlexible() {
			kmsg.SkipTags(&r)
		}
		answer := q.request.ResponseKind()
		if answer.ReadFrom(slices.Clone(r.Src)) != nil {
			return
		}
		if instead := q.answered(answer); instead != nil && len(frame)+4 == len(b) { // all of it came at once
			b = framed(id, instead)
		}
	})
	return b
}

// framed is an answer as it goes over the wire.
func framed(id int32, answer kmsg.Response) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(id))
	if answer.IsFlexible() {
		b = append(b, 0) // no tags
	}
	b = answer.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// ask takes a request and returns what takes its answer.
func (w *witness) ask(request kmsg.Request) func(kmsg.Response) kmsg.Response {
	switch q := request.(type) {
	case *kmsg.OffsetCommitRequest:
		return w.commits(q)
	case *kmsg.SyncGroupRequest:
		return func(a kmsg.Response) kmsg.Response {
			w.assigned(q, a.(*kmsg.SyncGroupResponse))
			return nil
		}
	case *kmsg.ProduceRequest:
		letters := lettersIn(q)
		return func(a kmsg.Response) kmsg.Response {
			w.wrote(letters, a.(*kmsg.ProduceResponse))
			return nil
		}
	}
	return unanswered
}

func unanswered(kmsg.Response) kmsg.Response { return nil }

// assigned notes what a member owns in a generation.
func (w *witness) assigned(q *kmsg.SyncGroupRequest, a *kmsg.SyncGroupResponse) {
	var assignment kmsg.ConsumerMemberAssignment
	if a.ErrorCode != 0 || assignment.ReadFrom(a.MemberAssignment) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range assignment.Topics {
		for _, part := range t.Partitions {
			w.owners[ownerOf(q.Generation, q.MemberID, part)] = true
		}
	}
}

func ownerOf(generation int32, member string, part int32) string {
	return fmt.Sprintf("%d %s %d", generation, member, part)
}

// commits looks at a commit that arrives, and judges it if it is accepted. Now
// and then the answer is then that of a coordinator that has it in its log, but
// could not replicate it in time.
func (w *witness) commits(q *kmsg.OffsetCommitRequest) func(kmsg.Response) kmsg.Response {
	if len(q.Topics) != 1 || len(q.Topics[0].Partitions) != 1 || q.MemberID == "" {
		return unanswered // of the test's own
	}
	p := q.Topics[0].Partitions[0]
	c := witnessed{q.MemberID, q.Generation, p.Partition, Committed{p.Offset, p.LeaderEpoch, *p.Metadata}}
	high, gaps := w.arrives(c)
	return func(a kmsg.Response) kmsg.Response {
		answer := a.(*kmsg.OffsetCommitResponse)
		if commitAnswer(answer) != nil {
			return nil
		}
		w.accepts(c, high, gaps)
		if !w.dice.chance(0.03) {
			return nil
		}
		w.dice.count("commits accepted and denied")
		answer.Topics[0].Partitions[0].ErrorCode = kerr.CoordinatorNotAvailable.Code
		return answer
	}
}

// arrives lists what the commit would leave behind that is nowhere, and says
// how far others have committed.
func (w *witness) arrives(c witnessed) (high int64, gaps []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for offset := w.next[c.part]; offset < c.Offset; offset++ {
		if !w.letters[at(c.part, offset)] && !w.durable(c.part, offset) {
			gaps = append(gaps, offset)
		}
	}
	return w.high[c.part], gaps
}

func at(part int32, offset int64) string { return fmt.Sprintf("%d/%d", part, offset) }

// accepts judges a commit that was accepted.
func (w *witness) accepts(c witnessed, high int64, gaps []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, c)
	if !w.owners[ownerOf(c.generation, c.member, c.part)] {
		w.bad = append(w.bad, fmt.Sprintf("offset %d of partition %d was committed by %s in generation %d, which did not own it", c.Offset, c.part, c.member, c.generation))
	}
	if c.Offset < high {
		w.bad = append(w.bad, fmt.Sprintf("partition %d was committed at %d, then at %d", c.part, high, c.Offset))
	}
	if c.Metadata == "" {
		w.bad = append(w.bad, fmt.Sprintf("offset %d of partition %d was committed without metadata", c.Offset, c.part))
	}
	w.high[c.part] = max(w.high[c.part], c.Offset)
	for _, offset := range gaps {
		w.gaps[at(c.part, offset)] = fmt.Sprintf("offset %d was committed by %s", c.Offset, c.member)
	}
	w.next[c.part] = max(w.next[c.part], c.Offset)
}

// lettersIn are the records, "partition/offset", whose dead letters a request
// writes.
func lettersIn(q *kmsg.ProduceRequest) (out []string) {
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			var b kmsg.RecordBatch
			if b.ReadFrom(p.Records) != nil {
				continue
			}
			records, err := kfake.BatchRecords(b)
			if err != nil {
				continue
			}
			for _, r := range records {
				if at := letterOf(r.Headers); at != "" {
					out = append(out, at)
				}
			}
		}
	}
	return out
}

// letterOf says which record a dead letter is, "" if it is none.
func letterOf(headers []kmsg.Header) string {
	var part, offset string
	for _, h := range headers {
		switch h.Key {
		case headerPrefix + "partition":
			part = string(h.Value)
		case headerPrefix + "offset":
			offset = string(h.Value)
		}
	}
	if part == "" {
		return ""
	}
	return part + "/" + offset
}

// wrote notes dead letters that were taken.
func (w *witness) wrote(letters []string, a *kmsg.ProduceResponse) {
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range letters {
		w.letters[at] = true
	}
}

// judge says what must not have been, for the records that count: those that
// are, "partition/offset", in expect.
func (w *witness) judge(expect map[string]bool) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := slices.Clone(w.bad)
	for at, when := range w.gaps {
		if expect[at] {
			bad = append(bad, fmt.Sprintf("record %s was nowhere when %s", at, when))
		}
	}
	return bad
}
