// Package doctor reads the files of a fleet together and finds what will not
// work, before it is started: within a file, between files, and, if it may ask
// them, on the servers.
package doctor

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/cmd/internal/topology"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	// Failure is what loses data, or keeps it from where it should go.
	Failure Severity = "error"
	// Warning is what works here, and may yet not be what was meant.
	Warning Severity = "warning"
)

// Finding is one thing that is wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code is short and stable: route-never-matches, unreachable, …; the list is
	// in docs/operations.md.
	Code string `json:"code"`
	// File is the configuration as it was given; Origin is file:line where a
	// property is at fault that is set there.
	File     string `json:"file"`
	Origin   string `json:"origin,omitempty"`
	Property string `json:"property,omitempty"`
	What     string `json:"what"` // is wrong
	Why      string `json:"why"`  // it matters
	// Write is what the files should say; Do is what to do where no file can say
	// it.
	Write []Change `json:"write,omitempty"`
	Do    string   `json:"do,omitempty"`
}

// Change is a property of a file as it should be.
type Change struct {
	File     string `json:"file"`
	Property string `json:"property"`
	Text     string `json:"text,omitempty"`
	Remove   bool   `json:"remove,omitempty"`
	// as is the name by which the file has the property, after the one beside
	// which a new one is written; elsewhere is the flag or variable that sets it
	// in place of a file.
	as, after, elsewhere string
}

// Report is what a Doctor found.
type Report struct {
	Findings []Finding `json:"findings"`
	// Skipped are files that hold no connector, and why they were not looked at.
	Skipped []Skipped `json:"skipped,omitempty"`
	Checked []string  `json:"checked"`
	Offline bool      `json:"offline,omitempty"` // the servers were not asked
}

// Skipped is a file that was not looked at.
type Skipped struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Failures counts the findings that are errors.
func (r *Report) Failures() int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == Failure {
			n++
		}
	}
	return n
}

// add adds a finding unless there is one that says the same.
func (r *Report) add(f Finding) {
	same := func(other Finding) bool {
		return f.Code == other.Code && f.What == other.What && (f.File == other.File || f.Property == "")
	}
	if !slices.ContainsFunc(r.Findings, same) {
		r.Findings = append(r.Findings, f)
	}
}

// find adds a finding about a property of m.
func (r *Report) find(m *member, severity Severity, f Finding) {
	f.Severity, f.File = severity, m.file
	if f.Property != "" {
		_, f.Origin, _ = m.setAs(f.Property)
	}
	r.add(f)
}

// problems adds what topology found in m's file.
func (r *Report) problems(m *member, severity Severity, problems []topology.Problem) {
	for i := range problems {
		p := &problems[i]
		f := Finding{Code: p.Code, Property: p.Property, What: p.What, Why: p.Why}
		for _, c := range p.Changes {
			f.Write = append(f.Write, m.change(c.Property, c.Text, p.Property))
		}
		if len(p.Changes) == 0 {
			f.Do = p.Advice
		}
		r.find(m, severity, f)
	}
}

// sort orders findings by file, in the order in which files were given, errors
// first.
func (r *Report) sort(files []string) {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), strings.Compare(string(a.Severity), string(b.Severity)))
	})
}
