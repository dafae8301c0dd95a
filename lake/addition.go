package lake

import (
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"github.com/weir-cdc/weir/internal/cdc"
)

// addition is a column that the lake adds to every row.
type addition struct {
	name   string
	what   additionKind
	shape  shape
	origin *origin
}

// origin is what all rows of a range share.
type origin struct {
	topic     []byte
	partition int32
}

// additionKind is what an added column holds.
type additionKind uint8

// The columns that the lake can add.
const (
	addOp additionKind = iota
	addDeleted
	addVersion
	addMillis
	addTopic
	addPartition
	addOffset
)

// additionNames are their names in add.columns.
var additionNames = []string{"op", "deleted", "version", "ts_ms", "topic", "partition", "offset"}

var additionShapes = [...]shape{
	addOp:        {kind: text, dictionary: true},
	addDeleted:   {kind: boolean},
	addVersion:   {kind: int64s, delta: true},
	addMillis:    {kind: int64s, delta: true},
	addTopic:     {kind: text, dictionary: true},
	addPartition: {kind: int32s, dictionary: true},
	addOffset:    {kind: int64s, delta: true},
}

// append makes the column's values of entries.
func (a *addition) append(dst []parquet.Value, entries []entry, leaf int) []parquet.Value {
	null := parquet.NullValue().Level(0, 0, leaf)
	for i := range entries {
		v, ok := a.value(&entries[i])
		if !ok {
			dst = append(dst, null)
			continue
		}
		dst = append(dst, v.Level(0, 1, leaf))
	}
	return dst
}

// value is false for null: a record without an operation or a version.
func (a *addition) value(e *entry) (parquet.Value, bool) {
	switch a.what {
	case addOp:
		return parquet.ByteArrayValue(opText(e.op)), e.op != cdc.OpNone
	case addDeleted:
		return parquet.BooleanValue(e.deleted), true
	case addVersion:
		return parquet.Int64Value(int64(e.version)), e.version > 0
	case addMillis:
		return parquet.Int64Value(e.millis), true
	case addTopic:
		return parquet.ByteArrayValue(a.origin.topic), true
	case addPartition:
		return parquet.Int32Value(a.origin.partition), true
	}
	return parquet.Int64Value(e.offset), true
}

// opTexts has every byte as a text of its own.
var opTexts = func() (out [256]byte) {
	for i := range out {
		out[i] = byte(i)
	}
	return out
}()

func opText(op cdc.Op) []byte { return opTexts[op : int(op)+1] }

// encoded is a leaf with the encoding that suits its values.
func (s shape) encoded(n parquet.Node) parquet.Node {
	var e encoding.Encoding
	switch {
	case s.dictionary:
		e = &parquet.RLEDictionary
	case s.delta:
		e = &parquet.DeltaBinaryPacked
	default:
		return n
	}
	return parquet.Encoded(n, e)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
