package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shop is a target that keeps what it was sent.
type shop struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string // whole requests
	broken int      // requests whose body ended early
	hold   atomic.Pointer[chan struct{}]
}

const goods = "0123456789"

func newShop(t *testing.T) *shop {
	s := &shop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		if err != nil {
			s.broken++
		} else {
			s.got = append(s.got, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.RequestURI(), r.Host, body))
		}
		s.mu.Unlock()
		if hold := s.hold.Load(); hold != nil {
			<-*hold
		}
		w.Header().Set("ETag", `"e"`)
		_, _ = io.WriteString(w, goods)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) has() (whole, broken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got), s.broken
}

func through(t *testing.T, s *shop, rule Rule) *HTTP {
	h := NewHTTP(s.URL, rule)
	t.Cleanup(h.Close)
	return h
}

// heard is what came of an answer.
type heard struct {
	status int // 0: nothing
	header http.Header
	length int64
}

// fetch makes a request on a connection of its own, and returns what came of its
// answer.
func fetch(ctx context.Context, method, url, body string) (heard, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return heard{}, "", err
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return heard{}, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return heard{response.StatusCode, response.Header, response.ContentLength}, string(text), err
}

func TestHTTPForwards(t *testing.T) {
	s := newShop(t)
	h := through(t, s, nil)
	for _, method := range []string{"GET", "PUT", "HEAD", "DELETE"} {
		response, body, err := fetch(t.Context(), method, h.URL+"/a%2Fb/c?x=1&y=%20", strings.Repeat("z", len(method)))
		want := goods
		if method == "HEAD" {
			want = ""
		}
		if err != nil || response.status != 200 || body != want || response.header.Get("ETag") != `"e"` || response.length != int64(len(goods)) {
			t.Errorf("%s: %v %q, %v", method, response, body, err)
		}
		if got := s.got[len(s.got)-1]; got != method+" /a%2Fb/c?x=1&y=%20 "+strings.TrimPrefix(h.URL, "http://")+" "+strings.Repeat("z", len(method)) {
			t.Errorf("the target got %s", got)
		}
	}
}

// TestHTTPActions says of each action what the target has of the request, and
// the client of the answer.
func TestHTTPActions(t *testing.T) {
	for name, c := range map[string]struct {
		f             Fault
		whole, broken int
		status        int // 0: the connection is cut before an answer
		body          string
		cut           bool
	}{
		"pass":              {f: Fault{}, whole: 1, status: 200, body: goods},
		"refuse":            {f: Fault{Do: Refuse, Status: 429, Body: "full", RetryAfter: 1500 * time.Millisecond}, status: 429, body: "full"},
		"refuse by default": {f: Fault{Do: Refuse}, status: 503},
		"drop":              {f: Fault{Do: Drop}, cut: true},
		"half a request":    {f: Fault{Do: CutRequest, Share: 0.5}, broken: 1, cut: true},
		"no request":        {f: Fault{Do: CutRequest}, broken: 1, cut: true},
		"a lost answer":     {f: Fault{Do: LoseAnswer}, whole: 1, cut: true},
		"a false answer":    {f: Fault{Do: FailAnswer, Status: 500, Body: "no"}, whole: 1, status: 500, body: "no"},
		"half an answer":    {f: Fault{Do: CutAnswer, Share: 0.5}, whole: 1, status: 200, body: goods[:5], cut: true},
		"nearly an answer":  {f: Fault{Do: CutAnswer, Share: 1}, whole: 1, status: 200, body: goods[:9], cut: true},
		"a slow answer":     {f: Fault{Do: SlowAnswer, Take: 20 * time.Millisecond}, whole: 1, status: 200, body: goods},
		"pauses":            {f: Fault{Before: time.Millisecond, After: time.Millisecond}, whole: 1, status: 200, body: goods},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			h := through(t, s, func(*Request) Fault { return c.f })
			response, body, err := fetch(t.Context(), "POST", h.URL+"/x", "a body of some length")
			if (err != nil) != c.cut || body != c.body {
				t.Errorf("the client has %q, %v", body, err)
			}
			if response.status != c.status {
				t.Errorf("the answer is %v", response)
			}
			if c.f.RetryAfter > 0 && response.header.Get("Retry-After") != "2" {
				t.Error(response.header)
			}
			until(t, "the target has another number of requests", func() bool {
				whole, broken := s.has()
				return whole == c.whole && broken == c.broken
			})
			if h.Count(c.f.Do) != 1 {
				t.Error("it is not counted")
			}
		})
	}
}

// TestHTTPRule: a rule sees the request with its body, may hold it, and may
// change request and answer.
func TestHTTPRule(t *testing.T) {
	s := newShop(t)
	held := make(chan struct{})
	h := through(t, s, func(r *Request) Fault {
		switch r.URL.Path {
		case "/held":
			<-held
		case "/changed":
			return Fault{Serve: func(w http.ResponseWriter, r *Request, forward func(*Request) (*Answer, error)) {
				r.Payload = []byte(strings.ToUpper(string(r.Payload)))
				a, err := forward(r)
				if err != nil {
					t.Error(err)
					return
				}
				a.Body = append(a.Body, " more"...)
				a.Write(w, r)
			}}
		}
		return Fault{}
	})
	done := make(chan error, 1)
	go func() {
		_, _, err := fetch(t.Context(), "POST", h.URL+"/held", "")
		done <- err
	}()
	if _, body, err := fetch(t.Context(), "POST", h.URL+"/changed", "small"); err != nil || body != goods+" more" {
		t.Error(body, err)
	}
	if len(s.got) != 1 || !strings.HasSuffix(s.got[0], " SMALL") {
		t.Errorf("the target got %q", s.got)
	}
	close(held)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHTTPLate: a request whose client has gone is forwarded only if it is
// late, and Quiet waits for it.
func TestHTTPLate(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newShop(t)
		here, release := make(chan struct{}, 1), make(chan struct{})
		s.hold.Store(&release)
		h := through(t, s, func(r *Request) Fault {
			here <- struct{}{}
			<-r.Context().Done()
			return Fault{Before: time.Millisecond, Late: late}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-here
			cancel()
		}()
		if _, _, err := fetch(ctx, "POST", h.URL+"/x", "zombie"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if late {
			until(t, "it never came", func() bool { whole, _ := s.has(); return whole == 1 })
			short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
			if err := h.Quiet(short); err == nil {
				t.Error("it is quiet while the target has a request")
			}
			end()
		}
		close(release)
		if err := h.Quiet(t.Context()); err != nil {
			t.Error(err)
		}
		h.Close()
		if whole, _ := s.has(); (whole == 1) != late {
			t.Errorf("late %v: the target has %d requests", late, whole)
		}
	}
}

// TestHTTPTargetGone: a target that does not answer is a cut connection, not an
// answer that it never gave.
func TestHTTPTargetGone(t *testing.T) {
	s := newShop(t)
	h := through(t, s, nil)
	s.Close()
	if response, _, err := fetch(t.Context(), "GET", h.URL+"/x", ""); err == nil {
		t.Error(response)
	}
	h.SetTarget(newShop(t).URL)
	if _, body, err := fetch(t.Context(), "GET", h.URL+"/x", ""); err != nil || body != goods {
		t.Error(body, err)
	}
}

// TestHTTPCloses ends what pauses, what trickles and what the target holds.
func TestHTTPCloses(t *testing.T) {
	s := newShop(t)
	release := make(chan struct{})
	s.hold.Store(&release)
	defer close(release)
	var here sync.WaitGroup
	here.Add(3)
	h := NewHTTP(s.URL, func(r *Request) Fault {
		defer here.Done()
		switch r.URL.Path {
		case "/before":
			return Fault{Before: time.Hour, Late: true}
		case "/slow":
			return Fault{Serve: func(w http.ResponseWriter, r *Request, _ func(*Request) (*Answer, error)) {
				f := Fault{Do: SlowAnswer, Take: 64 * time.Hour}
				f.answer(w, r, &Answer{Status: 200, Header: http.Header{}, Body: []byte(goods)})
			}}
		}
		return Fault{}
	})
	var clients sync.WaitGroup
	for _, path := range []string{"/before", "/slow", "/held"} {
		clients.Go(func() {
			if _, _, err := fetch(t.Context(), "POST", h.URL+path, "x"); err == nil {
				t.Errorf("%s was answered", path)
			}
		})
	}
	here.Wait()
	h.Close()
	clients.Wait()
}

// TestPlan: a seed decides, whatever the order of the requests of other paths,
// and every kind of fault occurs.
func TestPlan(t *testing.T) {
	ask := func(rule Rule, path string) Fault {
		return rule(&Request{Request: httptest.NewRequest("POST", path, nil)})
	}
	first, again, other := Plan(1, 0.5, nil), Plan(1, 0.5, nil), Plan(2, 0.5, nil)
	kinds, differ := map[Action]int{}, 0
	var paused int
	for range 400 {
		a := ask(first, "/a")
		ask(again, "/b") // of no importance
		if b := ask(again, "/a"); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("%v and %v", a, b)
		}
		if fmt.Sprint(a) != fmt.Sprint(ask(other, "/a")) {
			differ++
		}
		if kinds[a.Do]++; a.Before > 0 {
			paused++
		}
	}
	for a := Pass; a <= SlowAnswer; a++ {
		if kinds[a] < 10 {
			t.Errorf("action %d occurs %d times in 400", a, kinds[a])
		}
	}
	if kinds[Pass] < 150 || differ < 200 || paused == 0 {
		t.Errorf("%v, %d differ under another seed, %d paused", kinds, differ, paused)
	}
	if f := ask(Plan(1, 1, func(*rand.Rand, *Request) Fault { return Fault{Do: Drop} }), "/a"); f.Do != Drop {
		t.Error(f)
	}
}
