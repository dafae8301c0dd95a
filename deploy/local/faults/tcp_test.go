package faults

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience ends a test that hangs.
const patience = time.Minute

// echo is a target that answers each line with itself behind its name, and
// counts the lines.
type echo struct {
	net.Listener
	lines atomic.Int64
}

func newEcho(t *testing.T, name string) *echo {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					e.lines.Add(1)
					_, _ = io.WriteString(c, name+" "+in.Text()+"\n")
				}
			}()
		}
	}()
	return e
}

// caller is a client of the proxy.
type caller struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, p *TCP) *caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return &caller{t, c, bufio.NewReader(c)}
}

func (c *caller) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hear(want string) {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		c.t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

// cut checks that the connection is reset, after so much of an answer.
func (c *caller) cut(after string) {
	c.t.Helper()
	got, err := io.ReadAll(c.in)
	if !errors.Is(err, syscall.ECONNRESET) || string(got) != after {
		c.t.Errorf("heard %q, %v; want %q and a reset", got, err, after)
	}
}

// refused checks that a new connection is reset, while it is made or after.
func refused(t *testing.T, p *TCP) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v; want a reset", err)
	}
}

func open(t *testing.T, target string) *TCP {
	p := NewTCP(target)
	t.Cleanup(p.Close)
	return p
}

// until waits for a condition that others bring about.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestTCPForwards(t *testing.T) {
	e := newEcho(t, "one")
	p := open(t, e.Addr().String())
	c := call(t, p)
	for _, line := range []string{"a", "b", strings.Repeat("long", 20_000/4)} {
		c.say(line)
		c.hear("one " + line)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		t.Errorf("the end is %q, %v", rest, err)
	}
	if n := p.Accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTCPCuts(t *testing.T) {
	p := open(t, newEcho(t, "one").Addr().String())
	a, b := call(t, p), call(t, p)
	a.say("x")
	a.hear("one x")
	b.say("y")
	b.hear("one y")
	p.Cut()
	a.cut("")
	b.cut("")
	call(t, p).say("goes on")
}

func TestTCPRefuses(t *testing.T) {
	p := open(t, newEcho(t, "one").Addr().String())
	old := call(t, p)
	old.say("before")
	old.hear("one before")
	p.Refuse(true)
	refused(t, p)
	old.say("still there")
	old.hear("one still there")
	p.Refuse(false)
	c := call(t, p)
	c.say("again")
	c.hear("one again")
}

func TestTCPCutsInTheMiddleOfAnAnswer(t *testing.T) {
	e := newEcho(t, "one")
	p := open(t, e.Addr().String())
	c := call(t, p)
	p.CutAfter(len("one a\non"))
	c.say("a")
	c.hear("one a")
	c.say("b")
	c.cut("on")
	c = call(t, p) // once
	c.say("c")
	c.hear("one c")
	p.CutAfter(0)
	c.say("d")
	c.cut("")
	if n := e.lines.Load(); n != 4 {
		t.Errorf("the target has %d lines; want all 4, answered or not", n)
	}
}

func TestTCPStalls(t *testing.T) {
	e := newEcho(t, "one")
	p := open(t, e.Addr().String())
	c := call(t, p)
	p.Stall(Answers)
	c.say("a")
	until(t, "the target did not get what was asked", func() bool { return e.lines.Load() == 1 })
	c.silent()
	p.Resume()
	c.hear("one a")
	p.Stall(Requests)
	c.say("b")
	c.silent()
	if n := e.lines.Load(); n != 1 {
		t.Errorf("the target has %d lines while requests stall", n)
	}
	p.Resume()
	c.hear("one b")
	p.Stall(Requests | Answers)
	c.say("c")
	p.Cut()
	c.cut("")
}

// silent checks that nothing comes for a moment.
func (c *caller) silent() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.in.Peek(1); !errors.Is(err, errTimeout(err)) {
		c.t.Errorf("something came: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	c.in.Reset(c.Conn)
}

// errTimeout is err if it is a timeout.
func errTimeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return err
	}
	return io.ErrNoProgress
}

func TestTCPFreezes(t *testing.T) {
	e := newEcho(t, "one")
	p := open(t, e.Addr().String())
	old := call(t, p)
	old.say("a")
	old.hear("one a")
	if n := p.Freeze(); n != 1 {
		t.Errorf("%d connections are frozen", n)
	}
	old.say("b")
	fresh := call(t, p)
	fresh.say("c")
	fresh.hear("one c")
	if n := e.lines.Load(); n != 2 {
		t.Errorf("%d lines came through", n)
	}
	p.Cut() // it ends nevertheless
	if _, err := io.ReadAll(old.in); err == nil {
		t.Error("a frozen connection ended as if nothing had been")
	}
}

func TestTCPWeather(t *testing.T) {
	e := newEcho(t, "one")
	p := open(t, e.Addr().String())
	fair := call(t, p)
	fair.say("a")
	fair.hear("one a")
	p.SetWeather(func() func() (time.Duration, bool) {
		steps := 0 // one for each direction of an exchange
		return func() (time.Duration, bool) { steps++; return time.Millisecond, steps == 5 }
	})
	foul := call(t, p)
	for _, line := range []string{"b", "c"} {
		foul.say(line)
		foul.hear("one " + line)
	}
	foul.say("d")
	if _, err := io.ReadAll(foul.in); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v", err)
	}
	fair.say("e") // it began before
	fair.hear("one e")
}

func TestTCPDelays(t *testing.T) {
	p := open(t, newEcho(t, "one").Addr().String())
	c := call(t, p)
	p.Delay(Requests|Answers, 30*time.Millisecond)
	began := time.Now()
	c.say("a")
	c.hear("one a")
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	p.Delay(Requests|Answers, time.Hour)
	c.say("b")
	p.Cut() // ends also what is delayed
	c.cut("")
}

func TestTCPChangesItsTarget(t *testing.T) {
	p := open(t, newEcho(t, "one").Addr().String())
	old := call(t, p)
	old.say("a")
	old.hear("one a")
	p.SetTarget(newEcho(t, "two").Addr().String())
	c := call(t, p)
	c.say("b")
	c.hear("two b")
	old.say("c")
	old.hear("one c")
	p.SetTarget("127.0.0.1:1") // nobody
	refused(t, p)
}

// TestTCPCloses: whatever is under way, Close ends it, twice if need be.
func TestTCPCloses(t *testing.T) {
	p := NewTCP(newEcho(t, "one").Addr().String())
	c, slow := call(t, p), call(t, p)
	p.Stall(Requests | Answers)
	p.Delay(Requests, time.Hour)
	c.say("a")
	slow.say("b")
	p.Close()
	c.cut("")
	slow.cut("")
	p.Close()
	if _, err := net.Dial("tcp", p.Addr); err == nil {
		t.Error("it still listens")
	}
}
