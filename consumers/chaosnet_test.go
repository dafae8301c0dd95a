package consumers

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// valve blocks those who pass while it is shut, like a process that is stopped.
type valve struct {
	mu sync.Mutex
	ch chan struct{} // not nil: shut
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ch == nil {
		v.ch = make(chan struct{})
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ch != nil {
		close(v.ch)
		v.ch = nil
	}
}

func (v *valve) pass() {
	for {
		v.mu.Lock()
		ch := v.ch
		v.mu.Unlock()
		if ch == nil {
			return
		}
		<-ch
	}
}

// chaosNet is the network of one process: it can freeze, die, lose answers, or
// keep what was written on a connection and deliver it much later, even though
// the client has long closed that connection.
type chaosNet struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	valve valve

	mu    sync.Mutex
	conns map[*chaosConn]bool
	dead  bool
	hook  func(c *chaosConn, key int16) // sees every request before it is written
}

func newChaosNet(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *chaosNet {
	return &chaosNet{dial: dial, conns: map[*chaosConn]bool{}}
}

func (n *chaosNet) setHook(hook func(c *chaosConn, key int16)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = hook
}

// Dial is the client's dialer.
func (n *chaosNet) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	errDead := errors.New("network of a crashed process")
	n.valve.pass()
	n.mu.Lock()
	dead := n.dead
	n.mu.Unlock()
	if dead {
		return nil, errDead
	}
	in, err := n.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &chaosConn{Conn: in, n: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		_ = in.Close()
		return nil, errDead
	}
	n.conns[c] = true
	return c, nil
}

func (n *chaosNet) each(f func(*chaosConn)) {
	n.mu.Lock()
	conns := make([]*chaosConn, 0, len(n.conns))
	for c := range n.conns {
		conns = append(conns, c)
	}
	n.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// cut closes all connections.
func (n *chaosNet) cut() { n.each(func(c *chaosConn) { _ = c.Close() }) }

// crash cuts everything; what a delayed connection holds is still delivered.
func (n *chaosNet) crash() {
	n.mu.Lock()
	n.dead = true
	n.mu.Unlock()
	n.cut()
	n.valve.open()
}

// chaosConn is one connection.
type chaosConn struct {
	net.Conn
	n    *chaosNet
	hold valve // what the broker answers arrives when it opens

	mu     sync.Mutex
	drop   bool // answers are lost
	delay  bool // what is written is kept in buf
	closed bool
	buf    []byte
}

// holdReads makes the answers on this connection slow.
func (c *chaosConn) holdReads(d time.Duration) {
	c.hold.shut()
	time.AfterFunc(d, c.hold.open)
}

// loseAnswers drops what arrives, and closes the connection after a while.
func (c *chaosConn) loseAnswers(after time.Duration) {
	c.mu.Lock()
	c.drop = true
	c.mu.Unlock()
	time.AfterFunc(after, func() { _ = c.Close() })
}

// delayWrites keeps what is written from now on for d, then delivers it in
// order, whether or not the client still listens.
func (c *chaosConn) delayWrites(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delay || c.closed {
		return
	}
	c.delay = true
	go c.deliver(d)
}

func (c *chaosConn) deliver(d time.Duration) {
	time.Sleep(d)
	c.mu.Lock()
	orphan := c.closed
	c.mu.Unlock()
	if orphan {
		_ = c.Conn.SetDeadline(time.Now().Add(3 * time.Second))
		go func() { _, _ = io.Copy(io.Discard, c.Conn) }() // nobody reads the answers
	}
	for { // no lock while writing: a synctest bubble must stay durably blocked
		c.mu.Lock()
		b := c.buf
		c.buf = nil
		if len(b) == 0 {
			c.delay = false
			orphan = c.closed
			c.mu.Unlock()
			break
		}
		c.mu.Unlock()
		_, _ = c.Conn.Write(b)
	}
	if orphan {
		time.Sleep(time.Second)
		_ = c.Conn.Close()
	}
}

func (c *chaosConn) Write(b []byte) (int, error) {
	c.n.valve.pass()
	c.n.mu.Lock()
	hook := c.n.hook
	c.n.mu.Unlock()
	if len(b) > 6 && hook != nil {
		hook(c, int16(b[4])<<8|int16(b[5]))
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	if c.delay {
		c.buf = append(c.buf, b...)
		c.mu.Unlock()
		return len(b), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *chaosConn) Read(b []byte) (int, error) {
	for {
		c.n.valve.pass()
		k, err := c.Conn.Read(b)
		c.hold.pass()
		c.n.valve.pass()
		c.mu.Lock()
		drop, closed := c.drop, c.closed
		c.mu.Unlock()
		if closed {
			return 0, net.ErrClosed
		}
		if drop && err == nil {
			continue
		}
		return k, err
	}
}

func (c *chaosConn) Close() error {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	c.n.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.delay {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // wake our reader, keep the wire
		return nil
	}
	return c.Conn.Close()
}
