package consumers

import (
	"math/rand/v2"
	"sync"
	"time"
)

// dice decides by chance what goes wrong, from a seed, until it is calm. It is
// safe for concurrent use. A seed fixes the dice, not who throws them when.
type dice struct {
	mu    sync.Mutex
	rng   *rand.Rand
	calm  bool
	stats map[string]int // how often each thing went wrong
}

func newDice(seed uint64) *dice {
	return &dice{rng: rand.New(rand.NewPCG(seed, 1)), stats: map[string]int{}}
}

func (d *dice) count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats[what]++
}

// chance is true with probability p while things go wrong.
func (d *dice) chance(p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.calm && d.rng.Float64() < p
}

func (d *dice) between(lo, hi time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return lo + time.Duration(d.rng.Int64N(int64(hi-lo)))
}

func (d *dice) intn(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// settleDown ends what goes wrong.
func (d *dice) settleDown() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calm = true
}

func (d *dice) isCalm() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calm
}
