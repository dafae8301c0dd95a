package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/sink"
)

// What the versions of an index count goes with it, through rebuilds and
// snapshots, in its _meta. That is written as a whole, so that one process could
// write over what another has just written: they take turns.

// turn is a process's turn to write the _meta of an index: the version of a
// document in Weir's own index.
type turn struct {
	Seq  int64 `json:"_seq_no"`
	Term int64 `json:"_primary_term"`
}

const (
	turnLasts = 10 * time.Second       // what is sent within it, the cluster may carry out 30 s later
	turnOver  = 45 * time.Second       // who has it for so long has crashed
	turnPause = 100 * time.Millisecond // between two looks
	turnLooks = 20                     // before the batch is given back
)

var errTurn = errors.New("another process is writing down what the versions of the index count, or has crashed while it did, which is waited for")

// claim writes a topic's domain into the index's _meta.
func (s *Sink) claim(ctx context.Context, x *index, topic, domain string) error {
	for range turnLooks {
		began := time.Now()
		mine, err := s.begin(ctx, x)
		if err == nil {
			within, cancel := context.WithDeadline(ctx, began.Add(turnLasts))
			defer cancel()
			defer s.end(ctx, x, mine)
			return s.writeDomain(within, x, topic, domain)
		}
		if !errors.Is(err, errTurn) {
			return fmt.Errorf("asking for a turn to write down the version domain of topic %s: %w", topic, err)
		}
		if err := sleep(ctx, turnPause, 0); err != nil {
			return err
		}
	}
	return fmt.Errorf("index %s: %w", x.name, errTurn)
}

// begin begins a turn; errTurn says that another process has it.
func (s *Sink) begin(ctx context.Context, x *index) (mine turn, err error) {
	path := turnPath(x) + "?op_type=create"
	if x.other != (turn{}) && time.Since(x.since) > turnOver {
		path = turnPath(x) + x.other.only()
	}
	err = s.call(ctx, http.MethodPut, path, map[string]any{"format": metaFormat}, &mine)
	if errors.Is(err, errNotFound) { // the cluster may make no index by itself
		if err = s.createConnectors(ctx); err == nil {
			err = s.call(ctx, http.MethodPut, path, map[string]any{"format": metaFormat}, &mine)
		}
	}
	var refused *statusError
	switch {
	case errors.As(err, &refused) && refused.kind == "security_exception":
		s.log.Warn("no right to write to "+connectors+": what two processes write down at once about an index may be lost", zap.String("index", x.name), zap.Error(err))
		return turn{}, nil
	case errors.As(err, &refused) && refused.status == http.StatusConflict:
		return turn{}, s.watch(ctx, x)
	}
	return mine, err
}

// watch looks whose turn it is.
func (s *Sink) watch(ctx context.Context, x *index) error {
	var now turn
	if err := s.call(ctx, http.MethodGet, turnPath(x)+"?_source=false", nil, &now); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	if now != x.other {
		x.other, x.since = now, time.Now()
	}
	return errTurn
}

// end ends a turn. One that is not ended is over after turnOver.
func (s *Sink) end(ctx context.Context, x *index, mine turn) {
	if mine == (turn{}) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := s.call(ctx, http.MethodDelete, turnPath(x)+mine.only(), nil, nil); err != nil {
		s.log.Warn("other processes have to wait until they may write down version domains", zap.String("index", x.name), zap.Error(err))
	}
}

func turnPath(x *index) string {
	return "/" + connectors + "/_doc/" + url.PathEscape("claims of "+x.name)
}

// only is the condition that the turn is still this one.
func (t turn) only() string {
	return fmt.Sprintf("?if_seq_no=%d&if_primary_term=%d", t.Seq, t.Term)
}

// writeDomain adds a topic's domain to the index's _meta, and reads it back: a
// process of an earlier version, or one without the right, takes no turns.
func (s *Sink) writeDomain(ctx context.Context, x *index, topic, domain string) error {
	for range 10 {
		if err := s.reload(ctx, x); err != nil {
			return err
		}
		if has := x.domains[topic]; has == domain {
			return nil
		} else if has != "" && !sink.Continues(has, domain) {
			return otherDomain(x, topic, has, domain)
		}
		x.domains[topic] = domain
		body := map[string]any{"_meta": map[string]any{"weir": s.meta(x.domains)}}
		if err := s.call(ctx, http.MethodPut, "/"+url.PathEscape(x.name)+"/_mapping", body, nil); err != nil {
			delete(x.domains, topic)
			return err
		}
	}
	return fmt.Errorf("index %s: its _meta does not keep the version domain of topic %s", x.name, topic)
}
