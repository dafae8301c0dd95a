package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const (
	// sessionTimeout is how long the broker waits for a leader that went
	// silent, transactionTimeout how long its open transaction may block
	// readers.
	sessionTimeout     = 6 * time.Second
	heartbeatInterval  = 1500 * time.Millisecond
	transactionTimeout = 10 * time.Second
	// leaveTimeout bounds what a leader does after it lost the lead.
	leaveTimeout = 5 * time.Second
)

// groupID is the group by whose membership a capture's leader is chosen.
func groupID(name string) string { return "weir-capture-" + name }

// transactionalID is what fences a leader before. It is made from the prefix,
// as offsets are: two captures of one prefix cannot write side by side, whatever
// their names.
func transactionalID(prefix string) string { return "weir-capture-" + prefix }

// membership is one member of the leaders' group. The group's members share the
// one partition of the offset topic, of which they read nothing: who has it
// leads. A leader that stays in the group keeps it (cooperative-sticky).
type membership struct {
	client *kgo.Client
	topic  string
	won    chan struct{}

	mu   sync.Mutex
	term *term
}

// term is one time of leading. Its context ends when the lead is lost.
type term struct {
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed by end, when nothing is written any more
	once   sync.Once
}

func (t *term) end() { t.once.Do(func() { t.cancel(); close(t.ended) }) }

// joinGroup becomes a member; it does not wait for anything.
func joinGroup(opts []kgo.Opt, group, topic string, log *zap.Logger) (*membership, error) {
	m := &membership{topic: topic, won: make(chan struct{}, 1)}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeatInterval), kgo.RebalanceTimeout(2*leaveTimeout),
		kgo.WithHooks(groupErrors{log}),
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.revoked))...)
	if err != nil {
		return nil, fmt.Errorf("joining group %s: %w", group, err)
	}
	client.PauseFetchTopics(topic)
	m.client = client
	return m, nil
}

// groupErrors logs why a membership broke off; the client joins again.
type groupErrors struct{ log *zap.Logger }

// OnGroupManageError implements kgo.HookGroupManageError.
func (g groupErrors) OnGroupManageError(err error) {
	g.log.Warn("standing in the leaders' group failed: joining again", zap.Error(err))
}

func (m *membership) assigned(_ context.Context, _ *kgo.Client, got map[string][]int32) {
	if len(got[m.topic]) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.mu.Lock()
	m.term = &term{ctx: ctx, cancel: cancel, ended: make(chan struct{})}
	m.mu.Unlock()
	select {
	case m.won <- struct{}{}:
	default:
	}
}

// revoked stops the leader at once and lets the group go on when it has
// stopped, or when it took too long: then the producer's epoch keeps it out.
func (m *membership) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	m.mu.Lock()
	t := m.term
	if len(gone[m.topic]) > 0 {
		m.term = nil
	}
	m.mu.Unlock()
	if t == nil || len(gone[m.topic]) == 0 {
		return
	}
	t.cancel()
	select {
	case <-t.ended:
	case <-time.After(leaveTimeout):
	}
}

// lead waits until this member leads. The term's end must be called when its
// holder has stopped.
func (m *membership) lead(ctx context.Context) (*term, error) {
	for {
		m.mu.Lock()
		t := m.term
		m.mu.Unlock()
		if t != nil {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-m.won:
		}
	}
}

// leave leaves the group, so that a standby need not wait for the session's
// end. A term must have ended before.
func (m *membership) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = m.client.LeaveGroupContext(ctx) // the session's end does the same, later
	m.client.Close()
}
