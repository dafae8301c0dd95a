package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/compare"
)

// chaos disturbs a fleet while its source is written to and its targets are
// read. The same seed throws the same dice; what they hit depends on the machine.
type chaos struct {
	*fleet
	w     *workload
	dice  *rand.Rand
	kills int           // how many there are to be
	pause time.Duration // between two of them, about
	slots []*slot
	watch *watch
	usage *usage

	ctx      context.Context // ends with the first failure of what is done beside
	beside   *errgroup.Group
	restarts map[string]int // by server
	rebuilt  bool           // the indexes
}

// slot is one process of the fleet, which runs or not.
type slot struct {
	*processes.Component
	service []*slot // the instances of its service, it among them

	// The mutex is held while something is done to the process. Then the counts
	// may be changed.
	sync.Mutex
	out                      bool // removed for a while
	kills, freezes, removals int
}

// newChaos prepares to disturb a fleet.
func newChaos(f *fleet, w *workload, kills int, pause time.Duration) *chaos {
	c := &chaos{fleet: f, w: w, kills: kills, pause: pause, dice: rand.New(rand.NewPCG(w.seed, 7)), watch: newWatch(f, w.seed), usage: newUsage(), restarts: map[string]int{}}
	c.beside, c.ctx = errgroup.WithContext(f.t.Context())
	return c
}

// occupy gives every process of the fleet its slot.
func (c *chaos) occupy() {
	for _, instances := range append([][]*processes.Component{c.captures}, c.sinks...) {
		var service []*slot
		for _, instance := range instances {
			service = append(service, &slot{Component: instance})
		}
		for _, s := range service {
			s.service = service
		}
		c.slots = append(c.slots, service...)
	}
}

// event is something that happens once after a number of kills.
type event struct {
	after int
	what  string
	do    func()
}

// run kills every process in turn, in rounds of a random order, until there were
// enough kills; in the first round each is killed once. Events happen in between.
// At the end all processes run.
func (c *chaos) run(events []event) {
	c.t.Helper()
	done, said := 0, 0
	for round := 0; done < c.kills && c.ctx.Err() == nil; round++ {
		for _, i := range c.dice.Perm(len(c.slots)) {
			events = c.happen(events, done)
			if done += c.strike(c.slots[i], round == 0); done >= said+10 {
				said = done / 10 * 10
				c.usage.look(c.t.Context(), c.slots)
				c.say("%d of %d kills, %d transactions", done, c.kills, c.w.transactions.Load())
			}
			c.wait(c.about(c.pause))
			if c.ctx.Err() != nil || done >= c.kills {
				break
			}
		}
	}
	c.happen(events, c.kills)
	c.calm()
}

// happen lets the events happen that are due after some kills, and returns the
// others.
func (c *chaos) happen(events []event, done int) []event {
	c.t.Helper()
	for len(events) > 0 && events[0].after <= done && c.ctx.Err() == nil {
		c.say("%s", events[0].what)
		events[0].do()
		events = events[1:]
	}
	return events
}

// farBehind is how many records a sink may lag.
const farBehind = 5000

// moderate lets the writers wait while a sink is far behind, until ctx ends: on a
// machine that is busy with other things targets take little, and what they are
// given beyond it is work for the end of the run.
func (c *chaos) moderate(ctx context.Context) {
	for pause(ctx, time.Second) {
		behind := int64(0)
		for _, instances := range c.sinks {
			lag := int64(0)
			for _, instance := range instances {
				if s, err := c.status(ctx, instance); err == nil { // else it is dead just now
					lag += max(0, s.Lag.Records)
				}
			}
			behind = max(behind, lag)
		}
		c.w.slow.Store(behind > farBehind)
	}
}

// status asks an instance that may be frozen.
func (c *chaos) status(ctx context.Context, instance *processes.Component) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return instance.Status(ctx)
}

// say is a line of progress.
func (c *chaos) say(format string, values ...any) {
	c.t.Helper()
	c.t.Logf("%s "+format, append([]any{time.Now().Format(time.TimeOnly)}, values...)...)
}

// about is a random time around another one.
func (c *chaos) about(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.dice.Int64N(int64(d)))
}

// upTo is a random time.
func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.dice.Int64N(int64(d))) }

// wait passes time, unless something has failed.
func (c *chaos) wait(d time.Duration) {
	select {
	case <-c.ctx.Done():
	case <-time.After(d):
	}
}

// strike does something bad to a process, beside the caller, and returns how
// often it is killed. One that something is done to is left alone.
func (c *chaos) strike(s *slot, killing bool) int {
	n, dead, young, frozen := c.dice.IntN(100), c.upTo(1500*time.Millisecond), c.upTo(400*time.Millisecond), c.about(5*time.Second)
	if !s.TryLock() {
		return 0
	}
	capture := s.service[0] == c.slots[0]
	switch {
	case s.out:
		c.do(s, s.join)
		return 0
	case killing || n < 65 || capture && n < 90:
		c.do(s, func() error { return c.crash(s, dead) })
		return 1
	case capture || n < 75:
		c.do(s, func() error { return c.crashTwice(s, dead, young) })
		return 2
	case n < 87 || !s.dispensable():
		c.do(s, func() error { return c.freeze(s, frozen) })
	default:
		c.do(s, s.leave)
	}
	return 0
}

// do does something to the process of a slot that is locked, and unlocks it.
func (c *chaos) do(s *slot, what func() error) {
	c.beside.Go(func() error {
		defer s.Unlock()
		return what()
	})
}

// crash kills a process and starts it again after a while.
func (c *chaos) crash(s *slot, dead time.Duration) error {
	s.kills++
	if err := s.Kill(); err != nil {
		return err
	}
	c.wait(dead)
	return s.Restart(c.t.Context())
}

// crashTwice kills a process, and again while it starts.
func (c *chaos) crashTwice(s *slot, dead, young time.Duration) error {
	s.kills++
	if err := s.Kill(); err != nil {
		return err
	}
	c.wait(dead)
	if err := s.Start(); err != nil {
		return err
	}
	c.wait(young)
	return c.crash(s, dead)
}

// freeze lets the group believe that a process is dead.
func (c *chaos) freeze(s *slot, frozen time.Duration) error {
	s.freezes++
	if err := s.Freeze(); err != nil {
		return err
	}
	c.wait(frozen)
	return s.Thaw()
}

// leave stops an instance as an operator does, join starts it again.
func (s *slot) leave() error {
	s.removals++
	s.out = true
	return s.Stop(patience)
}

func (s *slot) join() error {
	s.out = false
	return s.Restart(context.Background()) // bounded by its patience
}

// dispensable reports whether another instance has the service's work.
func (s *slot) dispensable() bool {
	return slices.ContainsFunc(s.service, func(other *slot) bool {
		if other == s || !other.TryLock() {
			return false
		}
		defer other.Unlock()
		return !other.out
	})
}

// calm waits for all that is done beside, and starts what was removed.
func (c *chaos) calm() {
	c.t.Helper()
	c.must(c.beside.Wait())
	for _, s := range c.slots {
		if s.out {
			c.must(s.join())
		}
	}
}

// leader is the slot of the capture that leads, locked, once there is one.
func (c *chaos) leader() (leader *slot, err error) {
	err = c.until("a capture to lead", func(ctx context.Context) string {
		for _, s := range c.slots[0].service {
			if !s.TryLock() {
				continue // it is being killed
			}
			if status, err := s.Status(ctx); err == nil && status.Connector.State == admin.Running {
				leader = s
				return ""
			}
			s.Unlock()
		}
		return "none leads"
	})
	return leader, err
}

// killLeader kills the capture that leads.
func (c *chaos) killLeader() {
	c.t.Helper()
	s, err := c.leader()
	c.must(err)
	dead := c.upTo(time.Second)
	c.do(s, func() error { return c.crash(s, dead) })
}

// freezeLeader suspends the capture that leads until another one does, and lets
// it wake up, beside the caller: it must not write any more.
func (c *chaos) freezeLeader() {
	longer := c.upTo(3 * time.Second)
	c.beside.Go(func() error {
		s, err := c.leader()
		if err != nil {
			return err
		}
		defer s.Unlock()
		s.freezes++
		if err := s.Freeze(); err != nil {
			return err
		}
		err = c.until("the standby to lead", func(ctx context.Context) string {
			return c.leads(ctx, func(other *slot) bool { return other != s })
		})
		if err != nil {
			return err
		}
		c.wait(longer)
		if err := s.Thaw(); err != nil {
			return err
		}
		return c.until("one capture to lead", func(ctx context.Context) string { return c.leads(ctx, nil) })
	})
}

// leads says "" if just one capture leads of those that are asked (nil: all).
func (c *chaos) leads(ctx context.Context, ask func(*slot) bool) string {
	var states []string
	leaders := 0
	for _, s := range c.slots[0].service {
		if ask != nil && !ask(s) {
			continue
		}
		status, err := s.Status(ctx)
		if err == nil && status.Connector.State == admin.Running {
			leaders++
		}
		states = append(states, fmt.Sprint(s.Name, " ", status.Connector.State, " ", err))
	}
	if leaders == 1 {
		return ""
	}
	return strings.Join(states, ", ")
}

// restart kills a server and starts it again.
func (c *chaos) restart(name string, kill, start func()) {
	c.t.Helper()
	c.restarts[name]++
	kill()
	c.wait(c.about(time.Second))
	start()
}

// summary is what was done to each process and server, and how much was compared.
func (c *chaos) summary(report *compare.Report) string {
	killed, compared := 0, 0
	var parts []string
	for _, s := range c.slots {
		killed += s.kills
		parts = append(parts, fmt.Sprintf("%s: %d kills, %d freezes, %d removals", s.Name, s.kills, s.freezes, s.removals))
	}
	for _, name := range sortedKeys(c.restarts) {
		parts = append(parts, fmt.Sprintf("%s: %d restarts", name, c.restarts[name]))
	}
	for _, r := range report.Results {
		compared += r.Source
	}
	return fmt.Sprintf("%d kills, %d transactions that changed %d rows, %d rows compared\n%s",
		killed, c.w.transactions.Load(), c.w.rows.Load(), compared, strings.Join(parts, "\n"))
}
