package capture

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// The headers by which Debezium links the two halves of a change of a key.
const (
	headerNewKey = "__debezium.newkey"
	headerOldKey = "__debezium.oldkey"
)

// plan is everything that can be decided once for a table under one definition.
type plan struct {
	table *Table
	key   *json.Plan // nil: the table has none
	// link writes a key as a header has it: Connect's SimpleHeaderConverter
	// writes decimals as numbers, and characters beyond the BMP as they are.
	link      *json.Plan
	enveloper *json.Enveloper
	schema    []byte // value of header weir.schema
	entry     *json.SchemaEntry
	state     *tableState
	seed      uint32 // the table's part of hash

	// topic is where the table's records go, and exclusive says that no other
	// table's do; "" where records decide (transforms).
	topic     string
	exclusive bool
	// rows is the schema of the rows that the last record had behind the
	// transforms, nil before.
	rows *cdc.Schema
	// linked is the schema of the headers that name the other half of a change
	// of a key, nil before the first.
	linked *cdc.Schema
	// sourceRow and sourceMillis are indexes into the source block, -1 for none.
	sourceRow, sourceMillis int

	begun    bool // enveloper was begun with the log event of sourceSeq
	seq      uint64
	nanos    int64           // when that log event was processed
	hint     int             // about how long a value is
	tx       cdc.Transaction // its block, with the table's count
	txNumber uint64          // the transaction that it counts in
}

// domain is the version domain of a capture's records.
func domain(prefix string) string { return "weir:" + prefix }

func newPlan(t *Table, source *cdc.Schema, c *Config) *plan {
	p := &plan{table: t, enveloper: json.NewEnveloper(t.Value, source, c.Value), hint: 512, topic: t.Topic, exclusive: true,
		sourceRow: source.Index([]byte("row")), sourceMillis: source.Index([]byte("ts_ms"))}
	if t.Key != nil {
		p.key = json.NewPlan(t.Key, c.Key)
		p.link = json.NewPlan(t.Key, json.Options{Decimal: json.Numeric})
	}
	p.entry = json.NewSchemaEntry(domain(c.Prefix), t.Topic, t.Key, t.Value)
	p.schema = []byte(p.entry.Fingerprint)
	p.seed = crc32.Checksum([]byte(t.ID()), castagnoli)
	return p
}

// roleOf is what a table's topic is for. A truncate has no key, whatever the
// table.
func roleOf(t *Table, truncates bool) topicRole {
	if t.Key == nil || truncates {
		return roleKeyless
	}
	return roleKeyed
}

// appendKey keeps the key of row in a; nil for a table without one.
func (p *plan) appendKey(a *arena, row *cdc.Row) []byte {
	if p.key == nil {
		return nil
	}
	return a.keep(p.key.AppendColumns(a.tail(256), row.Values, p.table.KeyColumns))
}

// appendLink keeps the text of row's key for a header.
func (p *plan) appendLink(a *arena, row *cdc.Row) []byte {
	return a.keep(unescapePairs(p.link.AppendColumns(a.tail(256), row.Values, p.table.KeyColumns)))
}

// unescapePairs writes, in place, every surrogate pair that is escaped in a JSON
// text (\uD83D\uDE00) as the character itself.
func unescapePairs(text []byte) []byte {
	const length = 12
	out := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		if i+length <= len(text) && text[i+1] == 'u' && text[i+6] == '\\' && text[i+7] == 'u' {
			high, err1 := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
			low, err2 := strconv.ParseUint(string(text[i+8:i+length]), 16, 16)
			if r := utf16.DecodeRune(rune(high), rune(low)); err1 == nil && err2 == nil && r != utf8.RuneError {
				out = utf8.AppendRune(out, r)
				i += length - 1
				continue
			}
		}
		out = append(out, text[i], text[i+1]) // an escape of another kind
		i++
	}
	return out
}

// appendValue keeps the envelope of a change of the log event that the
// enveloper was begun with.
func (p *plan) appendValue(a *arena, op cdc.Op, before, after *cdc.Row, row int, tx *cdc.Transaction) []byte {
	b := a.keep(p.enveloper.Append(a.tail(p.hint), op, before, after, row, tx))
	if len(b) > p.hint || len(b) < p.hint/4 {
		p.hint = len(b) + len(b)/4
	}
	return b
}

// event begins the enveloper for the log event that c is of, if it is not.
func (p *plan) event(c *Change, nowNanos func() int64) {
	if p.begun && p.seq == c.SourceSeq {
		return
	}
	p.enveloper.Begin(c.Source, nowNanos())
	p.begun, p.seq = true, c.SourceSeq
}

// processed is when the log event that c is of was processed, ns since the
// epoch.
func (p *plan) processed(c *Change, nowNanos func() int64) int64 {
	if !p.begun || p.seq != c.SourceSeq {
		p.begun, p.seq, p.nanos = true, c.SourceSeq, nowNanos()
	}
	return p.nanos
}

// sameColumns reports whether two rows agree in columns.
func sameColumns(a, b *cdc.Row, columns []int) bool {
	for _, i := range columns {
		if !a.Values[i].Equal(&b.Values[i]) {
			return false
		}
	}
	return true
}

// sameFields reports whether two rows agree in all of their schema's fields.
func sameFields(a, b *cdc.Row) bool {
	for i := range a.Schema.Fields {
		if !a.Values[i].Equal(&b.Values[i]) {
			return false
		}
	}
	return true
}

// appendRowKey appends what tells rows of a table apart, unambiguously and
// alike for snapshot and stream.
func appendRowKey(dst []byte, row *cdc.Row, columns []int) []byte {
	for _, i := range columns {
		v := &row.Values[i]
		dst = append(dst, byte(v.Kind()))
		switch v.Kind() {
		case cdc.KindString, cdc.KindBytes, cdc.KindBigDecimal, cdc.KindNumber, cdc.KindJSON:
			dst = binary.AppendUvarint(dst, uint64(len(v.Bytes())))
			dst = append(dst, v.Bytes()...)
		case cdc.KindFloat32, cdc.KindFloat64:
			dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Float()))
		default:
			dst = binary.BigEndian.AppendUint64(dst, v.Uint())
		}
	}
	return dst
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hash adds a change to the running hash of a source transaction: by its table,
// operation and key, so that another list of rows does not pass for the same.
// It is stored; it must stay as it is.
func (p *plan) hash(hash uint32, op cdc.Op, key []byte) uint32 {
	return crc32.Update(bits.RotateLeft32(hash, 5)^p.seed^uint32(op), castagnoli, key)
}

// contextHeaders are those that Debezium puts on every record.
func contextHeaders(c *Config, kind, runID string) []kgo.RecordHeader {
	if !c.ContextHeaders {
		return nil
	}
	return []kgo.RecordHeader{
		{Key: "__debezium.context.connectorLogicalName", Value: []byte(c.Prefix)},
		{Key: "__debezium.context.taskId", Value: []byte("0")},
		{Key: "__debezium.context.connectorName", Value: []byte(kind)},
		{Key: "__debezium.context.runId", Value: []byte(runID)},
	}
}
