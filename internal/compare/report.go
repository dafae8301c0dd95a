package compare

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Job is a table and the targets that have to equal it.
type Job struct {
	Table   *Table
	Targets []Target
	// Topics are those whose events the lake among the targets has to have, read
	// with a client of the options Kafka; none: events are not compared.
	Topics []string
	Kafka  []kgo.Opt
}

// Target is one of a job's targets.
type Target struct {
	Name string // as the report shows it: elasticsearch, redis, lake
	Rows Rows
}

// Report is what comparing several tables found.
type Report struct {
	Results []*Result // by job and target
	Events  []*EventsResult
}

// Differences is how many keys and events differ.
func (r *Report) Differences() (n int) {
	for _, result := range r.Results {
		n += result.Differences()
	}
	for _, events := range r.Events {
		n += events.Differences()
	}
	return n
}

// atOnce is how many comparisons run together.
const atOnce = 3

// Verify compares tables with their targets, several at a time.
func Verify(ctx context.Context, jobs []Job, options Options) (*Report, error) {
	var parts []*Report
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range jobs {
		for _, target := range jobs[i].Targets {
			part := &Report{}
			parts = append(parts, part)
			g.Go(func() error { return jobs[i].compare(ctx, target, options, part) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	whole := &Report{}
	for _, part := range parts {
		whole.Results, whole.Events = append(whole.Results, part.Results...), append(whole.Events, part.Events...)
	}
	return whole, nil
}

// compare compares the job's table with one target.
func (j *Job) compare(ctx context.Context, target Target, options Options, into *Report) error {
	lake, ok := target.Rows.(*Lake)
	if ok && len(j.Topics) > 0 {
		lake.Events = &Events{}
	}
	result, err := Run(ctx, j.Table, target.Name, target.Rows, options)
	if err != nil {
		return err
	}
	into.Results = append(into.Results, result)
	if !ok || lake.Events == nil {
		return nil
	}
	events, err := lake.Events.Compare(ctx, j.Topics, j.Kafka...)
	if err != nil {
		return fmt.Errorf("comparing the events of %s: %w", j.Table, err)
	}
	events.Table = j.Table.String()
	into.Events = append(into.Events, events)
	return nil
}

// Write writes the report as an aligned table, a line for each table, and below
// it examples of what differs.
func (r *Report) Write(w io.Writer) error {
	groups, lines := r.lines()
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	var out strings.Builder
	out.WriteString(heading(groups, widths) + "\n")
	for _, line := range lines {
		at := 0
		for g := range groups {
			for i := range groups[g].columns {
				out.WriteString(space(g, i) + pad(line[at], widths[at], at > 0))
				at++
			}
		}
		out.WriteString("\n")
	}
	r.examples(&out)
	_, err := io.WriteString(w, out.String())
	return err
}

// group is columns that stand together.
type group struct {
	name    string
	columns int
}

// space is what stands before the i-th column of a group: groups stand apart.
func space(group, i int) string {
	switch {
	case i > 0:
		return "  "
	case group > 0:
		return "    "
	}
	return ""
}

func pad(text string, width int, right bool) string {
	filling := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	if right {
		return filling + text
	}
	return text + filling
}

// heading has each group's name over its columns, which it makes wide enough.
func heading(groups []group, widths []int) string {
	line, at := "", 0
	for g, group := range groups {
		width := -len(space(g, 1))
		for i := range group.columns {
			width += len(space(g, 1)) + widths[at+i]
		}
		if lack := utf8.RuneCountInString(group.name) - width; lack > 0 {
			widths[at] += lack
			width += lack
		}
		line += space(g, 0) + pad(group.name, width, true)
		at += group.columns
	}
	return line
}

// lines are the groups of columns, and lines: the columns' names, one for each
// table, and the sums.
func (r *Report) lines() ([]group, [][]string) {
	var tables, targets []string
	cells := map[[2]string]*Result{}
	for _, result := range r.Results {
		if !slices.Contains(tables, result.Table) {
			tables = append(tables, result.Table)
		}
		if !slices.Contains(targets, result.Target) {
			targets = append(targets, result.Target)
		}
		cells[[2]string{result.Table, result.Target}] = result
	}
	events := map[string]*EventsResult{}
	for _, e := range r.Events {
		events[e.Table] = e
	}
	groups, head := []group{{"", 2}}, []string{"table", "rows"}
	for _, target := range targets {
		groups, head = append(groups, group{target, 2}), append(head, "rows", "differ")
	}
	if len(events) > 0 {
		groups, head = append(groups, group{"change events", 3}), append(head, "kafka", "lake", "differ")
	}
	out := [][]string{head}
	sums := make([]int, len(head)-1)
	for _, table := range tables {
		numbers := numbersOf(table, targets, cells, events)
		out = append(out, append([]string{table}, texts(numbers)...))
		for i, n := range numbers {
			sums[i] += max(n, 0)
		}
	}
	return groups, append(out, append([]string{"all"}, texts(sums)...))
}

// numbersOf are the numbers of one table's line; -1 is none.
func numbersOf(table string, targets []string, cells map[[2]string]*Result, events map[string]*EventsResult) []int {
	numbers := []int{-1}
	for _, target := range targets {
		result := cells[[2]string{table, target}]
		if result == nil {
			numbers = append(numbers, -1, -1)
			continue
		}
		numbers[0] = max(numbers[0], result.Source)
		numbers = append(numbers, result.Copies, result.Differences())
	}
	switch e := events[table]; {
	case e != nil:
		numbers = append(numbers, e.Kafka, e.Rows, e.Differences())
	case len(events) > 0:
		numbers = append(numbers, -1, -1, -1)
	}
	return numbers
}

func texts(numbers []int) (out []string) {
	for _, n := range numbers {
		if n < 0 {
			out = append(out, "-")
			continue
		}
		text := strconv.Itoa(n)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		out = append(out, text)
	}
	return out
}

// examples writes what differs, and what else there is to know.
func (r *Report) examples(out *strings.Builder) {
	for _, result := range r.Results {
		about(out, result.Table+" in "+result.Target, result.Differences(), result.Examples, []remark{
			{result.Unsettled, "changed while being compared"},
			{result.Incomplete, "lack a column added later, at its default"},
		})
	}
	for _, e := range r.Events {
		about(out, "events of "+e.Table, e.Differences(), e.Examples, []remark{{e.Compacted, "no longer in Kafka"}})
	}
}

type remark struct {
	count int
	text  string
}

func about(out *strings.Builder, what string, differences int, examples []string, remarks []remark) {
	for _, m := range remarks {
		if m.count > 0 {
			fmt.Fprintf(out, "%s: %d %s\n", what, m.count, m.text)
		}
	}
	if differences == 0 {
		return
	}
	fmt.Fprintf(out, "%s: %d different\n", what, differences)
	for _, line := range examples {
		fmt.Fprintf(out, "  %s\n", line)
	}
}
