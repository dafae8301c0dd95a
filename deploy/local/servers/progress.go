package servers

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells people what takes time, one short aligned line each.
type progress struct {
	mu  sync.Mutex
	out io.Writer
}

// say writes one line: who, what happens, and details such as a size or an address.
func (p *progress) say(who, what, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, "  %-22s %-10s %s\n", who, what, detail)
}

// since renders the time that has passed since start.
func since(start time.Time) string {
	return fmt.Sprintf("%.1f s", time.Since(start).Seconds())
}

// megabytes renders a size.
func megabytes(bytes int64) string {
	return fmt.Sprintf("%d MB", (bytes+500_000)/1_000_000)
}
