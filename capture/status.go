package capture

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
)

// State is what a capture is doing.
type State string

// The states of a capture. A standby is one of several instances and waits.
const (
	StateUnassigned State = "UNASSIGNED" // not started, or waiting to lead
	StateRunning    State = "RUNNING"
	StateFailed     State = "FAILED"
)

// Status is what a capture shows of itself.
type Status struct {
	State    State  `json:"state"`
	Leader   bool   `json:"leader"`
	Instance string `json:"instance"`
	// Position is the last one stored, in the source's own JSON, Version the
	// last version given.
	Position json.RawMessage `json:"position,omitempty"`
	Version  int64           `json:"version,omitempty"`
	// LagSeconds is how far the last published transaction is behind now, 0
	// when the log is drained.
	LagSeconds float64 `json:"lag_seconds"`
	// RecordsPerSecond and BytesPerSecond are of what was committed lately.
	RecordsPerSecond float64         `json:"records_per_second"`
	BytesPerSecond   float64         `json:"bytes_per_second"`
	Records          int64           `json:"records"`
	Bytes            int64           `json:"bytes"`
	Snapshot         *SnapshotStatus `json:"snapshot,omitempty"`
	// Error is the last failure, also one that was got over, at ErrorTime.
	Error     string    `json:"error,omitempty"`
	ErrorTime time.Time `json:"error_time,omitzero"`
}

// SnapshotStatus is how far a snapshot is.
type SnapshotStatus struct {
	Running bool      `json:"running"`
	Started time.Time `json:"started"`
	Tables  int       `json:"tables"` // to be read in all
	Done    int       `json:"done"`
	Rows    int64     `json:"rows"` // published
	// Table is the one that rows were published of last.
	Table string `json:"table,omitempty"`
}

// progress gathers what Status shows. The stream writes it, anybody reads it.
type progress struct {
	now        func() time.Time
	lastCommit atomic.Int64 // ms
	isDrained  atomic.Bool

	mu       sync.Mutex
	status   Status
	rows     map[string]int64
	sampled  time.Time
	sRecords int64
	sBytes   int64
}

func newProgress(instance string, now func() time.Time) *progress {
	return &progress{now: now, status: Status{State: StateUnassigned, Instance: instance}, rows: map[string]int64{}, sampled: now()}
}

func (p *progress) set(f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.status)
}

// committed is a source transaction that was read to its end.
func (p *progress) committed(commitMillis int64) {
	p.lastCommit.Store(commitMillis)
	if p.isDrained.Load() {
		p.isDrained.Store(false)
	}
}

func (p *progress) drained() { p.isDrained.Store(true) }

func (p *progress) lagSeconds() float64 {
	at := p.lastCommit.Load()
	if p.isDrained.Load() || at == 0 {
		return 0
	}
	return max(0, float64(p.now().UnixMilli()-at)/1000)
}

// stored is an offset that is committed with records.
func (p *progress) stored(position []byte, version int64, records, bytes int) {
	p.set(func(s *Status) {
		s.Position, s.Version = position, version
		s.Records += int64(records)
		s.Bytes += int64(bytes)
	})
}

func (p *progress) failed(err error, state State) {
	p.set(func(s *Status) { s.Error, s.ErrorTime, s.State = err.Error(), p.now(), state })
}

// waits says what a transform waits for, such as a server that does not answer.
func (p *progress) waits(reason string) {
	if reason != "" {
		p.set(func(s *Status) { s.Error, s.ErrorTime = reason, p.now() })
	}
}

// snapshotTables says how many tables a snapshot is to read.
func (p *progress) snapshotTables(n int) {
	p.set(func(s *Status) {
		if s.Snapshot == nil || !s.Snapshot.Running {
			s.Snapshot = &SnapshotStatus{Started: p.now()}
			clear(p.rows)
		}
		s.Snapshot.Running = true
		s.Snapshot.Tables += n
	})
}

func (p *progress) snapshotRows(table string, rows int64) {
	p.set(func(s *Status) {
		if s.Snapshot == nil {
			return
		}
		s.Snapshot.Rows += rows - p.rows[table]
		s.Snapshot.Table, p.rows[table] = table, rows
	})
}

func (p *progress) tableDone() {
	p.set(func(s *Status) {
		if s.Snapshot != nil {
			s.Snapshot.Done++
		}
	})
}

func (p *progress) snapshotDone() {
	p.set(func(s *Status) {
		if s.Snapshot != nil {
			s.Snapshot.Running = false
		}
	})
}

// get is the status now.
func (p *progress) get() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if d := now.Sub(p.sampled).Seconds(); d >= 1 {
		p.status.RecordsPerSecond = float64(p.status.Records-p.sRecords) / d
		p.status.BytesPerSecond = float64(p.status.Bytes-p.sBytes) / d
		p.sampled, p.sRecords, p.sBytes = now, p.status.Records, p.status.Bytes
	}
	out := p.status
	out.LagSeconds = p.lagSeconds()
	if out.Snapshot != nil {
		snapshot := *out.Snapshot
		out.Snapshot = &snapshot
	}
	return out
}
