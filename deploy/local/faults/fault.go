package faults

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Action is the kind of a fault.
type Action int

// What can happen to a request.
const (
	Pass       Action = iota // nothing: it is forwarded and answered
	Refuse                   // it is answered with Status, and the target knows nothing of it
	Drop                     // the connection is cut, and the target knows nothing of it
	CutRequest               // Share of its body gets to the target, then both connections are cut
	LoseAnswer               // it is done, and the connection is cut before the answer
	FailAnswer               // it is done, and answered with Status
	CutAnswer                // it is done, and the connection is cut after Share of the answer's body
	SlowAnswer               // it is done, and answered byte by byte over Take (in 64 pieces if it is longer)
)

// Fault is what happens to one request. The zero Fault is none.
type Fault struct {
	Do         Action
	Status     int           // for Refuse and FailAnswer; 0 is 503
	Header     http.Header   // for Refuse and FailAnswer
	Body       string        // for Refuse and FailAnswer
	RetryAfter time.Duration // for Refuse and FailAnswer: the header, in seconds rounded up
	Share      float64       // for CutRequest and CutAnswer: of the body, from 0 to 1, and never all of it
	Take       time.Duration // for SlowAnswer

	// Before and After are pauses before the request is forwarded or refused,
	// and before it is answered. A request whose client has gone meanwhile is not
	// forwarded, unless it is Late: then it comes in its time all the same.
	Before, After time.Duration
	Late          bool

	// Serve answers the request in a way of its own, in place of Do, which is
	// only counted then; forward gives it to the target.
	Serve func(w http.ResponseWriter, r *Request, forward func(*Request) (*Answer, error))
}

// own is the answer of the proxy itself.
func (f *Fault) own() *Answer {
	a := &Answer{Status: f.Status, Header: http.Header{}, Body: []byte(f.Body)}
	if f.Header != nil {
		a.Header = f.Header.Clone()
	}
	if a.Status == 0 {
		a.Status = http.StatusServiceUnavailable
	}
	if f.RetryAfter > 0 {
		a.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	return a
}

// part is Share of n bytes, and never all of them.
func (f *Fault) part(n int) int { return max(0, min(n-1, int(f.Share*float64(n)))) }

// answer gives the client what is left of the target's answer.
func (f *Fault) answer(w http.ResponseWriter, r *Request, a *Answer) {
	switch f.Do {
	case LoseAnswer:
		cut(w)
	case FailAnswer:
		f.own().Write(w, r)
	case CutAnswer:
		if r.Method != http.MethodHead && len(a.Body) > 0 {
			a.head(w, r)
			_, _ = w.Write(a.Body[:f.part(len(a.Body))])
			_ = http.NewResponseController(w).Flush()
		}
		cut(w)
	case SlowAnswer:
		f.trickle(w, r, a)
	default:
		a.Write(w, r)
	}
}

// trickle answers in small pieces, as long as somebody listens.
func (f *Fault) trickle(w http.ResponseWriter, r *Request, a *Answer) {
	const most = 64
	pieces := max(1, min(len(a.Body), most))
	a.head(w, r)
	for i := range pieces {
		_, err := w.Write(a.Body[len(a.Body)*i/pieces : len(a.Body)*(i+1)/pieces])
		if err != nil || http.NewResponseController(w).Flush() != nil || !sleep(r.Context(), f.Take/time.Duration(pieces)) {
			return
		}
	}
}
