package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
)

const (
	// idleInterval is how often a drained log is reported.
	idleInterval = 200 * time.Millisecond
	// blockSize is about how many bytes of events are handed over at once, and
	// blocks how many such hand-overs there are, so that what is read ahead of
	// the stream is bounded.
	blockSize = 256 << 10
	blocks    = 4
	// drainedAfter is how long nothing must arrive until a log counts as drained.
	// The server sends every event by itself, over TLS in a record of its own,
	// which is all that a read returns: buffers are empty between any two events
	// of a log that the stream is far behind of.
	drainedAfter = time.Millisecond
	// longestPause bounds the pause before a reconnect.
	longestPause = 10 * time.Second
)

// block is some events as they were read, one behind the other.
type block struct {
	bytes   []byte
	ends    []int // of the packets; an event is its packet but for the first byte
	drained bool  // nothing more had arrived when the block was handed over
	err     error // what ended the dump after these
}

// Stream reads the log until ctx ends.
func (s *Source) Stream(ctx context.Context, wake <-chan struct{}, out capture.Stream) error {
	for attempt := 0; ; attempt++ {
		start := time.Now()
		err := s.streamOnce(ctx, wake, out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, capture.ErrUnavailable) {
			return err
		}
		if time.Since(start) > longestPause {
			attempt = 0
		}
		s.log.Warn("reading the binary log broke off, connecting again", zap.Error(err))
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits before an attempt to connect again.
func pause(ctx context.Context, attempt int) error {
	long := min(100*time.Millisecond<<min(attempt, 8), longestPause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(long/2 + rand.N(long/2)):
		return nil
	}
}

// streamOnce reads the log over one connection.
func (s *Source) streamOnce(ctx context.Context, wake <-chan struct{}, out capture.Stream) error {
	d, err := s.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	full, free := make(chan *block), make(chan *block, blocks)
	for range blocks {
		free <- &block{}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { d.Close() })
	go func() {
		defer close(ended)
		readBlocks(ctx, d, free, full)
	}()
	defer func() {
		cancel()
		stop()
		d.Close()
		<-ended
	}()
	return s.newRun(ctx, d.checksum, wake, out).loop(ctx, full, free)
}

// connect opens the dump where the stream stands, on a server that is the one
// of before, or continues it.
func (s *Source) connect(ctx context.Context) (*dump, error) {
	conn, err := s.conn.open(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	defer conn.Close()
	srv, err := identify(ctx, conn)
	if err != nil {
		return nil, unavailable(err)
	}
	if srv.mariadb != s.srv.mariadb || srv.gtid != s.srv.gtid {
		return nil, fmt.Errorf("%w: the server's kind or gtid_mode changed while the capture ran", capture.ErrNoContinuity)
	}
	p := s.place()
	if err := s.continues(ctx, conn, &p); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.served = srv
	s.mu.Unlock()
	s.uuid = srv.uuid
	d, err := s.conn.openDump(ctx, srv.mariadb, s.startAt(&p))
	return d, unavailable(err)
}

// startAt is where the server has to begin: behind GTIDs where there are any,
// for then the server may be another one than before.
func (s *Source) startAt(p *position) start {
	switch {
	case s.srv.mariadb && p.GTIDs != "":
		return start{byGTID: true, mariadbGTIDs: p.GTIDs}
	case s.gtids != nil && p.GTIDs != "":
		set, err := parseGTIDSet(p.GTIDs)
		if err == nil {
			return start{byGTID: true, gtids: set.appendBinary(nil)}
		}
	}
	return start{file: p.File, pos: p.Pos}
}

// readBlocks fills blocks with what the dump sends, until it ends.
func readBlocks(ctx context.Context, d *dump, free <-chan *block, full chan<- *block) {
	for {
		var b *block
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		b.fill(d)
		select {
		case full <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

// fill reads at least one event, and as many more as are there without waiting.
func (b *block) fill(d *dump) {
	b.bytes, b.ends, b.err = b.bytes[:0], b.ends[:0], nil
	if cap(b.bytes) > 8*blockSize {
		b.bytes = nil // a large event's memory is not kept
	}
	for {
		b.bytes, b.err = d.event(b.bytes)
		if b.err != nil {
			break
		}
		b.ends = append(b.ends, len(b.bytes))
		if len(b.bytes) >= blockSize || d.buffered() == 0 {
			break
		}
	}
	b.drained = d.buffered() == 0
}

// run is the stream over one connection.
type run struct {
	ctx      context.Context
	s        *Source
	out      capture.Stream
	parser   *parser
	wake     <-chan struct{}
	asked    bool // wake was received, and Idle not called since
	moved    bool // the position moved without a callback
	drained  bool
	reported time.Time // when Progress was called last
}

func (s *Source) newRun(ctx context.Context, checksum bool, wake <-chan struct{}, out capture.Stream) *run {
	r := &run{ctx: ctx, s: s, out: out, wake: wake}
	r.parser = newParser(checksum, func(m *tableMap) (*plan, error) { return s.plan(ctx, m) })
	r.parser.seek(s.pos)
	s.tx.abandon()
	s.xa.recording = nil
	return r
}

// loop takes blocks until the dump or ctx ends.
func (r *run) loop(ctx context.Context, full <-chan *block, free chan<- *block) error {
	tick, moment := time.NewTicker(idleInterval), time.NewTimer(drainedAfter)
	defer tick.Stop()
	defer moment.Stop()
	for {
		select {
		case b := <-full:
			for b != nil {
				if err := r.take(b); err != nil {
					return err
				}
				free <- b
				b = r.soon(ctx, full, moment)
			}
		case <-r.wake:
			r.asked = true
		case <-tick.C:
			if r.drained {
				r.asked = true
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.idle(); err != nil {
			return err
		}
	}
}

// soon is the next block, if the log only seems to be drained, else nil.
func (r *run) soon(ctx context.Context, full <-chan *block, moment *time.Timer) *block {
	if !r.drained || r.s.tx.open {
		return nil
	}
	moment.Reset(drainedAfter)
	select {
	case b := <-full:
		return b
	case <-moment.C:
	case <-ctx.Done():
	}
	return nil
}

// take handles a block's events.
func (r *run) take(b *block) error {
	from := 0
	for _, end := range b.ends {
		if err := r.event(b.bytes[from+1 : end]); err != nil {
			return err
		}
		from = end
		if !r.s.tx.open {
			if err := r.between(); err != nil {
				return err
			}
		}
	}
	if b.err != nil {
		return ended(b.err)
	}
	if r.drained = b.drained; r.drained {
		r.asked = true
	}
	return nil
}

// between is what has to be looked at between two transactions of a busy log.
func (r *run) between() error {
	select {
	case <-r.wake:
		r.asked, r.drained = true, false
		return r.idle()
	default:
		return nil
	}
}

// idle calls Idle where it is due and possible.
func (r *run) idle() error {
	if !r.asked || r.s.tx.open {
		return nil
	}
	r.asked, r.moved = false, false
	return r.out.Idle(r.drained)
}

// ended says what the end of a dump means.
func ended(err error) error {
	const fatalReading = 1236 // the server cannot read what was asked for
	const sameID = 4052       // of MariaDB: another replica with our server id has come
	switch {
	case isServerError(err, sameID):
		return fmt.Errorf("%w: another replica has the same database.server.id, as the instance has that led before; any other one needs an id of its own: %w", capture.ErrUnavailable, err)
	case isServerError(err, fatalReading):
		return fmt.Errorf("%w: the server refuses to send its log from here: %w", capture.ErrNoContinuity, err)
	case errors.Is(err, io.EOF), errors.Is(err, errSilent):
		return fmt.Errorf("%w: %w", capture.ErrUnavailable, err)
	case answered(err):
		return err
	}
	return fmt.Errorf("%w: %w", capture.ErrUnavailable, err)
}
