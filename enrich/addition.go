package enrich

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// addition is one field or header that ExtractNewRecordState takes from the
// envelope around a row.
type addition struct {
	field cdc.Field
	name  string // the member's name in its block
	value func(e *cdc.Envelope, row *cdc.Row, name string) (cdc.Value, error)
}

// newAddition resolves a name as Debezium does: op and ts_* are the
// envelope's, id and the orders the transaction's, everything else the source
// block's.
func newAddition(name, as string) (addition, bool) {
	a := addition{field: cdc.Field{Name: as, Optional: true}, name: name}
	block, member, qualified := strings.Cut(name, ".")
	if qualified {
		a.name = member
	}
	switch {
	case !qualified && name == "op":
		a.field.Type, a.value = cdc.Text, opValue
	case !qualified && (name == "ts_ms" || name == "ts_us" || name == "ts_ns"):
		a.field.Type, a.value = cdc.Int64, timeValue
	case !qualified && isTransactionMember(name) || block == "transaction" && isTransactionMember(member):
		a.field.Type, a.value = cdc.Int64, transactionValue
		if a.name == "id" {
			a.field.Type = cdc.Text
		}
	case !qualified || block == "source":
		a.field.Type, a.value = sourceType(a.name), sourceValue
	default:
		return a, false
	}
	return a, a.name != ""
}

func isTransactionMember(name string) bool {
	return name == "id" || name == "total_order" || name == "data_collection_order"
}

// sourceType is the type of a member of the source blocks of Debezium's
// connectors.
func sourceType(name string) cdc.Type {
	switch name {
	case "ts_ms", "ts_us", "ts_ns", "server_id", "pos", "thread", "txId", "lsn", "xmin":
		return cdc.Int64
	case "row", "ord":
		return cdc.Int32
	}
	return cdc.Text
}

var deletedTexts = map[bool][]byte{true: []byte("true"), false: []byte("false")}

func deletedValue(e *cdc.Envelope, _ *cdc.Row, _ string) (cdc.Value, error) {
	return cdc.String(deletedTexts[e.Op == cdc.OpDelete]), nil
}

func opValue(e *cdc.Envelope, row *cdc.Row, _ string) (cdc.Value, error) {
	b := row.Alloc(1)
	b[0] = byte(e.Op)
	return cdc.String(b), nil
}

func timeValue(e *cdc.Envelope, _ *cdc.Row, name string) (cdc.Value, error) {
	switch {
	case name == "ts_us" && e.Micros != 0:
		return cdc.Int(e.Micros), nil
	case name == "ts_ns" && e.Nanos != 0:
		return cdc.Int(e.Nanos), nil
	case name == "ts_ms" && e.Millis != 0:
		return cdc.Int(e.Millis), nil
	}
	return cdc.Value{}, nil
}

func transactionValue(e *cdc.Envelope, _ *cdc.Row, name string) (cdc.Value, error) {
	t := &e.Transaction
	switch {
	case len(t.ID) == 0:
		return cdc.Value{}, nil
	case name == "id":
		return cdc.String(t.ID), nil
	case name == "total_order":
		return cdc.Int(t.TotalOrder), nil
	}
	return cdc.Int(t.CollectionOrder), nil
}

func sourceValue(e *cdc.Envelope, row *cdc.Row, name string) (cdc.Value, error) {
	switch {
	case name == "ts_ms" && e.SourceMillis != 0:
		return cdc.Int(e.SourceMillis), nil
	case e.Source != nil:
		if v := e.Source.Value(name); v != nil {
			return row.Copy(*v), nil
		}
		return cdc.Value{}, nil
	}
	text := json.Member(e.SourceJSON, name)
	if text == nil {
		return cdc.Value{}, nil
	}
	v, err := json.ReadAny(row, text)
	if err != nil {
		return v, fmt.Errorf("reading source.%s: %w", name, err)
	}
	if sourceType(name) == cdc.Text && v.Kind() != cdc.KindString && !v.IsNull() {
		return cdc.String(text), nil // a number or a block under a name that usually is text
	}
	return v, nil
}

// text is the addition as a header's content: JSON's text for numbers, the bare
// text for strings, null where there is none.
func (a *addition) text(e *cdc.Envelope) ([]byte, error) {
	var scratch cdc.Row
	v, err := a.value(e, &scratch, a.name)
	switch {
	case err != nil:
		return nil, err
	case v.IsNull():
		return []byte("null"), nil
	case v.Kind() == cdc.KindInt:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	}
	return v.Bytes(), nil
}
