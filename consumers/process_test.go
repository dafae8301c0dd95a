package consumers

import (
	"context"
	"time"
)

// Requests that the faults of a process's network go by.
const (
	produceKey      = 0
	offsetCommitKey = 8
	offsetFetchKey  = 9
	joinGroupKey    = 11
	syncGroupKey    = 14
)

// process is one incarnation of a process that may crash, freeze, and have a
// bad network.
type process struct {
	*dice
	name    string
	session time.Duration // of its group
	net     *chaosNet
	step    valve // of the workers; the network has its own
	ctx     context.Context
	kill    context.CancelFunc
	rejoin  func() // makes the member join the group again
	trace   func(format string, a ...any)
}

func newProcess(d *dice, name string, session time.Duration, network *chaosNet) *process {
	p := &process{dice: d, name: name, session: session, net: network, rejoin: func() {}, trace: func(string, ...any) {}}
	p.ctx, p.kill = context.WithCancel(context.Background())
	network.setHook(p.wire)
	return p
}

func (p *process) live() bool { return p.ctx.Err() == nil }

// at is a step: the process may freeze there whole, or this goroutine alone, or
// it crashes.
func (p *process) at(step string) {
	switch {
	case p.chance(0.02):
		p.count("freezes")
		d := p.between(p.session/4, 4*p.session)
		p.trace("%s freezes for %v %s", p.name, d, step)
		p.net.valve.shut()
		p.step.shut()
		time.AfterFunc(d, func() { p.net.valve.open(); p.step.open() })
	case p.chance(0.04):
		p.count("stalls")
		time.Sleep(p.between(p.session/4, 5*p.session))
	case p.chance(0.02):
		p.crash(step)
	}
	p.step.pass()
}

// crash ends the process without a word to anybody.
func (p *process) crash(step string) {
	p.count("crashes")
	p.trace("%s crashes %s", p.name, step)
	p.kill()
	p.net.crash()
}

// wire makes the network bad for the connection that carries a request.
func (p *process) wire(c *chaosConn, key int16) {
	switch key {
	case joinGroupKey:
		if p.chance(0.06) { // held back until the member is out
			p.count("joins delayed")
			c.delayWrites(p.between(p.session/2, 4*p.session))
		}
	case syncGroupKey:
		if p.chance(0.08) {
			p.count("assignments delayed")
			c.holdReads(p.between(p.session/60, p.session/3))
		}
	case offsetFetchKey:
		if p.chance(0.04) {
			p.count("offset fetches delayed")
			c.holdReads(p.between(p.session/60, p.session))
		}
	case produceKey:
		p.wireLetter(c)
	case offsetCommitKey:
		p.wireCommit(c)
	default:
		if p.chance(0.001) {
			p.count("connections cut")
			p.net.cut()
		}
	}
}

// wireCommit is the network's way with a commit.
func (p *process) wireCommit(c *chaosConn) {
	switch {
	case p.chance(0.04):
		p.count("commit answers lost")
		c.loseAnswers(p.between(p.session/12, p.session/3))
	case p.chance(0.06):
		p.count("commits delayed")
		c.delayWrites(p.between(p.session/6, 7*p.session))
	case p.chance(0.04): // and the client rejoins on its own meanwhile
		p.count("commits delayed over a rejoin")
		c.delayWrites(p.between(p.session/60, p.session/3))
		go p.rejoin()
	case p.chance(0.02):
		p.count("connections cut")
		p.net.cut()
	}
}

// wireLetter is the network's way with a dead letter.
func (p *process) wireLetter(c *chaosConn) {
	switch {
	case p.chance(0.05):
		p.count("letter answers lost")
		c.loseAnswers(p.between(p.session/12, p.session/3))
	case p.chance(0.03):
		p.count("letters delayed")
		c.delayWrites(p.between(p.session/6, 2*p.session))
	}
}

// fate decides how the process ends: it crashes, is stopped, or goes on until
// stop is closed. dead, which may be nil, ends the waiting too.
func (p *process) fate(life time.Duration, dead <-chan struct{}, stop <-chan struct{}) {
	t := time.NewTimer(life)
	defer t.Stop()
	select {
	case <-t.C:
		if p.chance(0.6) {
			p.crash("at some time")
		} else if p.chance(0.8) {
			p.count("stops")
			p.kill()
		}
	case <-dead:
	case <-p.ctx.Done():
	}
	select {
	case <-dead:
	case <-p.ctx.Done():
	case <-stop:
		p.kill()
	}
}
