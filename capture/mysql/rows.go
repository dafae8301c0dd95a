package mysql

import (
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
)

// rows is one rows event: row images of one table under one table map.
type rows struct {
	op    cdc.Op      // OpCreate, OpUpdate or OpDelete
	table *tableEntry // its plan is nil for a table that is not captured
	// stmtEnd says that the statement is complete; a statement may have many
	// rows events.
	stmtEnd bool

	partial         bool // after images may have JSON diffs instead of values
	present, before []byte
	images          []byte
	n               int
}

// The flags of a rows event.
const rowsStatementEnd = 1

// maxColumns is how many columns the servers let a table have.
const maxColumns = 4096

// dummyTable is the id of a rows event without a table, which only ends a
// statement.
const dummyTable = 0xffffff

// parseRows reads a rows event up to its images.
func (p *parser) parseRows(e *event, b []byte) error {
	r := &e.rows
	*r = rows{partial: e.typ == partialUpdateRowsEvent}
	e.kind = eventRows
	c := cursor{b: b}
	id, flags := c.uint(6), c.u16()
	r.stmtEnd = flags&rowsStatementEnd != 0
	if r.stmtEnd {
		p.tables.endStatement()
	}
	shape := rowsShapes[e.typ]
	r.op = shape.op
	if shape.extra { // a length that counts itself
		c.skip(int(c.u16()) - 2)
	}
	count := int(min(c.packed(), maxColumns+1))
	bitmap := (count + 7) / 8
	r.present = c.take(bitmap)
	if r.op == cdc.OpUpdate {
		r.before, r.present = r.present, c.take(bitmap)
	}
	if c.bad {
		return errMalformed
	}
	if r.table = p.tables.find(id); r.table == nil {
		if id == dummyTable && len(c.b) == 0 {
			return nil
		}
		return fmt.Errorf("%w: rows of table id %d without a table map", errMalformed, id)
	}
	if columns := len(r.table.m.columns); count != columns {
		return fmt.Errorf("%w: rows of %d columns for a table map of %d", errMalformed, count, columns)
	}
	if r.table.plan == nil {
		return nil
	}
	r.images = c.b
	if shape.compressed {
		var err error
		r.images, err = p.inflate.record(c.b)
		return err
	}
	return nil
}

// rowsShape is how a type of rows event is laid out.
type rowsShape struct {
	op                cdc.Op
	extra, compressed bool
}

var rowsShapes = [256]rowsShape{
	writeRowsV1Event: {op: cdc.OpCreate}, updateRowsV1Event: {op: cdc.OpUpdate}, deleteRowsV1Event: {op: cdc.OpDelete},
	writeRowsEvent:              {op: cdc.OpCreate, extra: true},
	updateRowsEvent:             {op: cdc.OpUpdate, extra: true},
	deleteRowsEvent:             {op: cdc.OpDelete, extra: true},
	partialUpdateRowsEvent:      {op: cdc.OpUpdate, extra: true},
	writeRowsCompressedV1Event:  {op: cdc.OpCreate, compressed: true},
	updateRowsCompressedV1Event: {op: cdc.OpUpdate, compressed: true},
	deleteRowsCompressedV1Event: {op: cdc.OpDelete, compressed: true},
	writeRowsCompressedEvent:    {op: cdc.OpCreate, extra: true, compressed: true},
	updateRowsCompressedEvent:   {op: cdc.OpUpdate, extra: true, compressed: true},
	deleteRowsCompressedEvent:   {op: cdc.OpDelete, extra: true, compressed: true},
}

// change is one row that changed, decoded into rows that the caller owns.
type change struct {
	op            cdc.Op
	before, after *cdc.Row // nil where the change has none
	row           int      // its number within the event, from 0
}

// next decodes the event's next row into before and after and describes it in
// c. It reports false at the event's end, and of a table that is not captured
// at once. Text and bytes of the rows may point into the event, and after's into
// before.
func (r *rows) next(c *change, before, after *cdc.Row) (bool, error) {
	for len(r.images) > 0 {
		*c = change{op: r.op, row: r.n}
		left := len(r.images)
		current, err := r.decode(c, before, after)
		if err == nil && len(r.images) == left {
			err = errMalformed // images of nothing would never end
		}
		if err != nil {
			return false, fmt.Errorf("row %d of table %s.%s: %w", r.n, r.table.m.database, r.table.m.name, err)
		}
		r.n++
		if !r.table.plan.versioned || currentOnly(c, current) {
			return true, nil
		}
	}
	return false, nil
}

// decode decodes the images of one row. current says which of a system-versioned
// table's images are not history.
func (r *rows) decode(c *change, before, after *cdc.Row) (current [2]bool, err error) {
	p := r.table.plan
	switch r.op {
	case cdc.OpCreate:
		c.after = after
		current[1], err = r.image(p, after, r.present)
	case cdc.OpDelete:
		c.before = before
		current[0], err = r.image(p, before, r.present)
	case cdc.OpUpdate:
		c.before, c.after = before, after
		start := r.images
		if current[0], err = r.image(p, before, r.before); err != nil {
			return current, err
		}
		if r.partial {
			var n int
			n, err = p.decodeAfterDiffs(after, before, r.present, r.images, diffBase{image: start, present: r.before})
			r.images = r.images[n:]
			return current, err
		}
		var n int
		n, current[1], err = p.decodeAfter(after, before, r.present, r.images)
		r.images = r.images[n:]
	}
	return current, err
}

func (r *rows) image(p *plan, row *cdc.Row, present []byte) (current bool, err error) {
	n, current, err := p.decode(row, present, r.images)
	r.images = r.images[n:]
	return current, err
}

// currentOnly turns what MariaDB logs of a system-versioned table into what
// happened to its current rows: an update of the row's end is a delete, and
// what is written as history is no change. It reports whether anything is left.
func currentOnly(c *change, current [2]bool) bool {
	switch c.op {
	case cdc.OpCreate:
		return current[1]
	case cdc.OpDelete:
		return current[0]
	}
	switch {
	case current[0] && current[1]:
	case current[0]:
		c.op, c.after = cdc.OpDelete, nil
	case current[1]:
		c.op, c.before = cdc.OpCreate, nil
	default:
		return false
	}
	return true
}
