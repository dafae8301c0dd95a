package enrich

import (
	"fmt"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// addition is one field or header that ExtractNewRecordState takes from the
// envelope around a row: the member name of block, which is empty for the
// envelope itself.
type addition struct{ as, block, name string }

// The blocks of an envelope.
const (
	blockSource      = "source"
	blockTransaction = "transaction"
	blockBefore      = "before"
	blockAfter       = "after"
)

// additions reads a list such as op,source.ts_ms:changed_at.
func additions(o *transform.Options, property string) []addition {
	prefix := o.Text(property+".prefix", "__")
	var out []addition
	for _, item := range o.List(property) {
		name, as, renamed := strings.Cut(item, ":")
		if !renamed {
			as = strings.ReplaceAll(name, ".", "_")
		}
		a, ok := newAddition(name, prefix+as)
		if !ok {
			o.Fail(property, "names of op, ts_ms, ts_us, ts_ns, transaction.<field>, source.<field>, before.<field>, after.<field> or fields of the source block; "+name+" is none")
			continue
		}
		out = append(out, a)
	}
	return out
}

// newAddition resolves a name as Debezium does: op and ts_* are the envelope's,
// id and the orders the transaction's, everything else the source block's.
func newAddition(name, as string) (addition, bool) {
	block, member, qualified := strings.Cut(name, ".")
	if !qualified {
		block, member = blockSource, name
		if isTransactionMember(name) {
			block = blockTransaction
		} else if isEnvelopeMember(name) {
			block = ""
		}
	}
	ok := member != ""
	switch block {
	case blockTransaction:
		ok = isTransactionMember(member)
	case "", blockSource, blockBefore, blockAfter:
	default:
		ok = false
	}
	return addition{as: as, block: block, name: member}, ok
}

func isEnvelopeMember(name string) bool {
	return name == "op" || name == "ts_ms" || name == "ts_us" || name == "ts_ns"
}

func isTransactionMember(name string) bool {
	return name == "id" || name == "total_order" || name == "data_collection_order"
}

// around is what a row's envelope is made of; the pointers tell whether what
// was resolved for another counts for it.
type around struct {
	row    *cdc.Schema
	source *cdc.Schema // nil for a source block that was read from JSON
	whole  *cdc.Schema // of the envelope as a row, nil if no transform saw it so
}

// resolved is an addition of envelopes that are alike.
type resolved struct {
	field cdc.Field
	value func(e *cdc.Envelope, whole *cdc.Row, into *cdc.Row) (cdc.Value, error)
}

// resolve reports false for a member that such envelopes do not have: then it
// is not added.
func (a addition) resolve(in around) (r resolved, ok bool) {
	name := a.name
	r.field = cdc.Field{Name: a.as, Type: cdc.Int64, Optional: true}
	switch a.block {
	case "":
		if name == "op" {
			r.field.Type = cdc.Text
		}
		r.value = func(e *cdc.Envelope, _, _ *cdc.Row) (cdc.Value, error) { return envelopeValue(e, name), nil }
	case blockTransaction:
		if name == "id" {
			r.field.Type = cdc.Text
		}
		r.value = func(e *cdc.Envelope, _, _ *cdc.Row) (cdc.Value, error) {
			return transactionValue(&e.Transaction, name), nil
		}
	case blockBefore, blockAfter:
		return a.resolveState(in)
	default:
		return a.resolveSource(in)
	}
	return r, true
}

// like is f as an addition.
func (a addition) like(f *cdc.Field) cdc.Field {
	out := *f
	out.Name, out.Optional, out.Default = a.as, true, nil
	return out
}

// resolveSource looks a name up in the source block, or else among what
// transforms have put beside it in the envelope.
func (a addition) resolveSource(in around) (r resolved, ok bool) {
	if in.source != nil {
		if at := in.source.Index([]byte(a.name)); at >= 0 {
			value := func(e *cdc.Envelope, _, into *cdc.Row) (cdc.Value, error) { return into.Copy(e.Source.Values[at]), nil }
			return resolved{a.like(&in.source.Fields[at]), value}, true
		}
	}
	if in.whole != nil {
		if at := in.whole.Index([]byte(a.name)); at >= 0 {
			value := func(_ *cdc.Envelope, whole, into *cdc.Row) (cdc.Value, error) {
				return into.Copy(whole.Values[at]), nil
			}
			return resolved{a.like(&in.whole.Fields[at]), value}, true
		}
	}
	if in.source != nil {
		return r, false
	}
	field := cdc.Field{Name: a.as, Type: sourceType(a.name), Optional: true}
	value := func(e *cdc.Envelope, _, into *cdc.Row) (cdc.Value, error) { return sourceValue(e, into, a.name) }
	return resolved{field, value}, true
}

// resolveState looks a name up in the row before or after.
func (a addition) resolveState(in around) (r resolved, ok bool) {
	if in.row == nil {
		return r, false
	}
	at := in.row.Index([]byte(a.name))
	if at < 0 {
		return r, false
	}
	value := func(e *cdc.Envelope, _, into *cdc.Row) (cdc.Value, error) {
		state := e.After
		if a.block == blockBefore {
			state = e.Before
		}
		if state == nil {
			return cdc.Value{}, nil
		}
		if v := state.Value(a.name); v != nil {
			return into.Copy(*v), nil
		}
		return cdc.Value{}, nil
	}
	return resolved{a.like(&in.row.Fields[at]), value}, true
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

// opTexts has every operation's letter at its place.
var opTexts = func() (texts [256]byte) {
	for i := range texts {
		texts[i] = byte(i)
	}
	return texts
}()

func envelopeValue(e *cdc.Envelope, name string) cdc.Value {
	switch {
	case name == "op":
		return cdc.String(opTexts[e.Op:][:1:1])
	case name == "ts_us" && e.Micros != 0:
		return cdc.Int(e.Micros)
	case name == "ts_ns" && e.Nanos != 0:
		return cdc.Int(e.Nanos)
	case name == "ts_ms" && e.Millis != 0:
		return cdc.Int(e.Millis)
	}
	return cdc.Value{}
}

func transactionValue(t *cdc.Transaction, name string) cdc.Value {
	switch {
	case len(t.ID) == 0:
		return cdc.Value{}
	case name == "id":
		return cdc.String(t.ID)
	case name == "total_order":
		return cdc.Int(t.TotalOrder)
	}
	return cdc.Int(t.CollectionOrder)
}

// sourceValue reads a member of a source block that is JSON.
func sourceValue(e *cdc.Envelope, into *cdc.Row, name string) (cdc.Value, error) {
	if name == "ts_ms" && e.SourceMillis != 0 {
		return cdc.Int(e.SourceMillis), nil
	}
	text := json.Member(e.SourceJSON, name)
	if text == nil {
		return cdc.Value{}, nil
	}
	v, err := json.ReadAny(into, text)
	if err != nil {
		return v, fmt.Errorf("reading source.%s: %w", name, err)
	}
	if sourceType(name) == cdc.Text && v.Kind() != cdc.KindString && !v.IsNull() {
		return cdc.String(text), nil // a number or a block under a name that usually is text
	}
	return v, nil
}
