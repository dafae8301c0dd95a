package consumers

import "sync"

// ahead bounds what a client has read ahead of the target, over all partitions:
// what waits in their inboxes and what their batches at hand hold. Each inbox
// may hold an equal share. That is not enough where one batch of Kafka's, which
// cannot be divided, is more than a share: so above the bound nobody fetches.
//
// A few partitions that cannot be written may hold all of it. For the others to
// go on all the same, those that hold nothing are let in, in rounds: a round ends
// with the first records that come, and the next begins when these are done, or,
// if they are not, after a pause that doubles.
type ahead struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	bound   int64 // of one inbox, and of one batch
	inboxes map[*inbox]struct{}
	shut    bool
	round   bool
	guests  map[*inbox]bool // who got records in the last round, and still have some
	pause   int             // turns between two rounds
	waited  int             // turns since the last
}

// longestPause is how many turns, of observeEvery each, may pass between two rounds.
const longestPause = 32

func newAhead(limit int64) *ahead {
	return &ahead{limit: limit, bound: limit / 2, inboxes: map[*inbox]struct{}{}, guests: map[*inbox]bool{}}
}

// share divides the bound among so many partitions and returns what each may
// have in its inbox; as much again is for its batch at hand.
func (a *ahead) share(partitions int) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bound = max(leastBuffer, a.limit/2/int64(max(1, partitions)))
	for in := range a.inboxes {
		in.bound = a.bound
		in.throttle()
	}
	return a.bound
}

// came notes that records were fetched; the lock is held.
func (a *ahead) came(in *inbox) {
	if a.shut {
		a.guests[in] = true
		if a.round {
			a.round, a.waited = false, 0
			a.throttleAll()
		}
	}
	a.changed(in)
}

// changed judges anew after in holds more or less; the lock is held.
func (a *ahead) changed(in *inbox) {
	switch {
	case !a.shut && a.bytes > a.limit:
		a.shut, a.round, a.pause, a.waited = true, false, 1, 0
		a.throttleAll()
	case a.shut && a.bytes <= a.limit/4*3:
		a.shut = false
		clear(a.guests)
		a.throttleAll()
	case a.guests[in] && in.held == 0:
		delete(a.guests, in)
		if len(a.guests) == 0 {
			a.pause = 1
			a.begin()
		}
	}
	in.throttle()
}

// turn begins a round if it is time. It is called every observeEvery.
func (a *ahead) turn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.shut || a.round {
		return
	}
	if a.waited++; a.waited >= a.pause {
		a.pause = min(2*a.pause, longestPause)
		a.begin()
	}
}

func (a *ahead) begin() {
	a.round, a.waited = true, 0
	a.throttleAll()
}

// keepsOut reports whether in may not fetch for the sake of all.
func (a *ahead) keepsOut(in *inbox) bool {
	return a.shut && !(a.round && in.held == 0)
}

func (a *ahead) throttleAll() {
	for in := range a.inboxes {
		in.throttle()
	}
}

// processBytes is what a process takes that reads nothing, about a third of it,
// and room for garbage: where there is little, most CPU time goes into collecting
// it.
const processBytes = 96 << 20

// Memory is about how many bytes the runtime has at most: what is read ahead,
// once more what the sink makes of the batches at hand and the answers of the
// brokers as they come, and once more what is garbage already.
func (c *Config) Memory() int64 { return processBytes + 3*c.BufferBytes }

// Memory is that of its configuration.
func (r *Runner) Memory() int64 { return r.config.Memory() }
