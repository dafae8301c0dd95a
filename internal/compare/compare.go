// Package compare says whether a target equals its table, key by key: an
// Elasticsearch index, keys in Redis, or Parquet files in S3. It reads both
// sides by means of its own and not by those that wrote them.
package compare

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Rows reads all rows of one side and calls each with a key and the row in
// canonical form, in any order. Both are valid during the call only. A key may
// come more than once only on a side that says so.
type Rows interface {
	Each(ctx context.Context, each func(key, row string) error) error
}

// Result is how far a target differs from its table.
type Result struct {
	Table, Target  string
	Source, Copies int // rows of the table, rows of the target
	Missing        int // in the table and not in the target
	Extra          int // in the target and not in the table
	Different      int // in both, and not equal
	// Examples are some differences, each in one line.
	Examples []string
}

// Differences is how many keys differ.
func (r *Result) Differences() int { return r.Missing + r.Extra + r.Different }

// examples is how many differences are described.
const examples = 5

// Run reads both sides and compares them. Memory is about the size of the
// table's keys and rows.
func Run(ctx context.Context, table, target string, source, copies Rows) (*Result, error) {
	r := &Result{Table: table, Target: target}
	want := map[string]string{}
	err := source.Each(ctx, func(key, row string) error {
		want[strings.Clone(key)] = strings.Clone(row)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading table %s: %w", table, err)
	}
	r.Source = len(want)
	seen := make(map[string]bool, len(want))
	err = copies.Each(ctx, func(key, row string) error {
		if seen[key] {
			r.note("%s is there twice", key)
			r.Extra++
			return nil
		}
		seen[strings.Clone(key)] = true
		r.Copies++
		r.compare(key, row, want)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", target, err)
	}
	r.missing(want, seen)
	return r, nil
}

func (r *Result) compare(key, row string, want map[string]string) {
	switch expected, ok := want[key]; {
	case !ok:
		r.Extra++
		r.note("%s is not in the table: %s", key, row)
	case expected != row:
		r.Different++
		r.note("%s differs: %s", key, firstDifference(expected, row))
	}
}

func (r *Result) missing(want map[string]string, seen map[string]bool) {
	var keys []string
	for key := range want {
		if !seen[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	r.Missing = len(keys)
	for _, key := range keys {
		r.note("%s is missing: %s", key, want[key])
	}
}

func (r *Result) note(format string, args ...any) {
	if len(r.Examples) < examples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// separator stands between the columns of a canonical row.
const separator = "\x1f"

// firstDifference names the first column that is not the same.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, separator), strings.Split(got, separator)
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("table has %s, target has %s", x, y)
		}
	}
	return "not at all"
}
