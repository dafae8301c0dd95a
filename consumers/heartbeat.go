package consumers

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeatAgain is the pause after a heartbeat without an answer.
const heartbeatAgain = 100 * time.Millisecond

// pulse is the last heartbeat that was answered well. The gate sends its own,
// beside those of the client: that one's hooks say when an answer came, and not
// what it was, and the answer to the first heartbeat of a process that stood
// still for too long is that it is no member any more.
type pulse struct {
	mu     sync.Mutex
	member string
	sent   time.Time // before the broker began to count the session anew
}

func (p *pulse) set(member string, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.member, p.sent = member, sent
}

// forget takes it back: the group does not know the member.
func (p *pulse) forget(member string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.member == member {
		p.member = ""
	}
}

// age is how long ago the member's last good heartbeat was sent; known is false
// if there was none.
func (p *pulse) age(member string) (age time.Duration, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.member != member || member == "" {
		return 0, false
	}
	now := time.Now()
	// The monotonic clock stands still while a machine sleeps, the wall clock may
	// be set: the longer time counts.
	return max(now.Sub(p.sent), now.Round(0).Sub(p.sent.Round(0))), true
}

// Left is for how much longer no other member can have been given the partition,
// as far as is known: the session, from when the last heartbeat was sent that
// was answered well. An eighth is kept back for what is under way. Zero or less:
// it may have been, or is about to be.
func (l *Lease) Left() time.Duration {
	select {
	case <-l.done:
		return 0
	default:
	}
	age, known := l.gate.pulse.age(l.member)
	if !known {
		return 0
	}
	return l.gate.session - l.gate.session/8 - age
}

// beat sends heartbeats until ctx ends, while there are leases: as often as the
// client, or more often where that would let leases end.
func (g *gate) beat(ctx context.Context, cl *kgo.Client, every time.Duration) {
	every = min(every, g.session/3)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.begins: // its writer waits for it
		case <-timer.C:
		}
		pause := every
		if !g.heartbeat(ctx, cl) {
			pause = min(every, heartbeatAgain)
		}
		timer.Reset(pause)
	}
}

// heartbeat sends one, if there is a lease, and reports whether an answer came.
// What else is wrong with the member is left to the client, whose own heartbeats
// are answered the same.
func (g *gate) heartbeat(ctx context.Context, cl *kgo.Client) bool {
	member, gen := cl.GroupMetadata()
	if member == "" || gen < 0 || !g.holds() {
		return true
	}
	coord, err := g.coordinator(ctx, cl)
	if err != nil {
		return false
	}
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = g.group, member, gen
	ctx, cancel := context.WithTimeout(ctx, min(g.timeout, g.session/3))
	defer cancel()
	sent := time.Now()
	resp, err := cl.Broker(int(coord)).Request(ctx, req)
	if err != nil {
		g.setCoordinator(-1)
		return false
	}
	err = kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode)
	switch judgeAnswer(err) {
	case applied:
		g.pulse.set(member, sent)
	case fenced:
		g.pulse.forget(member)
	case moved:
		g.setCoordinator(-1)
		return false
	}
	return true
}

// holds reports whether there is a lease.
func (g *gate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.leases) > 0
}
