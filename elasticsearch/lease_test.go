package elasticsearch

import (
	"context"
	"errors"
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

// TestARequestEndsBeforeItsLease: at the server earlier than here.
func TestARequestEndsBeforeItsLease(t *testing.T) {
	s, name := open(t, map[string]string{"read.timeout.ms": "30000"}), indexName(t)
	for _, c := range []struct{ left, limit time.Duration }{{10 * time.Second, 10 * time.Second}, {time.Hour, 30 * time.Second}} {
		var within time.Duration
		var server string
		f := watched(s, func(r *http.Request) {
			deadline, _ := r.Context().Deadline()
			within, server = time.Until(deadline), r.URL.Query().Get("timeout")
		})
		err := s.Write(leasedFor(t, func() time.Duration { return c.left }), []*cdc.Record{row(name, 1, 1, "Rome")})
		s.client = f.performer
		if want := strconv.FormatInt(c.limit.Milliseconds()/2, 10) + "ms"; err != nil || within > c.limit || within < c.limit/2 || server != want {
			t.Errorf("%v; within %v, at the server %s; want %v and %s", err, within, server, c.limit, want)
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
