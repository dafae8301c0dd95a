package enrich

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The pauses between attempts.
const (
	missFirst   = 20 * time.Millisecond // until what is missing may have come
	missMost    = 250 * time.Millisecond
	outageFirst = 100 * time.Millisecond // until a server may answer again
	outageMost  = 5 * time.Second
	probeEvery  = time.Second // asking a server that was given up
)

// lookupSource is what look-ups ask.
type lookupSource interface {
	// ask sets found of the questions, or of some of them; an error says why
	// others are open. All are of look-ups of this source.
	ask(ctx context.Context, open []*question) error
	close() error
}

// misconfigured marks an error that waiting does not mend: no null may stand for
// what it hides.
type misconfigured struct{ err error }

func (m *misconfigured) Error() string { return m.err.Error() }
func (m *misconfigured) Unwrap() error { return m.err }

// asking is a source, how it was lately, and how it is counted.
type asking struct {
	kind   string
	source lookupSource
	// patience is how long an outage is waited for; negative: for ever.
	patience time.Duration

	mu    sync.Mutex
	since time.Time // of the outage; zero: there is none
	probe time.Time // not to be asked again before
}

// givenUp reports whether the outage has lasted so long that nobody waits for
// its end, and it is not the time to see whether it has come.
func (a *asking) givenUp(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() || a.patience < 0 || now.Sub(a.since) <= a.patience || !now.Before(a.probe) {
		return false
	}
	return true
}

// answered notes how asking ended and reports whether it is to be given up.
func (a *asking) answered(err error, now time.Time) (giveUp bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var mistake *misconfigured
	if err == nil || errors.As(err, &mistake) { // the server answers
		a.since = time.Time{}
		return false
	}
	if a.since.IsZero() {
		a.since = now
	}
	a.probe = now.Add(probeEvery)
	return a.patience >= 0 && now.Sub(a.since) > a.patience
}

// resolve gets all open questions answered: found, missing for as long as the
// policy waits, or given up.
func (t *lookupTransform) resolve(ctx context.Context) error {
	defer t.waits("")
	defer t.run.measure()
	began, waits := t.now(), pauses{}
	for {
		err := t.askAll(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("looking up: %w", context.Cause(ctx))
		}
		if err != nil {
			began = t.now() // what is missing may come after the outage
		}
		if t.settle(t.now().Sub(began)); len(t.open) == 0 {
			return nil
		}
		if err := t.pause(ctx, &waits, err); err != nil {
			return err
		}
	}
}

// pauses counts the attempts of both kinds.
type pauses struct{ misses, outages int }

// pause waits before the next attempt, and says what for.
func (t *lookupTransform) pause(ctx context.Context, p *pauses, err error) error {
	wait := min(missMost, missFirst<<min(p.misses, 10))
	if err != nil {
		wait = min(outageMost, outageFirst<<min(p.outages, 10))
		if p.outages&(p.outages+1) == 0 { // the 1st, 2nd, 4th, 8th …
			t.run.log.Warn("looking up", zap.Int("keys", len(t.open)), zap.Int("attempt", p.outages+1), zap.Error(err))
		}
		p.outages++
		t.waits("looking up: " + err.Error())
	} else {
		p.misses++
		t.waits(fmt.Sprintf("waiting for what is looked up: %d keys, such as %s", len(t.open), t.open[0].key))
	}
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("looking up: %w", context.Cause(ctx))
	}
}

// lostFound stands for what nobody could be asked for.
var lostFound = &found{missing: true, lost: true}

// askAll asks each source once. Where it does not answer and the time for that
// is over, its questions are answered by nothing.
func (t *lookupTransform) askAll(ctx context.Context) error {
	var errs []error
	for _, a := range t.run.sources {
		open := t.openOf(a)
		if len(open) == 0 {
			continue
		}
		if a.givenUp(t.now()) {
			giveUp(open)
			continue
		}
		err := t.run.ask(ctx, a, open, t.now)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if a.answered(err, t.now()) {
			giveUp(open)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// giveUp answers those that are still open, where the types of the outputs are
// known: they must not depend on whether a server answers.
func giveUp(open []*question) {
	for _, q := range open {
		if q.found == nil && q.lookup.fields.Load() != nil {
			q.found = lostFound
		}
	}
}

func (t *lookupTransform) openOf(a *asking) []*question {
	if len(t.run.sources) == 1 {
		return t.open
	}
	var open []*question
	for _, q := range t.open {
		if q.lookup.at == a {
			open = append(open, q)
		}
	}
	return open
}

// settle keeps the answers; those of keys that are missing once they have been
// waited for.
func (t *lookupTransform) settle(waited time.Duration) {
	now := t.now()
	open := t.open[:0]
	for _, q := range t.open {
		switch f := q.found; {
		case f == nil:
			open = append(open, q)
		case f.missing && !f.lost && waited < q.lookup.patience:
			q.found = nil
			open = append(open, q)
		case !f.lost:
			q.lookup.keep(q, now)
		}
	}
	t.open = open
}

// ask asks one source and counts it.
func (r *lookupRun) ask(ctx context.Context, a *asking, open []*question, now func() time.Time) error {
	began := now()
	err := a.source.ask(ctx, open)
	r.metrics.requests.WithLabelValues(r.name, a.kind).Inc()
	r.metrics.seconds.WithLabelValues(r.name, a.kind).Observe(now().Sub(began).Seconds())
	down := 0.0
	if err != nil {
		down = 1
		r.metrics.failures.WithLabelValues(r.name, a.kind).Inc()
	}
	r.metrics.down.WithLabelValues(r.name, a.kind).Set(down)
	return err
}
