package transform

import "github.com/weir-cdc/weir/internal/cdc"

// Envelope is the record's envelope as long as its value is one, whole rows
// made envelopes again (Unwrapped): nil for a flat row, a tombstone, and
// whatever else Debezium's transforms pass as it is.
func Envelope(r *cdc.Record) *cdc.Envelope {
	if r.Wrapped {
		Unwrapped(r)
	}
	if r.Value != nil || r.Tombstone || r.Deleted {
		return nil
	}
	return r.Envelope
}

// IsNull reports whether the record's value is what Kafka Connect calls null: a
// tombstone, a value that a transform took away, or a null on its own.
func IsNull(r *cdc.Record) bool {
	switch {
	case r.Tombstone:
		return true
	case r.Value == nil:
		return r.Envelope == nil || r.Deleted
	}
	s := r.Value.Schema
	return s != nil && s.IsBare() && r.Value.Values[0].IsNull()
}

// bareRow is a row and the memory for its only value.
type bareRow struct {
	row    cdc.Row
	values [1]cdc.Value
}

// BareRow returns a row of a schema of cdc.Bare that holds v, whose memory the
// caller answers for.
func BareRow(s *cdc.Schema, v cdc.Value) *cdc.Row {
	b := &bareRow{row: cdc.Row{Schema: s}, values: [1]cdc.Value{v}}
	b.row.Values = b.values[:]
	return &b.row
}
