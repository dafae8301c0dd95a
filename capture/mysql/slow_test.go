package mysql_test

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// slowServer is a server behind a network that is slow at times: it holds back
// what goes either way, on some connections more than on others, and cuts
// connections. So every statement of a reader and every event of the log may be
// late, with all the others going on.
type slowServer struct {
	servers.SQL
	mu   sync.Mutex
	rng  *rand.Rand
	calm bool
}

// slowly puts such a network in front of server, until the test ends.
func slowly(t testing.TB, server servers.SQL, seed uint64) *slowServer {
	t.Helper()
	proxy := faults.NewTCP(net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
	t.Cleanup(proxy.Close)
	s := &slowServer{SQL: server, rng: rand.New(rand.NewPCG(seed, 2))}
	host, port, _ := net.SplitHostPort(proxy.Addr) // it has both
	s.Host = host
	s.Port, _ = strconv.Atoi(port)
	proxy.SetWeather(s.weather)
	return s
}

// quiet ends delays and cuts.
func (s *slowServer) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

// weather makes one connection in four fast; the others wait at every third step
// or so, up to 2, 8 or 20 ms, and break at one in thousands.
func (s *slowServer) weather() func() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pace := []int{0, 2000, 8000, 20_000}[s.rng.IntN(4)]
	return func() (longer time.Duration, cut bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if pace == 0 || s.calm {
			return 0, false
		}
		if s.rng.IntN(3) == 0 {
			longer = time.Duration(s.rng.IntN(pace)) * time.Microsecond
		}
		return longer, s.rng.IntN(3000) == 0
	}
}
