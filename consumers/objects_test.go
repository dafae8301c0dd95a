package consumers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// objects is an object store: atomic writes by name, which are slow, fail, fail
// though they are done, or are done much later. It checks at every write that no
// object changes and no record is in two.
type objects struct {
	dice *dice
	late time.Duration // the longest that a write arrives after its sender gave it up

	mu      sync.Mutex
	all     map[string]string
	home    map[string]string // "partition/offset" → object
	bad     []string
	waiting sync.WaitGroup
	again   int
}

func newObjects(d *dice, late time.Duration) *objects {
	return &objects{dice: d, late: late, all: map[string]string{}, home: map[string]string{}}
}

var errPut = errors.New("the write failed")

func (s *objects) put(name, body string) error {
	took := s.dice.between(5*time.Millisecond, 800*time.Millisecond)
	if s.dice.chance(0.05) {
		took *= 10
	}
	if s.dice.isCalm() {
		took = 10 * time.Millisecond
	}
	time.Sleep(took)
	switch {
	case s.dice.chance(0.10):
		return errPut
	case s.dice.chance(0.08):
		s.apply(name, body)
		return errPut
	case s.dice.chance(0.06):
		s.waiting.Add(1)
		time.AfterFunc(s.dice.between(s.late/30, s.late), func() {
			defer s.waiting.Done()
			s.apply(name, body)
		})
		return errPut
	}
	s.apply(name, body)
	return nil
}

func (s *objects) apply(name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.all[name]; ok {
		s.again++
		if old != body {
			s.bad = append(s.bad, fmt.Sprintf("object %s changed: %q to %q", name, old, body))
		}
	}
	s.all[name] = body
	part, _, _ := strings.Cut(name, "/")
	for _, offset := range strings.Fields(body) {
		record := part + "/" + offset
		if home, ok := s.home[record]; ok && home != name {
			s.bad = append(s.bad, fmt.Sprintf("record %s is in %s and in %s", record, home, name))
		}
		s.home[record] = name
	}
}

func (s *objects) fail(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = append(s.bad, fmt.Sprintf(format, a...))
}

func (s *objects) failures() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bad)
}

// has says whether the record is in an object.
func (s *objects) has(part int32, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.home[at(part, offset)]
	return ok
}

// counts are how many objects have each record, "partition/offset", from the
// objects themselves.
func (s *objects) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]int{}
	for name, body := range s.all {
		part, _, _ := strings.Cut(name, "/")
		for _, offset := range strings.Fields(body) {
			found[part+"/"+offset]++
		}
	}
	return found
}

// taken is a record as a writer keeps it.
type taken struct {
	offset int64
	hour   int
	epoch  int32
}

// render names the objects of a range by its committed start and the records.
func render(part int32, start int64, records []taken) map[string]string {
	by := map[int][]string{}
	for _, r := range records {
		by[r.hour] = append(by[r.hour], strconv.FormatInt(r.offset, 10))
	}
	out := map[string]string{}
	for hour, offsets := range by {
		out[fmt.Sprintf("%d/%012d/h%02d", part, start, hour)] = strings.Join(offsets, " ")
	}
	return out
}
