package sinktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// memory is a target that compares versions; broken leaves rules out.
type memory struct {
	mu     sync.Mutex
	rows   map[string]stored
	down   bool
	broken broken
}

type stored struct {
	document []byte
	version  uint64
	deleted  bool
}

// broken is what a bad sink does wrong.
type broken struct {
	noVersions, forgetsDeletes, merges, joinsKeys, halfBatches, oldestWins, failsDuplicates, wrongIndex, losesOthers,
	takesKeyless, deaf, ackBeforeWrite, missingDeleteFails, rejectsTroubles, tombstonesOnly bool
}

var errDown = errors.New("the target is down")

// one sink process.
type process struct{ m *memory }

func (p process) Write(ctx context.Context, batch []*cdc.Record) error {
	m := p.m
	b := m.broken
	if b.deaf && ctx.Err() != nil {
		time.Sleep(soon + 100*time.Millisecond)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		switch {
		case b.ackBeforeWrite:
			return nil
		case b.rejectsTroubles:
			return &sink.Rejected{Items: []sink.Rejection{{Index: 0, Reason: errDown}}}
		}
		return errDown
	}
	var rejected sink.Rejected
	for i, r := range batch {
		if !b.deaf && ctx.Err() != nil {
			return ctx.Err()
		}
		if b.halfBatches && i > 0 && i == len(batch)-1 && len(batch) > 10 {
			return nil
		}
		if err := m.apply(r); err != nil {
			if b.wrongIndex {
				i++
			}
			rejected.Items = append(rejected.Items, sink.Rejection{Index: i, Reason: err})
			if b.losesOthers {
				return &rejected
			}
		}
	}
	if len(rejected.Items) > 0 {
		return &rejected
	}
	return nil
}

func (m *memory) apply(r *cdc.Record) error {
	b := m.broken
	if r.Key == nil {
		if b.takesKeyless {
			return nil
		}
		return errors.New("no key")
	}
	if r.Value != nil && r.Value.Value("qty").Int() == -666 {
		return errors.New("a bad value")
	}
	key := m.key(r.Key)
	old, ok := m.rows[key]
	switch {
	case b.failsDuplicates && ok && old.version == r.Version:
		return errors.New("it is there already")
	case b.oldestWins && ok && !r.Deleted && !old.deleted:
		return nil
	case !b.noVersions && ok && old.version > r.Version:
		return nil
	case b.tombstonesOnly && r.Deleted && !r.Tombstone:
		return nil
	case b.missingDeleteFails && r.Deleted && (!ok || old.deleted):
		return errors.New("nothing to delete")
	case r.Deleted && b.forgetsDeletes:
		delete(m.rows, key)
		return nil
	}
	s := stored{version: r.Version, deleted: r.Deleted}
	if !r.Deleted {
		s.document = document(r.Value, old.document, b.merges)
	}
	m.rows[key] = s
	return nil
}

func (m *memory) key(k *cdc.Row) string {
	text := fmt.Sprint(k.Values[0].Int())
	for i := range k.Values[1:] {
		if m.broken.joinsKeys {
			text += "|" + string(k.Values[i+1].Bytes())
		} else {
			text += fmt.Sprintf("%q", k.Values[i+1].Bytes())
		}
	}
	return text
}

func document(r *cdc.Row, old []byte, merge bool) []byte {
	out := map[string]any{}
	if merge && old != nil {
		_ = json.Unmarshal(old, &out)
	}
	for i := range r.Values {
		switch v := &r.Values[i]; v.Kind() {
		case cdc.KindInt:
			out[r.Schema.Fields[i].Name] = v.Int()
		case cdc.KindString:
			out[r.Schema.Fields[i].Name] = string(v.Bytes())
		}
	}
	b, _ := json.Marshal(out)
	return b
}

// fixture is a good or broken sink.
func fixture(b broken) Fixture {
	m := &memory{rows: map[string]stored{}, broken: b}
	return Fixture{
		Topic: "items",
		New:   func() (sink.Writer, func(), error) { return process{m}, nil, nil },
		Read: func(_ string, key *cdc.Row) ([]byte, bool, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			s, ok := m.rows[m.key(key)]
			return s.document, ok && !s.deleted, nil
		},
		Bad: func(r *cdc.Record) { r.Value.Values[4] = cdc.Int(-666) },
		Faults: []Fault{{"down", func() (func(), error) {
			m.setDown(true)
			return func() { m.setDown(false) }, nil
		}}},
	}
}

func (m *memory) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func TestAGoodSinkPasses(t *testing.T) {
	TestWriter(t, func(*testing.T) Fixture { return fixture(broken{}) })
}

// TestABrokenSinkIsFound: each fault breaks a promise.
func TestABrokenSinkIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken broken
	}{
		{"no versions", broken{noVersions: true}},
		{"deletes leave no version", broken{forgetsDeletes: true}},
		{"an update merges", broken{merges: true}},
		{"keys are joined without escapes", broken{joinsKeys: true}},
		{"the first write stays", broken{oldestWins: true}},
		{"the last of a batch is forgotten", broken{halfBatches: true}},
		{"a duplicate is an error", broken{failsDuplicates: true}},
		{"another record is named", broken{wrongIndex: true}},
		{"what comes after a rejected one is lost", broken{losesOthers: true}},
		{"records without a key pass", broken{takesKeyless: true}},
		{"deaf to its context", broken{deaf: true}},
		{"acknowledged before it is written", broken{ackBeforeWrite: true}},
		{"a delete of nothing fails", broken{missingDeleteFails: true}},
		{"a trouble that passes is a rejection", broken{rejectsTroubles: true}},
		{"only tombstones delete", broken{tombstonesOnly: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range promises {
				f := fixture(c.broken)
				if err := p.holds(&f); err != nil {
					t.Logf("found by %q: %.150v", p.name, err)
					return
				}
			}
			t.Error("every promise holds")
		})
	}
}
