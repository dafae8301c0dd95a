// Package admin is the HTTP port of a component: metrics for Prometheus, health
// for whoever restarts it, its status as JSON, and the few things an operator
// may ask of it while it runs. Client is the other side, for weirctl.
package admin

import (
	"context"
	"time"
)

// Component is what the port shows and steers. Its methods may be called at any
// time from several goroutines, and Status and Ready must not wait.
type Component interface {
	// Status is the component as it is now.
	Status() Status
	// Ready is nil while the component works, or says why it does not yet or no
	// longer.
	Ready() error
	// Pause stops the work, keeping what the component holds (partitions, the
	// lead) where that can be; Resume goes on. Both return when it is done.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Skip moves the partition that is stuck at a record past it. It returns an
	// error that wraps errors.ErrUnsupported where there is nothing to skip
	// (captures), and another one if the partition is not stuck at that record.
	Skip(ctx context.Context, at Record) error
}

// Record is one record of Kafka.
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// State is Kafka Connect's state of a connector or task.
type State string

// The states. A component that waits for an unreachable target is RUNNING and
// says so in its Problem; FAILED needs somebody to act.
const (
	Running    State = "RUNNING"
	Paused     State = "PAUSED"
	Failed     State = "FAILED"
	Unassigned State = "UNASSIGNED"
)

// Status is the JSON of /status: Kafka Connect's connector status, and more.
type Status struct {
	Name      string    `json:"name"`
	Type      string    `json:"type"`      // source or sink
	Component string    `json:"component"` // the binary
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Connector Worker    `json:"connector"`
	Tasks     []Task    `json:"tasks"`
	// Position is the source's, for a capture: GTIDs, or file and position.
	Position string `json:"position,omitempty"`
	// Group is the consumer group, for a sink.
	Group string `json:"group,omitempty"`
	Lag   Lag    `json:"lag"`
	Rates Rates  `json:"rates"`
	// Snapshot is the snapshot that is running or was the last, if any.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Problem is what went wrong last, if it still matters.
	Problem *Problem `json:"problem,omitempty"`
}

// Worker is the state of the connector and the process it runs in.
type Worker struct {
	State  State  `json:"state"`
	Worker string `json:"worker_id"` // host:port of the admin listener
}

// Task is one part of the work that can fail or pause on its own: a partition of
// a sink, the one task of a capture.
type Task struct {
	ID     int    `json:"id"`
	State  State  `json:"state"`
	Worker string `json:"worker_id"`
	// What a sink's task reads, nil for a capture.
	*Partition
	Lag     Lag      `json:"lag"`
	Problem *Problem `json:"problem,omitempty"`
	// Trace is the problem's text again, where Kafka Connect has it.
	Trace string `json:"trace,omitempty"`
}

// Partition is how far a sink is in one partition.
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // offset of the next record to be written; -1: none
	End       int64  `json:"end"`       // offset one past the last record; -1: unknown
}

// Lag is how far behind a component is.
type Lag struct {
	Records int64   `json:"records"` // -1: unknown
	Seconds float64 `json:"seconds"` // age of the oldest change that is not done
}

// Rates are averages over the last minute.
type Rates struct {
	Records float64 `json:"records_per_second"`
	Bytes   float64 `json:"bytes_per_second"`
	Errors  float64 `json:"errors_per_minute"`
}

// Snapshot is the progress of a snapshot.
type Snapshot struct {
	State     string          `json:"state"` // RUNNING, PAUSED, COMPLETED
	Started   time.Time       `json:"started"`
	Rows      int64           `json:"rows"`
	Estimated int64           `json:"rows_estimated"` // of all tables; 0: unknown
	Tables    []TableSnapshot `json:"tables"`
}

// TableSnapshot is the progress of one table's snapshot.
type TableSnapshot struct {
	Table     string `json:"table"`
	Rows      int64  `json:"rows"`
	Estimated int64  `json:"rows_estimated"`
	Done      bool   `json:"done"`
}

// Problem is an error with what to do about it.
type Problem struct {
	Text string    `json:"text"`
	Do   string    `json:"what_to_do,omitempty"`
	At   time.Time `json:"at"`
	// Record is the record that a partition is stuck at.
	Record *Record `json:"record,omitempty"`
}
