package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// usage is the most that processes had of something, by binary and metric.
type usage struct {
	mu   sync.Mutex
	most map[string]map[string]float64
}

// bounds are far above what a process needs, and far below what one that leaks
// has after some minutes.
var bounds = map[string]float64{"process_resident_memory_bytes": 1500 << 20, "go_goroutines": 3000, "process_open_fds": 1000}

func newUsage() *usage { return &usage{most: map[string]map[string]float64{}} }

// look asks the processes that nothing is done to.
func (u *usage) look(ctx context.Context, slots []*slot) {
	for _, s := range slots {
		if !s.TryLock() {
			continue
		}
		if !s.out {
			_ = u.ask(ctx, s) // it is asked again
		}
		s.Unlock()
	}
}

// ask asks a process.
func (u *usage) ask(ctx context.Context, s *slot) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	all, err := s.Metrics(ctx)
	if err != nil {
		return err
	}
	binary, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "weir-"), "-")
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.most[binary] == nil {
		u.most[binary] = map[string]float64{}
	}
	for name := range bounds {
		u.most[binary][name] = max(u.most[binary][name], all[name])
	}
	return nil
}

// check compares the most of everything with its bound.
func (u *usage) check(f *fleet, slots []*slot) {
	f.t.Helper()
	for _, s := range slots {
		f.must(u.ask(f.t.Context(), s))
	}
	for _, binary := range sortedKeys(u.most) {
		most := u.most[binary]
		f.t.Logf("%s: at most %.0f MB, %.0f goroutines, %.0f files", binary, most["process_resident_memory_bytes"]/1e6, most["go_goroutines"], most["process_open_fds"])
		for name, bound := range bounds {
			if most[name] == 0 || most[name] > bound {
				f.t.Errorf("%s of %s is %.0f, bound %.0f", name, binary, most[name], bound)
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
