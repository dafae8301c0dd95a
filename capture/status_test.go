package capture

import (
	"testing"
	"time"
)

// TestASnapshotHasAStart, the same until another one begins.
func TestASnapshotHasAStart(t *testing.T) {
	now := time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC)
	p := newProgress("a", func() time.Time { return now })
	began := now
	p.snapshotTables(1)
	now = now.Add(time.Minute)
	p.snapshotTables(1)
	if s := p.get().Snapshot; !s.Started.Equal(began) || s.Tables != 2 {
		t.Errorf("got %+v, want one of 2 tables that began at %v", s, began)
	}
	p.snapshotDone()
	p.snapshotTables(1)
	if s := p.get().Snapshot; !s.Started.Equal(now) || s.Tables != 1 {
		t.Errorf("got %+v, want another one that began at %v", s, now)
	}
}
