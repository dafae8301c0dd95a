package mysql_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// slowServer is a server behind a network that is slow at times: it holds back
// what goes either way, on some connections more than on others, and cuts
// connections. So every statement of a reader and every event of the log may be
// late, with all the others going on.
type slowServer struct {
	servers.SQL
	listener net.Listener
	mu       sync.Mutex
	rng      *rand.Rand
	calm     bool
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// slowly puts such a network in front of server, until the test ends.
func slowly(t testing.TB, server servers.SQL, seed uint64) *slowServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slowServer{SQL: server, listener: l, rng: rand.New(rand.NewPCG(seed, 2)), conns: map[net.Conn]bool{}}
	s.Host, s.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	s.running.Go(func() { s.accept(net.JoinHostPort(server.Host, fmt.Sprint(server.Port))) })
	t.Cleanup(func() {
		_ = l.Close()
		s.cut()
		s.running.Wait()
	})
	return s
}

func (s *slowServer) random(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// quiet ends delays and cuts.
func (s *slowServer) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

func (s *slowServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *slowServer) accept(address string) {
	for {
		near, err := s.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", address)
		if err != nil {
			_ = near.Close()
			continue
		}
		// One in four is fast, the others wait at every third step or so, up to
		// 2, 8 or 20 ms.
		pace := []int{0, 2000, 8000, 20_000}[s.random(4)]
		s.running.Go(func() { s.carry(near, far, pace) })
		s.running.Go(func() { s.carry(far, near, pace) })
	}
}

// carry carries bytes one way until either end is closed.
func (s *slowServer) carry(from, to net.Conn, pace int) {
	s.mu.Lock()
	s.conns[from] = true
	s.mu.Unlock()
	defer func() {
		_, _ = from.Close(), to.Close()
		s.mu.Lock()
		delete(s.conns, from)
		s.mu.Unlock()
	}()
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if s.hold(pace) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold waits before bytes go on, and says whether the connection breaks.
func (s *slowServer) hold(pace int) (breaks bool) {
	s.mu.Lock()
	var d time.Duration
	if pace > 0 && !s.calm {
		if s.rng.IntN(3) == 0 {
			d = time.Duration(s.rng.IntN(pace)) * time.Microsecond
		}
		breaks = s.rng.IntN(3000) == 0
	}
	s.mu.Unlock()
	time.Sleep(d)
	return breaks
}
