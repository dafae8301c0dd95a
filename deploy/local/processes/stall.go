package processes

import (
	"fmt"
	"time"
)

// stalled is how long nothing may move before a wait is given up. How long a
// wait takes in all depends on the machine and what else it does; something that
// does not move at all for so long hangs.
const stalled = 3 * time.Minute

// Stall tells a wait that hangs from one that goes on slowly. The zero value has
// seen nothing.
type Stall struct {
	last  string
	since time.Time
}

// Check takes what changes as long as something moves. It is an error if that
// has been the same for some minutes.
func (s *Stall) Check(progress string) error {
	switch now := time.Now(); {
	case s.since.IsZero() || progress != s.last:
		s.last, s.since = progress, now
	case now.Sub(s.since) > stalled:
		return fmt.Errorf("nothing has moved for %v", stalled)
	}
	return nil
}
