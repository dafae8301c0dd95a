package capture

import (
	"io"
	"net"
	"sync"
	"testing"
)

// forwarder is an address behind which there is one server or another, over a
// network that breaks.
type forwarder struct {
	Port     int
	listener net.Listener

	mu     sync.Mutex
	target string
	links  map[*link]bool
}

// link is a connection that is forwarded.
type link struct {
	in, out net.Conn
	mu      sync.Mutex
	frozen  bool
	gone    *sync.Cond
	closed  bool
}

func newForwarder(t *testing.T, target string) *forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{listener: listener, target: target, links: map[*link]bool{}, Port: listener.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() {
		_ = listener.Close()
		f.Cut()
	})
	go f.accept()
	return f
}

func (f *forwarder) accept() {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		target := f.target
		f.mu.Unlock()
		out, err := net.Dial("tcp", target)
		if err != nil {
			_ = in.Close()
			continue
		}
		l := &link{in: in, out: out}
		l.gone = sync.NewCond(&l.mu)
		f.mu.Lock()
		f.links[l] = true
		f.mu.Unlock()
		go l.copy(in, out)
		go l.copy(out, in)
	}
}

// copy forwards one direction until the link is closed; while it is frozen
// nothing arrives and nothing is refused.
func (l *link) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		for l.frozen && !l.closed {
			l.gone.Wait()
		}
		l.mu.Unlock()
		if n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			l.close()
			return
		}
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.gone.Broadcast()
	_, _ = l.in.Close(), l.out.Close() // they may be closed
}

// To has new connections go to another server.
func (f *forwarder) To(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// Freeze has all connections that there are go silent for ever; new ones work.
// It returns how many.
func (f *forwarder) Freeze() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for l := range f.links {
		l.mu.Lock()
		if !l.closed {
			l.frozen = true
			n++
		}
		l.mu.Unlock()
	}
	return n
}

// Cut closes all connections.
func (f *forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.close()
		delete(f.links, l)
	}
}
