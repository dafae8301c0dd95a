package mysql

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	cdcjson "github.com/weir-cdc/weir/internal/cdc/json"
)

// chunkKey is how a table is split by its key: its columns, and how their
// values are written in SQL. A key is stored as a JSON array of such literals.
type chunkKey struct {
	table   *TableSchema
	columns []*Column
	values  []int // their places in a row's Values
	binary  BinaryMode
}

// errZeroDate says that a table cannot be split where its key has a date that
// is none.
var errZeroDate = errors.New("the key has a zero date or NULL")

// newChunkKey is how t is split, nil where it has to be read as a whole: keyless
// tables, and keys of types for which "greater" in a condition is not the order
// of the index: ENUM and SET compare as text and are ordered by number, FLOAT,
// DOUBLE and what is made a double are not what is written, prefixes of TEXT and BLOB are not whole.
func newChunkKey(t *TableSchema, o *ValueOptions) *chunkKey {
	k := &chunkKey{table: t, values: t.RowKey, binary: o.Binary}
	for _, at := range t.RowKey {
		c := &t.Definition.Columns[t.Ordinals[at]]
		switch kinds[c.Type] {
		case kindDecimal:
			if o.Decimal == DecimalDouble { // which is not the value: rows beside it would be passed over
				return nil
			}
		case kindInt, kindYear, kindDate, kindTime, kindDatetime, kindTimestamp, kindUUID, kindINET4, kindINET6:
		case kindText, kindBinary:
			if strings.HasSuffix(c.Type, "TEXT") || strings.HasSuffix(c.Type, "BLOB") {
				return nil
			}
		default:
			return nil
		}
		k.columns = append(k.columns, c)
	}
	if len(k.columns) == 0 {
		return nil
	}
	return k
}

// order is the list of an ORDER BY.
func (k *chunkKey) order() string {
	names := make([]string, len(k.columns))
	for i, c := range k.columns {
		names[i] = quote(c.Name)
	}
	return strings.Join(names, ", ")
}

// selection is the list that selects the key as literals can be made of it.
func (k *chunkKey) selection() string {
	list := make([]string, len(k.columns))
	for i, c := range k.columns {
		name := quote(c.Name)
		switch kinds[c.Type] {
		case kindText:
			list[i] = "HEX(CONVERT(" + name + " USING utf8mb4))"
		case kindBinary:
			list[i] = "HEX(" + name + ")"
		default:
			list[i] = "CAST(" + name + " AS CHAR)"
		}
	}
	return strings.Join(list, ", ")
}

// ofSelection is the key that selection selected.
func (k *chunkKey) ofSelection(texts []string) ([]byte, error) {
	literals := make([]string, len(k.columns))
	for i, c := range k.columns {
		switch kinds[c.Type] {
		case kindText:
			literals[i] = "_utf8mb4 x'" + texts[i] + "'"
		case kindBinary:
			literals[i] = "x'" + texts[i] + "'"
		case kindInt, kindDecimal, kindYear:
			literals[i] = texts[i]
		default:
			literals[i] = literal(texts[i])
		}
	}
	return json.Marshal(literals)
}

// ofRow is the key of a row.
func (k *chunkKey) ofRow(row *cdc.Row) ([]byte, error) {
	literals := make([]string, len(k.columns))
	for i, at := range k.values {
		text, err := k.literal(k.columns[i], &k.table.Fields[at], &row.Values[at])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", k.columns[i].Name, err)
		}
		literals[i] = text
	}
	return json.Marshal(literals)
}

// literal is a value as SQL.
func (k *chunkKey) literal(c *Column, f *cdc.Field, v *cdc.Value) (string, error) {
	if v.IsNull() {
		return "", errZeroDate
	}
	text := cdcjson.AppendText(nil, f, v)
	switch kinds[c.Type] {
	case kindText:
		return "_utf8mb4 x'" + hex.EncodeToString(v.Bytes()) + "'", nil
	case kindBinary:
		b, err := k.bytes(v)
		return "x'" + hex.EncodeToString(b) + "'", err
	case kindInt:
		if c.Unsigned && v.Kind() == cdc.KindInt { // what is above int64 wraps around
			return strconv.FormatUint(uint64(v.Int()), 10), nil
		}
		return string(text), nil
	case kindDecimal, kindYear:
		return string(text), nil
	}
	return literal(strings.TrimSuffix(string(text), "Z")), nil
}

// bytes are a binary column's, whatever binary.handling.mode made of them.
func (k *chunkKey) bytes(v *cdc.Value) ([]byte, error) {
	switch k.binary {
	case BinaryBase64:
		return base64.StdEncoding.DecodeString(string(v.Bytes()))
	case BinaryBase64URL:
		return base64.URLEncoding.DecodeString(string(v.Bytes()))
	case BinaryHex:
		return hex.DecodeString(string(v.Bytes()))
	}
	return v.Bytes(), nil
}

// condition is the WHERE clause of the rows behind after, up to and including
// upTo, either of which may be nil.
func (k *chunkKey) condition(after, upTo []byte) (string, error) {
	var parts []string
	if after != nil {
		literals, err := k.parse(after)
		if err != nil {
			return "", err
		}
		parts = append(parts, k.beyond(literals, ">"))
	}
	if upTo != nil {
		literals, err := k.parse(upTo)
		if err != nil {
			return "", err
		}
		parts = append(parts, k.beyond(literals, "<"))
		last := len(parts) - 1
		parts[last] = "(" + parts[last] + " OR " + k.equal(literals) + ")"
	}
	if len(parts) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(parts, " AND "), nil
}

func (k *chunkKey) parse(key []byte) ([]string, error) {
	var literals []string
	if err := json.Unmarshal(key, &literals); err != nil {
		return nil, fmt.Errorf("reading a chunk's key %q: %w", key, err)
	}
	if len(literals) != len(k.columns) {
		return nil, fmt.Errorf("reading a chunk's key %q: the table's key has %d columns", key, len(k.columns))
	}
	return literals, nil
}

// beyond compares keys column by column. The first column's comparison stands
// by itself in front, since the server uses an index for that and not for what
// is within an OR.
func (k *chunkKey) beyond(literals []string, than string) string {
	if len(literals) == 1 {
		return quote(k.columns[0].Name) + " " + than + " " + literals[0]
	}
	var ways []string
	for i := range literals {
		var all []string
		for j := range i {
			all = append(all, quote(k.columns[j].Name)+" = "+literals[j])
		}
		all = append(all, quote(k.columns[i].Name)+" "+than+" "+literals[i])
		ways = append(ways, strings.Join(all, " AND "))
	}
	return "(" + quote(k.columns[0].Name) + " " + than + "= " + literals[0] + " AND (" + strings.Join(ways, " OR ") + "))"
}

func (k *chunkKey) equal(literals []string) string {
	all := make([]string, len(literals))
	for i := range literals {
		all[i] = quote(k.columns[i].Name) + " = " + literals[i]
	}
	return strings.Join(all, " AND ")
}
