package capturer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/service"
)

// status shows a capture on the HTTP port.
type status struct {
	name    string
	get     func() capture.Status
	started time.Time
}

func newStatus(name string, get func() capture.Status) status {
	return status{name, get, time.Now()}
}

// Status is the capture as it is now: a connector with one task.
func (s status) Status() admin.Status {
	now := s.get()
	state := admin.State(now.State)
	problem := problemOf(now)
	task := admin.Task{State: state, Worker: now.Instance, Lag: admin.Lag{Records: -1, Seconds: now.LagSeconds}, Problem: problem}
	if state == admin.Failed && problem != nil {
		task.Trace = problem.Text
	}
	return admin.Status{
		Name: s.name, Type: "source", Component: Name, Version: service.Version(), Started: s.started,
		Connector: admin.Worker{State: state, Worker: now.Instance}, Tasks: []admin.Task{task}, Position: string(now.Position),
		Lag: task.Lag, Rates: admin.Rates{Records: now.RecordsPerSecond, Bytes: now.BytesPerSecond},
		Snapshot: snapshotOf(now.Snapshot), Problem: problem,
	}
}

// recent is how long a failure is shown that the capture got over.
const recent = time.Minute

// problemOf is what keeps the capture from running, or did so lately.
func problemOf(now capture.Status) *admin.Problem {
	if now.Error == "" || now.State == capture.StateRunning && time.Since(now.ErrorTime) > recent {
		return nil
	}
	p := &admin.Problem{Text: now.Error, At: now.ErrorTime, Do: "the capture tries again by itself; see the log if it goes on"}
	if now.State == capture.StateFailed {
		p.Do = "mend what the text says and start the capture again"
	}
	return p
}

func snapshotOf(now *capture.SnapshotStatus) *admin.Snapshot {
	if now == nil {
		return nil
	}
	s := &admin.Snapshot{State: "COMPLETED", Started: now.Started, Rows: now.Rows, Tables: make([]admin.TableSnapshot, now.Tables)}
	if now.Running {
		s.State = "RUNNING"
	}
	for i := range s.Tables {
		s.Tables[i].Done = i < now.Done
	}
	if now.Done < len(s.Tables) {
		s.Tables[now.Done].Table = now.Table
	}
	return s
}

// Ready is nil while the capture works or stands by: a standby that were not
// ready would keep a rolling update from ever stopping the leader.
func (s status) Ready() error {
	if now := s.get(); now.State == capture.StateFailed {
		return errors.New(now.Error)
	}
	return nil
}

var errPause = fmt.Errorf("a capture cannot be paused: it would fall behind the source's log; stop the process instead (%w)", errors.ErrUnsupported)

// Pause is not supported.
func (s status) Pause(context.Context) error { return errPause }

// Resume is not supported.
func (s status) Resume(context.Context) error { return errPause }

// Skip is not supported.
func (s status) Skip(context.Context, admin.Record) error {
	return fmt.Errorf("a capture never leaves out a change (%w)", errors.ErrUnsupported)
}
