package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/cmd/internal/doctor"
	"github.com/weir-cdc/weir/cmd/internal/fleet"
	"github.com/weir-cdc/weir/internal/config"
)

// examining is one doctor command.
type examining struct {
	sources config.Sources
	offline bool
	json    bool
	fix     string
	out     io.Writer
}

func newDoctor(environ []string) *cobra.Command {
	e := &examining{sources: config.Sources{Environ: environ}}
	c := &cobra.Command{
		Use:   "doctor <files…>",
		Short: "Find what is wrong with the configurations of a fleet, and what to write instead",
		Long: `doctor reads the configurations of a fleet together, a file for each component, and
asks their servers: what is wrong, why it matters, and what to write instead. Nothing is
changed. Files that are merged for one component are joined by +.

Exit codes: 0 nothing is wrong (there may be warnings), 1 something is.`,
		Example: `  weirctl doctor capture.json search.json cache.json lake.json
  weirctl doctor --offline configs/*.json                  # the files only, no server is asked
  weirctl doctor --fix corrected configs/*.json            # write corrected copies
  weirctl doctor capture.json+secrets.properties search.json --set bootstrap.servers=localhost:9092`,
		Args: wantArgs(1, -1),
		RunE: func(c *cobra.Command, files []string) error {
			e.out = c.OutOrStdout()
			return e.run(c, files)
		},
	}
	c.Flags().StringArrayVar(&e.sources.Set, "set", nil, "set a property, for every component that knows it")
	c.Flags().BoolVar(&e.offline, "offline", false, "look at the files only")
	c.Flags().BoolVar(&e.json, "json", false, "print JSON")
	c.Flags().StringVar(&e.fix, "fix", "", "write corrected copies of the files to this folder")
	return c
}

func (e *examining) run(c *cobra.Command, files []string) error {
	if err := e.known(); err != nil {
		return err
	}
	goredis.SetLogger(silent{})
	d := doctor.Doctor{Programs: fleet.Programs(), Files: files, Sources: e.sources, Offline: e.offline, Now: time.Now}
	report := d.Examine(c.Context())
	if e.json {
		encoder := json.NewEncoder(e.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(report); err != nil {
			return fmt.Errorf("printing the findings: %w", err)
		}
	} else {
		printReport(e.out, report)
	}
	if e.fix != "" {
		copies, err := report.Fix(e.fix)
		if !e.json {
			for _, path := range copies {
				printLine(e.out, "wrote", path)
			}
		}
		if err != nil {
			return err
		}
	}
	if report.Failures() > 0 {
		return errFound
	}
	return nil
}

// silent keeps the Redis client from logging beside the findings.
type silent struct{}

// Printf prints nothing.
func (silent) Printf(context.Context, string, ...any) {}

// known checks that some component knows what is set.
func (e *examining) known() error {
	for _, argument := range e.sources.Set {
		name, _, _ := strings.Cut(argument, "=")
		found := false
		for _, p := range fleet.Programs() {
			found = found || config.Knows(strings.TrimSpace(name), p.AllTables()...)
		}
		if !found {
			return fmt.Errorf("%w: --set %s: no component has that property", errUsage, argument)
		}
	}
	return nil
}

// printReport prints findings for people: the place, then what is wrong, why it
// matters and what to write, each in its column.
func printReport(w io.Writer, r *doctor.Report) {
	for i := range r.Findings {
		printFinding(w, &r.Findings[i])
	}
	for _, s := range r.Skipped {
		printf(w, "%s  not checked\n  %s\n\n", filepath.Base(s.File), s.Reason)
	}
	files := strconv.Itoa(len(r.Checked)) + " files"
	if len(r.Checked) == 1 {
		files = "1 file"
	}
	if r.Offline {
		files += ", no server asked"
	}
	failures := r.Failures()
	printf(w, "%s: %d errors, %d warnings\n", files, failures, len(r.Findings)-failures)
}

func printFinding(w io.Writer, f *doctor.Finding) {
	place := filepath.Base(f.File)
	if strings.HasPrefix(f.Origin, f.File+":") {
		place += f.Origin[len(f.File):]
	} else if f.Origin != "" {
		place += " (" + f.Origin + ")"
	}
	if f.Property != "" {
		place += "  " + f.Property
	}
	printf(w, "%-7s  %s  [%s]\n", f.Severity, place, f.Code)
	row := func(head, text string) { printf(w, "  %-5s  %s\n", head, text) }
	row("what", f.What)
	row("why", f.Why)
	head := "write"
	for _, c := range f.Write {
		row(head, written(f, &c))
		head = ""
	}
	if f.Do != "" {
		row("do", f.Do)
	}
	printLine(w)
}

// written is a change as its file would have it.
func written(f *doctor.Finding, c *doctor.Change) string {
	text := c.Property + "=" + c.Text
	switch {
	case c.Remove:
		text = "no " + c.Property
	case strings.EqualFold(filepath.Ext(c.File), ".json"):
		text = fmt.Sprintf("%q: %q", c.Property, c.Text)
	}
	if c.File != f.File && !strings.HasPrefix(f.File, c.File+"+") {
		text += "  in " + filepath.Base(c.File)
	}
	return text
}
