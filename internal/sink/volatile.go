package sink

import (
	"context"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Volatile is a Writer whose target may lose what it has acknowledged: a server
// that keeps data in memory, or whose replicas follow later. The runtime works
// through a Session for each partition, commits what that wants to remember
// beside the offsets, and reads records again that may have been lost.
type Volatile interface {
	Writer
	// Reach is how far back before a loss the target may have lost what it
	// acknowledged. Zero: nobody is to look for losses, and the runtime uses
	// Write of the Writer.
	Reach() time.Duration
	// Resume begins work on a partition. memory is what the session before it had
	// in mind when the partition's offset was committed, "" if there was none.
	// lost is not nil when what was written under memory may be gone. A *Stopped
	// error says that more is gone than Reach covers; any other error, that the
	// target cannot tell now.
	Resume(ctx context.Context, memory string) (s Session, lost *Lost, err error)
}

// Session is the work on one partition; one goroutine uses it.
type Session interface {
	// Write is Writer's. A *Lost error says that what was written before may be
	// gone, this batch included, and a *Stopped error that all of it is.
	Write(ctx context.Context, batch []*cdc.Record) error
	// Check looks for losses while there is nothing to write; errors are those of
	// Write.
	Check(ctx context.Context) error
	// Memory is what to commit beside an offset, so that Resume finds out later
	// whether what was written until now is still there: at most 2,000 bytes,
	// without semicolons. Sound is the last moment at which nothing was lost, as
	// far as is known; a loss that is found later came after it.
	Memory() (memory string, sound time.Time)
}

// Lost is an error that says that a target may have lost what it acknowledged
// within its Reach. The runtime reads those records again.
type Lost struct {
	Reason string
}

// Error is the reason.
func (l *Lost) Error() string { return l.Reason }
