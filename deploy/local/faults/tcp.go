package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Direction is a way through a connection; both may be or-ed.
type Direction int

// The directions of a connection.
const (
	Requests Direction = 1 << iota // from the client to the target
	Answers                        // from the target to the client
)

// TCP forwards connections to a target, as long as it is told nothing else. Its
// methods are safe for concurrent use.
type TCP struct {
	// Addr is host:port of the proxy.
	Addr string

	listener net.Listener
	done     sync.WaitGroup
	ctx      context.Context // ends with Close
	end      context.CancelFunc

	mu       sync.Mutex
	target   string
	refusing bool
	left     int // bytes of answers until the cut; -1: none is due
	ways     map[Direction]*way
	weather  Weather
	links    map[*link]struct{}
	accepted int
}

// Weather begins the luck of one connection: what it returns is called before
// anything travels there, in either direction, and says how long that takes
// longer and whether the connection is reset instead. Both directions call it at
// the same time.
type Weather func() func() (longer time.Duration, cut bool)

// way is how bytes of one direction travel.
type way struct {
	stalled chan struct{} // not nil: nothing travels until it is closed
	delay   time.Duration
}

// link is one connection of a client with the target's beside it.
type link struct {
	client, target *net.TCPConn
	luck           func() (longer time.Duration, cut bool) // nil: none
	frozen         bool
	once           sync.Once
	gone           chan struct{} // closed with the connections
}

// NewTCP listens on a free port of the loopback and forwards to target,
// host:port. It panics if it cannot listen, and is to be closed.
func NewTCP(target string) *TCP {
	listener := listen()
	p := &TCP{
		Addr: listener.Addr().String(), listener: listener, target: target, left: -1,
		ways: map[Direction]*way{Requests: {}, Answers: {}}, links: map[*link]struct{}{},
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.done.Go(p.accept)
	return p
}

// listen listens on a free port of the loopback.
func listen() net.Listener {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("faults: listening: %v", err))
	}
	return listener
}

// Close stops listening, resets what is open and returns when nothing is left.
func (p *TCP) Close() {
	p.mu.Lock()
	p.end() // no connection is begun from here on
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.done.Wait()
}

// SetTarget forwards connections that come from now on to another address;
// those that are open stay.
func (p *TCP) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Refuse resets new connections before a byte is answered, until it is called
// with false; those that are open stay. The port is not given up meanwhile, so
// nobody else can take it.
func (p *TCP) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = on
}

// Cut resets all connections that are open.
func (p *TCP) Cut() {
	p.mu.Lock()
	open := make([]*link, 0, len(p.links))
	for l := range p.links {
		open = append(open, l)
	}
	p.mu.Unlock()
	for _, l := range open {
		l.reset()
	}
}

// CutAfter lets n more bytes of answers through, over all connections, and then
// resets the connection that more of them come on: once. With 0 the next answer
// is lost as a whole, though the target has done what it answers.
func (p *TCP) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// Stall keeps back what travels in a direction, on all connections, without
// closing any. Nothing is lost of it.
func (p *TCP) Stall(d Direction) {
	p.each(d, func(w *way) {
		if w.stalled == nil {
			w.stalled = make(chan struct{})
		}
	})
}

// Resume ends Stall in both directions.
func (p *TCP) Resume() {
	p.each(Requests|Answers, func(w *way) {
		if w.stalled != nil {
			close(w.stalled)
			w.stalled = nil
		}
	})
}

// Freeze has all connections that are open go silent for ever, without closing
// any, and says how many these are; new ones work.
func (p *TCP) Freeze() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.frozen = true
	}
	return len(p.links)
}

// SetWeather gives each connection that comes from now on luck of its own; nil
// gives them none.
func (p *TCP) SetWeather(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
}

// Delay lets everything that travels in a direction take so much longer; 0 ends
// it.
func (p *TCP) Delay(d Direction, by time.Duration) {
	p.each(d, func(w *way) { w.delay = by })
}

// Accepted is how many connections were made to the proxy, refused ones
// included.
func (p *TCP) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func (p *TCP) each(d Direction, change func(*way)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for of, w := range p.ways {
		if d&of != 0 {
			change(w)
		}
	}
}

func (p *TCP) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve forwards one connection until it ends.
func (p *TCP) serve(client *net.TCPConn) {
	p.mu.Lock()
	p.accepted++
	target, refusing, weather := p.target, p.refusing, p.weather
	p.mu.Unlock()
	if refusing {
		reset(client)
		return
	}
	to, err := new(net.Dialer).DialContext(p.ctx, "tcp", target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, target: to.(*net.TCPConn), gone: make(chan struct{})}
	defer l.reset()
	if weather != nil {
		l.luck = weather()
	}
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, Requests, l.client, l.target) })
	both.Go(func() { p.pump(l, Answers, l.target, l.client) })
	both.Wait()
}

// add lists a link among those that are open; false: the proxy is closed.
func (p *TCP) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *TCP) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pump carries one direction of a link until its end, which it passes on.
func (p *TCP) pump(l *link, d Direction, from, to *net.TCPConn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.hold(l, d) {
				return
			}
			allowed, cut := p.allow(d, n)
			if _, err := to.Write(buffer[:allowed]); err != nil || cut {
				l.reset()
				return
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) || !p.hold(l, d) || to.CloseWrite() != nil {
			l.reset()
		}
		return
	}
}

// hold waits until bytes may travel; false: the link is gone.
func (p *TCP) hold(l *link, d Direction) bool {
	if !p.delay(l, d) {
		return false
	}
	for {
		p.mu.Lock()
		stalled, frozen := p.ways[d].stalled, l.frozen
		p.mu.Unlock()
		switch {
		case frozen:
			<-l.gone
			return false
		case stalled == nil:
			return true
		}
		select {
		case <-stalled:
		case <-l.gone:
			return false
		}
	}
}

// delay lets the time pass that bytes take longer; false: the link is gone.
func (p *TCP) delay(l *link, d Direction) bool {
	p.mu.Lock()
	longer := p.ways[d].delay
	p.mu.Unlock()
	if l.luck != nil {
		more, cut := l.luck()
		if cut {
			l.reset()
			return false
		}
		longer += more
	}
	if longer <= 0 {
		return true
	}
	t := time.NewTimer(longer)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.gone:
		return false
	}
}

// allow says how many of n bytes still travel, and whether the link is cut then.
func (p *TCP) allow(d Direction, n int) (allowed int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d != Answers || p.left < 0 {
		return n, false
	}
	if n <= p.left {
		p.left -= n
		return n, false
	}
	allowed, p.left = p.left, -1
	return allowed, true
}

// reset ends both connections without a goodbye.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.gone)
		reset(l.client)
		reset(l.target)
	})
}

// reset closes a connection so that the other side sees an error (RST) and not
// an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
