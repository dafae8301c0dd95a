package elasticsearch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// leasedFor is a context whose lease lasts as left says.
func leasedFor(t *testing.T, left func() time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return sink.WithLease(ctx, left)
}

// watched is the cluster, and looks at each bulk request.
func watched(s *Sink, look func(*http.Request)) *refusing {
	f := &refusing{performer: s.client, fail: func(_ int64, r *http.Request) *http.Response {
		look(r)
		return nil
	}}
	s.client = f
	return f
}

// TestNothingIsSentWithoutALease: not one request goes out, the retries of a
// batch included, until the lease is known to last again; and bulks are then as
// large as before.
func TestNothingIsSentWithoutALease(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome")) // makes the index
	f := watched(s, func(*http.Request) {})
	if err := s.Write(leasedFor(t, func() time.Duration { return 0 }), []*cdc.Record{row(name, 1, 2, "Oslo")}); !errors.Is(err, errLease) {
		t.Errorf("%v", err)
	}
	if n := f.calls.Load(); n != 0 || source(t, name, "1")["city"] != "Rome" || s.limit != s.config.BatchSize {
		t.Errorf("%d requests, %v, bulks of %d", n, source(t, name, "1"), s.limit)
	}
	var asked atomic.Int32
	err := s.Write(leasedFor(t, func() time.Duration {
		if asked.Add(1) < 3 {
			return -time.Second
		}
		return time.Minute
	}), []*cdc.Record{row(name, 1, 2, "Oslo")})
	if n := f.calls.Load(); err != nil || n != 1 || source(t, name, "1")["city"] != "Oslo" {
		t.Errorf("%v, %d requests, %v", err, n, source(t, name, "1"))
	}
}

// TestTheServerWaitsForHalfOfTheLease at most for what a request needs.
func TestTheServerWaitsForHalfOfTheLease(t *testing.T) {
	s, name := open(t, map[string]string{"read.timeout.ms": "30000"}), indexName(t)
	for _, c := range []struct{ left, limit time.Duration }{{10 * time.Second, 10 * time.Second}, {time.Hour, 30 * time.Second}} {
		var server string
		f := watched(s, func(r *http.Request) { server = r.URL.Query().Get("timeout") })
		err := s.Write(leasedFor(t, func() time.Duration { return c.left }), []*cdc.Record{row(name, 1, 1, "Rome")})
		s.client = f.performer
		if want := strconv.FormatInt(c.limit.Milliseconds()/2, 10) + "ms"; err != nil || server != want {
			t.Errorf("%v; at the server %s, want %s", err, server, want)
		}
	}
}

// TestABodyEndsWithItsLease: a process that stands still when half of a request is
// sent does not send the other half.
func TestABodyEndsWithItsLease(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "0"}), indexName(t)
	mustWrite(t, s, row(name, 0, 1, "Rome")) // makes the index
	var rows []*cdc.Record
	for id := range int64(500) {
		rows = append(rows, row(name, id, 2, strings.Repeat("Oslo ", 500)))
	}
	var asked atomic.Int32
	err := s.Write(leasedFor(t, func() time.Duration {
		if asked.Add(1) > 5 {
			return 0
		}
		return time.Minute
	}), rows)
	if !errors.Is(err, errLease) || asked.Load() < 6 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	if got := source(t, name, "499"); got != nil {
		t.Errorf("the last document is there: %.100v", got)
	}
	mustWrite(t, s, rows...)
	if source(t, name, "499") == nil {
		t.Error("the last document is not there in the end")
	}
}

// TestARequestUnderWayMayBeAnswered: it is not cut off when its partition is
// given up, but a little later, within the time that the runtime waits.
func TestARequestUnderWayMayBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		within, end := lingering(ctx, time.Minute)
		defer end()
		cancel()
		time.Sleep(grace - time.Millisecond)
		synctest.Wait()
		if within.Err() != nil {
			t.Error("it is cut off at once")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if within.Err() == nil {
			t.Error("it is not cut off")
		}
		s := &Sink{}
		if err := s.send(ctx, &bulk{}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("another one begins: %v", err)
		}
	})
}

// TestARequestMayLastAsLongAsItsLease, which grows meanwhile, and read.timeout.ms.
func TestARequestMayLastAsLongAsItsLease(t *testing.T) {
	for _, c := range []struct{ renewed, most, want time.Duration }{
		{renewed: 4 * time.Second, most: time.Minute, want: 7 * time.Second}, // the last time at 4 s
		{renewed: time.Hour, most: 10 * time.Second, want: 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			left := func() time.Duration { // 3 s, and again every 2 s
				renewed := min(time.Since(began), c.renewed).Truncate(2 * time.Second)
				return renewed + 3*time.Second - time.Since(began)
			}
			within, end := lingering(sink.WithLease(t.Context(), left), c.most)
			defer end()
			<-within.Done()
			if lasted := time.Since(began); lasted != c.want || !errors.Is(context.Cause(within), context.DeadlineExceeded) {
				t.Errorf("%v, want %v: %v", lasted, c.want, context.Cause(within))
			}
		})
	}
}

// TestOthersThanBulksNeedALease, too, if they may change something.
func TestOthersThanBulksNeedALease(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	ctx := leasedFor(t, func() time.Duration { return 0 })
	if err := s.call(ctx, http.MethodPut, "/"+name, nil, nil); !errors.Is(err, errLease) {
		t.Errorf("%v", err)
	}
	if err := s.call(ctx, http.MethodGet, "/"+name, nil, nil); err == nil || errors.Is(err, errLease) {
		t.Errorf("%v; want that there is no index", err)
	}
}

// TestAGivenUpRequestIsNotDelivered: what the kernel still has of it when the
// connection is closed is dropped, and the server reads a broken one.
func TestAGivenUpRequestIsNotDelivered(t *testing.T) {
	var c net.ListenConfig
	listener, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := abrupt((&net.Dialer{}).DialContext)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := conn.Write(make([]byte, 60_000)); err != nil { // the server does not read yet
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, server); err == nil {
		t.Errorf("it reads %d bytes and an end", n)
	}
}
