// Package compare says whether a target equals its table, key by key: an
// Elasticsearch index, keys in Redis, or Parquet files in S3 or a directory. It
// reads both sides by means of its own and not by those that wrote them, and
// holds a hash of each row, not the row.
package compare

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// Row is one row of a side of a comparison.
type Row struct {
	// Key and Values are the row and its key in the form that both sides have in
	// common. Table.describe shows it to people.
	Key, Values []byte
	// Version orders the states of one key on a side that keeps all of them; of
	// several rows with one key the newest counts. 0: the side has each key once.
	Version uint64
	// Deleted says that the key is gone as of Version.
	Deleted bool
	// Incomplete says that the row lacks columns, which were taken to have their
	// default: those that were added to the table after the row was written.
	Incomplete bool
	// Foreign says that the target has something that is no row, called Key.
	Foreign bool
	// Misplaced is where the row is if that is not where its key says; "" if it is.
	Misplaced string
}

// Rows is one side of a comparison: it calls each with every row, in any order.
// The row is valid during the call only. A side that is not there at all, such
// as an index that was never created, is an error that wraps ErrNoTarget.
type Rows interface {
	Each(ctx context.Context, each func(*Row) error) error
}

// ErrNoTarget is a target that does not exist.
var ErrNoTarget = errors.New("there is no such target")

// Result is how far a target differs from its table.
type Result struct {
	Table, Target  string
	Source, Copies int // rows of the table, rows of the target
	Missing        int // in the table and not in the target
	Extra          int // in the target and not in the table, or there twice
	Different      int // in both and not equal, or not where its key says
	// Unsettled are keys that differed every time they were read, but whose row
	// in the table changed in between: with changes on their way that says nothing.
	Unsettled int
	// Incomplete are rows that equal the table's but for columns that were added
	// later, which they lack and which have their default in the table.
	Incomplete int
	// Examples are some differences, each in one line.
	Examples []string
}

// Differences is how many keys differ.
func (r *Result) Differences() int { return r.Missing + r.Extra + r.Different }

// Options say how a comparison goes about changes that are still on their way.
type Options struct {
	// Rounds is how often keys that differ are looked at again, Wait after the
	// last time; 0: never. A key differs for good if it does in the last round and
	// its row in the table did not change since the round before.
	Rounds int
	Wait   time.Duration
	// Examples is how many differences are described; 0: five.
	Examples int
}

const defaultExamples = 5

// Run compares a table with one of its targets. It reads both once, and once
// more to describe differences. Memory is about 60 bytes a row.
func Run(ctx context.Context, table *Table, target string, copies Rows, options Options) (*Result, error) {
	if options.Examples == 0 {
		options.Examples = defaultExamples
	}
	c := &comparison{
		table: table, target: target, copies: copies, options: options, seed: maphash.MakeSeed(),
		Result: Result{Table: table.String(), Target: target},
	}
	found, err := c.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	for round := 0; round < options.Rounds && len(found) > 0; round++ {
		if err := pause(ctx, options.Wait); err != nil {
			return nil, err
		}
		before := found
		if found, err = c.read(ctx, before); err != nil {
			return nil, err
		}
		c.unsettle(found, before)
	}
	c.count(found)
	if len(found) > 0 {
		err = c.describe(ctx, found)
	}
	return &c.Result, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// comparison is one run of Run.
type comparison struct {
	Result
	table   *Table
	target  string
	copies  Rows
	options Options
	seed    maphash.Seed
	absent  error // why there is no target
}

// mark is what is kept of a row of the target: a hash of its values with flags
// in its lowest bits, and its version.
type mark struct{ row, version uint64 }

const (
	markDeleted uint64 = 1 << iota
	markSeen
	markTwice
	markMisplaced
	markIncomplete
	markFlags = 1<<iota - 1
)

func (c *comparison) hash(b []byte) uint64 { return maphash.Bytes(c.seed, b) &^ markFlags }

// difference is what is wrong with one key.
type difference struct {
	kind   differenceKind
	source uint64 // hash of the row in the table, 0 if there is none
	moving bool   // the row in the table changed since the round before
}

type differenceKind uint8

const (
	missing differenceKind = iota
	extra
	twice
	unequal
	misplaced
)

// read reads both sides and returns the keys that differ, by hash. Only keys in
// only are looked at, unless it is nil.
func (c *comparison) read(ctx context.Context, only map[uint64]difference) (map[uint64]difference, error) {
	if only == nil {
		c.Source, c.Copies, c.Incomplete = 0, 0, 0
	}
	wanted := func(key uint64) bool {
		_, ok := only[key]
		return ok || only == nil
	}
	marks, err := c.readCopies(ctx, wanted, only == nil)
	if err != nil {
		return nil, err
	}
	found := map[uint64]difference{}
	err = c.table.Each(ctx, func(r *Row) error {
		key := maphash.Bytes(c.seed, r.Key)
		if only == nil {
			c.Source++
		}
		if !wanted(key) {
			return nil
		}
		row := c.hash(r.Values)
		m, ok := marks[key]
		if kind, differs := m.against(row, ok); differs {
			found[key] = difference{kind: kind, source: row}
		} else if m.row&markIncomplete != 0 && only == nil {
			c.Incomplete++
		}
		if ok {
			m.row |= markSeen
			marks[key] = m
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading table %s: %w", c.table, err)
	}
	for key, m := range marks {
		if m.row&(markSeen|markDeleted) == 0 {
			found[key] = difference{kind: extra}
		}
	}
	return found, nil
}

// against says how the target's row differs from the table's, whose hash is row.
func (m mark) against(row uint64, there bool) (kind differenceKind, differs bool) {
	switch {
	case !there || m.row&markDeleted != 0:
		return missing, true
	case m.row&markTwice != 0:
		return twice, true
	case m.row&^markFlags != row:
		return unequal, true
	}
	return misplaced, m.row&markMisplaced != 0
}

// readCopies reads the target and keeps a mark of the newest row of each key.
func (c *comparison) readCopies(ctx context.Context, wanted func(uint64) bool, count bool) (map[uint64]mark, error) {
	marks := map[uint64]mark{}
	err := c.copies.Each(ctx, func(r *Row) error {
		key := maphash.Bytes(c.seed, r.Key)
		if !wanted(key) {
			return nil
		}
		m := mark{row: c.hash(r.Values) | r.flags(), version: r.Version}
		old, ok := marks[key]
		switch {
		case ok && r.Version == 0:
			m.row |= markTwice
		case ok && old.version >= r.Version:
			return nil
		}
		marks[key] = m
		return nil
	})
	c.absent = nil
	if errors.Is(err, ErrNoTarget) {
		c.absent, err = err, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s of table %s: %w", c.target, c.table, err)
	}
	if count {
		for _, m := range marks {
			if m.row&markDeleted == 0 {
				c.Copies++
			}
		}
	}
	return marks, nil
}

func (r *Row) flags() (flags uint64) {
	if r.Deleted {
		flags |= markDeleted
	}
	if r.Misplaced != "" {
		flags |= markMisplaced
	}
	if r.Incomplete {
		flags |= markIncomplete
	}
	return flags
}

// unsettle notes which of the keys that still differ changed in the table since
// the round before.
func (c *comparison) unsettle(found, before map[uint64]difference) {
	for key, d := range found {
		d.moving = d.source != before[key].source
		found[key] = d
	}
}

func (c *comparison) count(found map[uint64]difference) {
	for _, d := range found {
		switch {
		case d.moving:
			c.Unsettled++
		case d.kind == missing:
			c.Missing++
		case d.kind == extra || d.kind == twice:
			c.Extra++
		default:
			c.Different++
		}
	}
}

// describe reads both sides once more for some examples.
func (c *comparison) describe(ctx context.Context, found map[uint64]difference) error {
	if c.absent != nil {
		c.Examples = append(c.Examples, c.absent.Error())
	}
	chosen := c.choose(found)
	source, copies := map[uint64]*Row{}, map[uint64]*Row{}
	keep := func(rows map[uint64]*Row) func(*Row) error {
		return func(r *Row) error {
			key := maphash.Bytes(c.seed, r.Key)
			if _, ok := chosen[key]; ok && (rows[key] == nil || rows[key].Version <= r.Version) {
				kept := *r
				kept.Key, kept.Values = slices.Clone(r.Key), slices.Clone(r.Values)
				rows[key] = &kept
			}
			return nil
		}
	}
	if err := c.table.Each(ctx, keep(source)); err != nil {
		return fmt.Errorf("reading table %s: %w", c.table, err)
	}
	if err := c.copies.Each(ctx, keep(copies)); err != nil && !errors.Is(err, ErrNoTarget) {
		return fmt.Errorf("reading %s of table %s: %w", c.target, c.table, err)
	}
	var lines []string
	for key, d := range chosen {
		lines = append(lines, c.line(d, source[key], copies[key]))
	}
	slices.Sort(lines)
	c.Examples = append(c.Examples, lines...)
	return nil
}

// choose takes some of the differences, of every kind if there are.
func (c *comparison) choose(found map[uint64]difference) map[uint64]difference {
	chosen := map[uint64]difference{}
	for _, whole := range []bool{false, true} {
		kinds := map[differenceKind]int{}
		for key, d := range found {
			if !d.moving && len(chosen) < c.options.Examples && (whole || kinds[d.kind] == 0) {
				kinds[d.kind]++
				chosen[key] = d
			}
		}
	}
	return chosen
}

// line describes one difference. What is there may have changed since.
func (c *comparison) line(d difference, source, copied *Row) string {
	name := func(r *Row) string {
		if r == nil {
			return "a key that is gone meanwhile"
		}
		return c.table.describeKey(r.Key)
	}
	switch {
	case d.kind == missing:
		return name(source) + " is missing in " + c.target
	case copied != nil && copied.Foreign:
		return name(copied) + " is in " + c.target + " and holds no row"
	case d.kind == extra:
		return name(copied) + " is in " + c.target + " and not in the table"
	case d.kind == twice:
		return name(copied) + " is in " + c.target + " more than once"
	case d.kind == misplaced && copied != nil:
		return name(copied) + " is in " + c.target + " " + copied.Misplaced
	case source == nil || copied == nil:
		return name(cmpOr(source, copied)) + " differed and is gone meanwhile"
	}
	return name(source) + ": " + c.table.describeDifference(source.Values, copied.Values, c.target)
}

func cmpOr(a, b *Row) *Row {
	if a != nil {
		return a
	}
	return b
}
