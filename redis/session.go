package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// How much of a session is remembered beside an offset.
const (
	watchedMost  = 16   // prefixes
	memoryLength = 1500 // bytes of them
)

// session is the work on one partition. It implements sink.Session.
type session struct {
	sink      *Sink
	histories []string          // of the servers when it began
	watched   []string          // the first prefixes it wrote to
	known     map[string]marked // by prefix
	sound     time.Time
}

// marked is what a session knows of the markers of a prefix.
type marked struct {
	text  string
	since time.Time // when they were left; zero: long ago
}

// Reach is redis.rewind.minutes, as sink.Volatile says.
func (s *Sink) Reach() time.Duration { return s.config.Rewind }

// Resume looks whether what was written under memory is still there, as
// sink.Volatile says.
func (s *Sink) Resume(ctx context.Context, memory string) (sink.Session, *sink.Lost, error) {
	was, err := s.parseMemory(memory)
	if err != nil {
		return nil, nil, err
	}
	s.warnOfEviction(ctx)
	now := &session{sink: s, known: map[string]marked{}, sound: time.Now()}
	if now.histories, err = s.histories(ctx); err != nil {
		return nil, nil, err
	}
	var lost *sink.Lost
	if memory != "" {
		lost = changed(was.histories, now.histories)
	}
	if lost != nil {
		s.forgetDomains()
	}
	for _, prefix := range was.watched {
		m, err := was.confirm(ctx, prefix)
		switch {
		case errors.As(err, &lost): // of young markers; they are left anew
			continue
		case err != nil:
			return nil, nil, err
		case lost != nil && m.beat.Before(was.sound.Add(-s.config.Rewind)):
			return nil, nil, stopFor(&EmptiedError{prefix, m.beat})
		}
		now.watch(prefix, was.known[prefix])
	}
	return now, lost, nil
}

// changed says that there is a history among now that was not there before.
// Masters that went away took nothing with them: their slots have another one.
func changed(was, now []string) *sink.Lost {
	for _, id := range now {
		if !slices.Contains(was, id) {
			return &sink.Lost{Reason: fmt.Sprintf("a Redis server began a new history (replication id %s…), by a restart or a failover, and may have lost the last writes that it or its predecessor acknowledged", id)}
		}
	}
	return nil
}

// watch has the markers of a prefix looked at from now on.
func (n *session) watch(prefix string, m marked) {
	n.known[prefix], n.watched = m, append(n.watched, prefix)
	n.sink.lookout.watch(prefix)
}

// confirm returns what the markers of a prefix say, and an error if they are not
// those that the session knows: a *sink.Lost where they were young, so that a
// loss within the reach explains it, else a *sink.Stopped.
func (n *session) confirm(ctx context.Context, prefix string) (markers, error) {
	m, err := n.sink.readMarkers(ctx, prefix)
	if err != nil || m.text() == n.known[prefix].text {
		return m, err
	}
	n.sink.forgetDomains()
	if n.isYoung(prefix) {
		return m, &sink.Lost{Reason: fmt.Sprintf("Redis has lost a marker under %q that was left there not long ago, and with it perhaps other keys", prefix)}
	}
	evicts, err := n.sink.evicts(ctx)
	if err != nil {
		return m, err
	}
	if !evicts {
		return m, stopFor(&EmptiedError{Prefix: prefix})
	}
	n.sink.log.Warn("Redis evicts keys of any kind (maxmemory-policy), and evicted the marker that tells whether it has lost more: it is taken for granted that it has not", zap.String("prefix", prefix))
	if m, err = n.sink.leaveMarkers(ctx, prefix); err == nil {
		n.known[prefix] = marked{m.text(), m.born}
	}
	return m, err
}

// isYoung reports whether the markers of a prefix were left within the reach of
// a loss.
func (n *session) isYoung(prefix string) bool {
	since := n.known[prefix].since
	return !since.IsZero() && n.sound.Sub(since) < n.sink.config.Rewind
}

// Write writes the batch, and looks whether what was written before is there.
func (n *session) Write(ctx context.Context, batch []*cdc.Record) error {
	if err := n.mark(ctx, batch); err != nil {
		return err
	}
	err := n.sink.Write(ctx, batch)
	var rejected *sink.Rejected
	if err != nil && !errors.As(err, &rejected) {
		return err
	}
	if found := n.Check(ctx); found != nil && !passes(found) {
		return found
	}
	return err
}

// passes reports whether an error of Check says only that nobody can look now:
// what is remembered stays as it was, so that a loss will be found later.
func passes(err error) bool {
	var lost *sink.Lost
	var stopped *sink.Stopped
	return !errors.As(err, &lost) && !errors.As(err, &stopped) && !isForbidden(err)
}

// isForbidden reports whether the user may not do it.
func isForbidden(err error) bool {
	return strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "NOAUTH") || strings.Contains(err.Error(), "WRONGPASS")
}

// mark leaves markers under the prefixes that the session writes to first.
func (n *session) mark(ctx context.Context, batch []*cdc.Record) error {
	last := ""
	for i, r := range batch {
		if i > 0 && r.Route == last {
			continue
		}
		last = r.Route
		prefix := n.sink.prefixOf(r.Route)
		if _, ok := n.known[prefix]; ok || len(n.watched) >= watchedMost {
			continue
		}
		m, err := n.sink.leaveMarkers(ctx, prefix)
		if err != nil {
			return err
		}
		n.watch(prefix, marked{m.text(), m.born})
	}
	return nil
}

// Check looks whether what was written before is there.
func (n *session) Check(ctx context.Context) error {
	v, err := n.sink.look(ctx)
	if err != nil {
		return err
	}
	for _, prefix := range n.watched {
		if text, ok := v.markers[prefix]; ok && text != n.known[prefix].text {
			if _, err := n.confirm(ctx, prefix); err != nil { // the look may be older than the marker
				return err
			}
		}
	}
	if lost := changed(n.histories, v.histories); lost != nil {
		return lost
	}
	if v.at.After(n.sound) {
		n.sound = v.at
	}
	return nil
}

// Memory is histories|sound|prefix=markers|prefix=markers@since…, the prefixes
// percent-encoded, times in ms.
func (n *session) Memory() (string, time.Time) {
	var b strings.Builder
	b.WriteString(strings.Join(n.histories, ",") + "|" + strconv.FormatInt(n.sound.UnixMilli(), 10))
	for _, prefix := range n.watched {
		part := "|" + url.QueryEscape(prefix) + "=" + n.known[prefix].text
		if n.isYoung(prefix) {
			part += "@" + strconv.FormatInt(n.known[prefix].since.UnixMilli(), 10)
		}
		if b.Len()+len(part) > memoryLength {
			break
		}
		b.WriteString(part)
	}
	return b.String(), n.sound
}

// parseMemory reads what Memory returned.
func (s *Sink) parseMemory(memory string) (*session, error) {
	n := &session{sink: s, known: map[string]marked{}}
	if memory == "" {
		return n, nil
	}
	bad := &sink.Stopped{Reason: fmt.Errorf("reading what was committed about Redis: %q is of another version of this program", memory), Advice: "use that, or reset the group with weirctl reset"}
	parts := strings.Split(memory, "|")
	if len(parts) < 2 {
		return nil, bad
	}
	n.histories = strings.Split(parts[0], ",")
	var err error
	if n.sound, err = parseMillis(parts[1]); err != nil {
		return nil, bad
	}
	for _, part := range parts[2:] {
		name, text, ok := strings.Cut(part, "=")
		prefix, err := url.QueryUnescape(name)
		text, since, young := strings.Cut(text, "@")
		m := marked{text: text}
		if young && err == nil {
			m.since, err = parseMillis(since)
		}
		if err != nil || !ok {
			return nil, bad
		}
		n.watched, n.known[prefix] = append(n.watched, prefix), m
	}
	return n, nil
}

func parseMillis(text string) (time.Time, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms), err
}

// view is what the servers said of themselves at a moment.
type view struct {
	at        time.Time // before they were asked
	histories []string
	markers   map[string]string // by prefix; of some of them
}

// How often all sessions together look.
const (
	lookEvery    = time.Second
	markersEvery = 5 * time.Second
)

// lookout shares one look at the servers among all sessions. It is safe for
// concurrent use.
type lookout struct {
	looking chan struct{} // has room for the one who looks

	last   view
	err    error
	tried  time.Time
	marked time.Time // when markers were looked at

	watching chan map[string]bool // has the set of prefixes
}

func newLookout() *lookout {
	l := &lookout{looking: make(chan struct{}, 1), watching: make(chan map[string]bool, 1)}
	l.watching <- map[string]bool{}
	return l
}

// watch adds a prefix whose markers are looked at.
func (l *lookout) watch(prefix string) {
	set := <-l.watching
	set[prefix] = true
	l.watching <- set
}

func (l *lookout) watched() []string {
	set := <-l.watching
	defer func() { l.watching <- set }()
	return slices.Collect(maps.Keys(set))
}

// look returns a view that is not older than lookEvery, or why there is none.
func (s *Sink) look(ctx context.Context) (view, error) {
	l := s.lookout
	select {
	case l.looking <- struct{}{}:
		defer func() { <-l.looking }()
	case <-ctx.Done():
		return view{}, ctx.Err()
	}
	if time.Since(l.tried) < lookEvery {
		return l.last, l.err
	}
	v, err := s.lookNow(ctx)
	if ctx.Err() != nil {
		return view{}, ctx.Err()
	}
	l.last, l.err, l.tried = v, err, time.Now()
	return v, err
}

// lookNow asks the servers, and renews the markers.
func (s *Sink) lookNow(ctx context.Context) (v view, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	v.at = time.Now()
	if v.histories, err = s.histories(ctx); err != nil || v.at.Sub(s.lookout.marked) < markersEvery {
		return v, err
	}
	v.markers = map[string]string{}
	for _, prefix := range s.lookout.watched() {
		m, err := s.readMarkers(ctx, prefix)
		if err == nil {
			err = s.renewMarkers(ctx, prefix, m, v.at)
		}
		if err != nil {
			return v, err
		}
		v.markers[prefix] = m.text()
	}
	s.lookout.marked = v.at
	return v, nil
}
