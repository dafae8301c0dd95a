package consumers

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// seekAgain is how long a poll waits while the client does not read a partition
// yet that is to be read from another place.
const seekAgain = 20 * time.Millisecond

// seek is a worker's wish to go on reading from another offset.
type seek struct {
	w      *worker
	offset int64
	done   chan struct{}
}

// errReadFromCommitted burns a client that is to begin where was committed.
var errReadFromCommitted = errors.New("partitions are read again from before")

// othersGoBack is how long a client lives on so that the other partitions can
// commit where they go back to, too.
const othersGoBack = time.Second

// readFrom lets the worker's partition be read from offset, which is committed. A
// client that has not begun to read the partition may still be asking where its
// committed offset is after an election, and forgets where it was moved to when
// that is answered: it is replaced, and the next one begins there.
func (w *worker) readFrom(ctx context.Context, offset int64) error {
	if w.inbox.wasFed() {
		return w.seek(ctx, offset)
	}
	select {
	case <-time.After(othersGoBack):
		return w.lease.gate.fail(errReadFromCommitted)
	case <-w.draining:
		return errDrained
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seek lets the worker's partition be read from offset. What was fetched and not
// taken is dropped. It returns when the next record is one of that offset or a
// later one.
func (w *worker) seek(ctx context.Context, offset int64) error {
	s := &seek{w, offset, make(chan struct{})}
	w.life.ask(s)
	select {
	case <-s.done:
	case <-w.draining:
		return errDrained
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.expect = offset
	return nil
}

// ask hands the wish to the poll loop: while it polls nothing else moves what
// the client reads.
func (l *life) ask(s *seek) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seeks = append(l.seeks, s)
	if l.wake != nil {
		l.wake()
	}
}

// fetch polls until there are records, or a worker wants to read from elsewhere.
func (l *life) fetch(ctx context.Context) kgo.Fetches {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.wake = cancel
	waiting := len(l.seeks) > 0
	l.mu.Unlock()
	if waiting {
		defer time.AfterFunc(seekAgain, cancel).Stop()
	}
	return l.client.PollFetches(ctx)
}

// doSeeks moves partitions; those that the client does not read yet stay on the
// list. A wish of a lease that ended ends with it.
func (l *life) doSeeks() {
	l.mu.Lock()
	seeks := l.seeks
	l.seeks = nil
	l.mu.Unlock()
	for _, s := range seeks {
		lease := s.w.lease
		switch {
		case l.worker(lease.Topic(), lease.Partition()) != s.w:
		case !moveFetch(l.client, lease.part, s.offset):
			l.mu.Lock()
			l.seeks = append(l.seeks, s)
			l.mu.Unlock()
		default:
			s.w.inbox.clear()
			close(s.done)
		}
	}
}

// moveFetch moves the client's place in a partition, and reports whether it did:
// a lease begins a little before the client has noted where it reads.
func moveFetch(cl *kgo.Client, at partition, offset int64) bool {
	to := kgo.EpochOffset{Epoch: -1, Offset: offset}
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.number: to}})
	now, ok := cl.CommittedOffsets()[at.topic][at.number]
	return ok && now == to
}
