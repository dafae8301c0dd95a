package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// HTTP forwards requests to a target, each with the fault that its rule says.
// It keeps path, query, headers, and the Host that signatures are made of. Its
// methods are safe for concurrent use.
type HTTP struct {
	// URL is the proxy's own, without a slash at its end.
	URL string

	server    *http.Server
	transport *http.Transport
	ctx       context.Context // ends with Close
	end       context.CancelFunc
	serving   sync.WaitGroup

	mu     sync.Mutex
	target *url.URL
	rule   Rule
	seen   int
	counts map[Action]int
	under  int           // requests that the target has and has not answered
	quiet  chan struct{} // not nil: closed when there is none
}

// Request is what a rule knows of a request: itself, but for its body, which is
// Payload.
type Request struct {
	*http.Request
	Payload []byte
	N       int // which one it is of all, from 0
}

// Rule says what happens to a request. It is called by as many goroutines as
// there are requests under way. A rule may take its time: until it returns, the
// request is nowhere.
type Rule func(r *Request) Fault

// NewHTTP listens on a free port of the loopback and forwards to target, a URL
// without a path; nil is no fault. It panics if it cannot listen, and is to be
// closed.
func NewHTTP(target string, rule Rule) *HTTP {
	listener := listen()
	h := &HTTP{
		URL: "http://" + listener.Addr().String(), counts: map[Action]int{},
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	}
	h.SetTarget(target)
	h.SetRule(rule)
	h.ctx, h.end = context.WithCancel(context.Background())
	h.server = &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return h.ctx }}
	h.serving.Go(func() { _ = h.server.Serve(listener) })
	return h
}

// Close stops listening, cuts what is under way and returns when nothing is
// left.
func (h *HTTP) Close() {
	h.mu.Lock()
	h.end() // no request is begun from here on
	h.mu.Unlock()
	_ = h.server.Close()
	h.serving.Wait()
	h.transport.CloseIdleConnections()
}

// SetTarget forwards requests from now on to another URL.
func (h *HTTP) SetTarget(target string) {
	u, err := url.Parse(target)
	if err != nil {
		panic(fmt.Sprintf("faults: target: %v", err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.target = u
}

// SetRule decides about the requests from now on; nil is no fault.
func (h *HTTP) SetRule(rule Rule) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rule = rule
}

// Count is how many requests met with an action.
func (h *HTTP) Count(a Action) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[a]
}

// Quiet returns when no request is under way, neither here nor at the target,
// those of clients that are gone included.
func (h *HTTP) Quiet(ctx context.Context) error {
	h.mu.Lock()
	if h.under == 0 {
		h.mu.Unlock()
		return nil
	}
	if h.quiet == nil {
		h.quiet = make(chan struct{})
	}
	quiet := h.quiet
	h.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ServeHTTP deals with one request.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		cut(w)
		return
	}
	defer h.serving.Done()
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		cut(w)
		return
	}
	h.begin()
	defer h.done()
	q := &Request{Request: r, Payload: payload}
	f := h.faultOf(q)
	awaited := r.Context()
	if f.Late {
		awaited = h.ctx
	}
	if !sleep(awaited, f.Before) {
		cut(w)
		return
	}
	if f.Serve != nil {
		f.Serve(w, q, h.forward)
		return
	}
	h.serve(w, q, &f)
}

// enter counts a request among those that Close waits for; false: it is closed.
func (h *HTTP) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return false
	}
	h.serving.Add(1)
	return true
}

// serve does what a fault says.
func (h *HTTP) serve(w http.ResponseWriter, q *Request, f *Fault) {
	switch f.Do {
	case Drop:
		cut(w)
		return
	case CutRequest:
		_ = h.forwardPart(q, f.part(len(q.Payload))) // a target that is not there is cut off as well
		cut(w)
		return
	case Refuse:
		f.own().Write(w, q)
		return
	}
	a, err := h.forward(q)
	if err != nil {
		cut(w)
		return
	}
	sleep(q.Context(), f.After)
	f.answer(w, q, a)
}

// faultOf asks the rule, and counts.
func (h *HTTP) faultOf(q *Request) Fault {
	h.mu.Lock()
	q.N = h.seen
	h.seen++
	rule := h.rule
	h.mu.Unlock()
	var f Fault
	if rule != nil {
		f = rule(q)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[f.Do]++
	return f
}

// forward sends a request on and returns the target's whole answer. It does not
// end with the client: a server that has read a request does what it says, too.
func (h *HTTP) forward(q *Request) (*Answer, error) {
	out := h.outgoing(q)
	response, err := h.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

func (h *HTTP) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under++
}

func (h *HTTP) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under--; h.under == 0 && h.quiet != nil {
		close(h.quiet)
		h.quiet = nil
	}
}

// outgoing is the request as the target gets it.
func (h *HTTP) outgoing(q *Request) *http.Request {
	out := q.Clone(h.ctx)
	h.mu.Lock()
	out.URL.Scheme, out.URL.Host = h.target.Scheme, h.target.Host
	h.mu.Unlock()
	out.RequestURI, out.TransferEncoding, out.Close = "", nil, false
	for _, name := range []string{"Connection", "Keep-Alive", "Expect", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(name)
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "") // none, in place of Go's
	}
	out.Body, out.ContentLength = http.NoBody, int64(len(q.Payload))
	if len(q.Payload) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(q.Payload))
	}
	return out
}

// forwardPart sends the head and n bytes of the body of a request, and closes
// the connection.
func (h *HTTP) forwardPart(q *Request, n int) error {
	out := h.outgoing(q)
	to, err := new(net.Dialer).DialContext(h.ctx, "tcp", out.URL.Host)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	var text bytes.Buffer
	if err := out.Write(&text); err != nil {
		return err
	}
	_, err = to.Write(text.Bytes()[:text.Len()-len(q.Payload)+n])
	return err
}

// Answer is what a target has answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Write gives the client an answer. Its length is said beforehand, so that one
// that ends early is seen to.
func (a *Answer) Write(w http.ResponseWriter, r *Request) {
	a.head(w, r)
	_, _ = w.Write(a.Body)
}

func (a *Answer) head(w http.ResponseWriter, r *Request) {
	for name, values := range a.Header {
		switch name {
		case "Connection", "Keep-Alive", "Transfer-Encoding":
		default:
			w.Header()[name] = values
		}
	}
	if r.Method != http.MethodHead && a.Status != http.StatusNoContent && a.Status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
}

// cut resets the client's connection.
func cut(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	reset(c.(*net.TCPConn))
}

// sleep pauses; false: ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
