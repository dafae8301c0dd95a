package golden

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is what came of comparing a case.
type Report struct {
	Case string
	// Stream and Snapshot count the records of Debezium's that were compared,
	// Beyond ours that came after a connector of Debezium's had died.
	Stream, Snapshot, Beyond int
	// Excepted counts what differs as documented.
	Excepted []Excepted
	// Difference is the first that is not; Err says why a part could not be run.
	Difference *Difference
	Err        error
	Took       time.Duration
}

// Excepted counts one documented difference.
type Excepted struct {
	Name, Reason string
	Count        int
}

// Passed reports whether nothing differs but what is documented.
func (r *Report) Passed() bool { return r.Difference == nil && r.Err == nil }

func (r *Report) count(p Part) {
	if p == PartStream {
		r.Stream++
	} else {
		r.Snapshot++
	}
}

func (r *Report) except(name, reason string) {
	i := slices.IndexFunc(r.Excepted, func(e Excepted) bool { return e.Name == name })
	if i < 0 {
		i = len(r.Excepted)
		r.Excepted = append(r.Excepted, Excepted{Name: name, Reason: reason})
	}
	r.Excepted[i].Count++
}

func (r *Report) String() string {
	var b strings.Builder
	verdict := "pass"
	if !r.Passed() {
		verdict = "DIFF"
	}
	fmt.Fprintf(&b, "%s  %s: %d records of the stream, %d of the snapshot (%.1f s)\n", verdict, r.Case, r.Stream, r.Snapshot, r.Took.Seconds())
	if r.Beyond > 0 {
		fmt.Fprintf(&b, "  %d records more than Debezium, whose connector died\n", r.Beyond)
	}
	for _, e := range r.Excepted {
		fmt.Fprintf(&b, "  %d × %s: %s\n", e.Count, e.Name, e.Reason)
	}
	if r.Difference != nil {
		b.WriteString(r.Difference.String())
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(r.Err.Error(), "\n", "\n  "))
	}
	return b.String()
}
