package faults

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Plan is a rule that lets a share of the requests meet a fault, from 0 to 1;
// choose makes one, Any where it is nil. What happens to the n-th request of a
// method and path depends on seed, method, path and n alone: it is the same in
// every run in which the client asks the same, in whatever order those of
// different paths come.
func Plan(seed uint64, share float64, choose func(rng *rand.Rand, r *Request) Fault) Rule {
	if choose == nil {
		choose = Any
	}
	var mu sync.Mutex
	seen := map[string]uint64{}
	return func(r *Request) Fault {
		what := r.Method + " " + r.URL.Path
		mu.Lock()
		n := seen[what]
		seen[what]++
		mu.Unlock()
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(what))
		rng := rand.New(rand.NewPCG(seed, hash.Sum64()+n*0x9e3779b97f4a7c15))
		if rng.Float64() >= share {
			return Fault{}
		}
		return choose(rng, r)
	}
}

// Any is a fault of any kind, each as likely, with pauses of up to 20 ms.
func Any(rng *rand.Rand, _ *Request) Fault {
	statuses := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout}
	const short = 20 * time.Millisecond
	return Fault{
		Do: Action(rng.IntN(int(SlowAnswer) + 1)), Status: statuses[rng.IntN(len(statuses))], Share: rng.Float64(),
		Take: upTo(rng, short), Before: upTo(rng, short), After: upTo(rng, short),
	}
}

// upTo is none half of the time, else up to most.
func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return max(0, time.Duration(rng.Int64N(int64(2*most)))-most)
}
