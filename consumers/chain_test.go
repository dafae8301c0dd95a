package consumers

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// lives counts what happens to the chains of a runner.
type lives struct {
	mu                      sync.Mutex
	started, closed, shared int
	early                   int // chains that were still open when the shared part was closed
	refuse                  error
}

// living is a chain that says when it is started and closed.
type living struct {
	chain
	lives *lives
}

func (l living) Start(env transform.Env) error {
	l.lives.mu.Lock()
	defer l.lives.mu.Unlock()
	if env.Log == nil || env.Metrics == nil || env.Waits == nil {
		return errors.New("the environment lacks something")
	}
	transform.Registered(env.Metrics, prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_test_total"}))
	l.lives.started++
	return l.lives.refuse
}

func (l living) Close() error {
	l.lives.mu.Lock()
	defer l.lives.mu.Unlock()
	l.lives.closed++
	return nil
}

func (l *lives) options(o Options) Options {
	o.Chain = func() (Chain, error) {
		return living{func(records []*cdc.Record) ([]*cdc.Record, error) { return records, nil }, l}, nil
	}
	o.Close = func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.shared++
		l.early = l.started - l.closed
		return nil
	}
	return o
}

// TestChainsAreStartedAndClosed: one a partition, and what they share last.
func TestChainsAreStartedAndClosed(t *testing.T) {
	_, addr := fake(t, "t")
	produce(t, connect(t, addr), flat("t", 0, 1, 1))
	l := &lives{}
	r, err := New(l.options(setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t"}}.options(t)))
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	caughtUp(t, r, 3)
	stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started != 3 || l.closed != 3 || l.shared != 1 || l.early != 0 {
		t.Errorf("%d started, %d closed, %d times what they share, before %d of them", l.started, l.closed, l.shared, l.early)
	}
}

// TestAChainThatCannotStartStopsItsPartition with the reason.
func TestAChainThatCannotStartStopsItsPartition(t *testing.T) {
	_, addr := fake(t, "t")
	produce(t, connect(t, addr), flat("t", 0, 1, 1))
	l := &lives{refuse: errors.New("no such file")}
	r, err := New(l.options(setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "t"}}.options(t)))
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	eventually(t, func() error {
		for _, task := range r.Status().Tasks {
			if task.Problem != nil && task.Problem.Text == fmt.Sprintf("t-%d: no such file", task.Partition.Partition) {
				return nil
			}
		}
		return fmt.Errorf("status %+v", r.Status())
	})
}
