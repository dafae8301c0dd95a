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
	// Unwritten counts those that a capture which failed like Debezium's
	// connector, at the same record, had not committed.
	Unwritten int
	// Excepted counts what differs as documented.
	Excepted []Excepted
	// Differences are the first that are not, as many as were asked for; Err says
	// why a part could not be run.
	Differences []*Difference
	Err         error
	Took        time.Duration

	limit int // of Differences
}

// Excepted counts one documented difference.
type Excepted struct {
	Name, Reason string
	Count        int
}

// Passed reports whether nothing differs but what is documented.
func (r *Report) Passed() bool { return len(r.Differences) == 0 && r.Err == nil }

func (r *Report) count(p Part) {
	if p == PartStream {
		r.Stream++
	} else {
		r.Snapshot++
	}
}

// differs takes a difference and reports whether to look for more.
func (r *Report) differs(d *Difference) bool {
	kept := *d
	r.Differences = append(r.Differences, &kept)
	return len(r.Differences) < r.limit
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
	if r.Unwritten > 0 {
		fmt.Fprintf(&b, "  %d records fewer than Debezium: both died of a transform, and what was not complete was not committed\n", r.Unwritten)
	}
	for _, e := range r.Excepted {
		fmt.Fprintf(&b, "  %d × %s: %s\n", e.Count, e.Name, e.Reason)
	}
	for _, d := range r.Differences {
		b.WriteString(d.String())
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(r.Err.Error(), "\n", "\n  "))
	}
	return b.String()
}
