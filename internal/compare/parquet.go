package compare

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetColumn is a column of a file: one leaf, or those of a struct or list.
type parquetColumn struct {
	leaves []parquetLeaf
	nested bool
}

// parquetLeaf is one physical column.
type parquetLeaf struct {
	index   int    // in the file
	name    string // the last part of its path
	list    bool
	logical format.LogicalTypeValue
}

// columnsOf are the columns of a file by name.
func columnsOf(schema *parquet.Schema) map[string]*parquetColumn {
	columns := map[string]*parquetColumn{}
	for _, path := range schema.Columns() {
		found, _ := schema.Lookup(path...)
		leaf := parquetLeaf{index: found.ColumnIndex, name: path[len(path)-1], list: found.MaxRepetitionLevel > 0}
		if logical := found.Node.Type().LogicalType(); logical != nil {
			leaf.logical = logical.Value
		}
		c := columns[path[0]]
		if c == nil {
			c = &parquetColumn{nested: len(path) > 1}
			columns[path[0]] = c
		}
		c.leaves = append(c.leaves, leaf)
	}
	return columns
}

// cell is the column's value in a row.
func (c *parquetColumn) cell(row parquet.Row) cell {
	if c.nested {
		return c.tree(row)
	}
	for _, v := range row {
		if v.Column() == c.leaves[0].index {
			return c.leaves[0].cell(v)
		}
	}
	return cell{}
}

// cell is a physical value by its logical type.
func (l *parquetLeaf) cell(v parquet.Value) cell {
	if v.IsNull() {
		return cell{}
	}
	switch logical := l.logical.(type) {
	case *format.DecimalType:
		return cell{kind: cellNumber, text: decimalText(v, int(logical.Scale))}
	case *format.DateType:
		return cell{kind: cellDays, n: int64(v.Int32())}
	case *format.TimestampType:
		return cell{kind: cellMicros, n: microsOf(v.Int64(), logical.Unit.Value.Duration())}
	case *format.TimeType:
		if v.Kind() == parquet.Int32 {
			return cell{kind: cellMicros, n: microsOf(int64(v.Int32()), logical.Unit.Value.Duration())}
		}
		return cell{kind: cellMicros, n: microsOf(v.Int64(), logical.Unit.Value.Duration())}
	case *format.StringType, *format.EnumType, *format.JsonType:
		return cell{kind: cellText, text: v.ByteArray()}
	}
	switch v.Kind() {
	case parquet.Boolean:
		if v.Boolean() {
			return cell{kind: cellBool, n: 1}
		}
		return cell{kind: cellBool}
	case parquet.Int32:
		return cell{kind: cellNumber, text: strconv.AppendInt(nil, int64(v.Int32()), 10)}
	case parquet.Int64:
		return cell{kind: cellNumber, text: strconv.AppendInt(nil, v.Int64(), 10)}
	case parquet.Float:
		return cell{kind: cellNumber, text: strconv.AppendFloat(nil, float64(v.Float()), 'g', -1, 32)}
	case parquet.Double:
		return cell{kind: cellNumber, text: strconv.AppendFloat(nil, v.Double(), 'g', -1, 64)}
	}
	return cell{kind: cellBytes, text: v.ByteArray()}
}

// microsOf are µs of a count of units.
func microsOf(n int64, unit time.Duration) int64 {
	if unit >= time.Microsecond {
		return n * int64(unit/time.Microsecond)
	}
	return n / int64(time.Microsecond/unit)
}

// integer is the number of a cell that is a whole one.
func (v cell) integer() int64 {
	n, _ := strconv.ParseInt(string(v.text), 10, 64)
	return n
}

// decimalText writes an unscaled decimal as a number.
func decimalText(v parquet.Value, scale int) []byte {
	unscaled := new(big.Int)
	switch v.Kind() {
	case parquet.Int32:
		unscaled.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		unscaled.SetInt64(v.Int64())
	default: // big-endian two's complement
		b := v.ByteArray()
		unscaled.SetBytes(b)
		if len(b) > 0 && b[0]&0x80 != 0 {
			unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	return strconv.AppendInt(append(unscaled.Append(nil, 10), 'e'), int64(-scale), 10)
}

// tree is a struct of leaves, or a list of one leaf, as JSON in the form that
// documents have.
func (c *parquetColumn) tree(row parquet.Row) cell {
	members, elements := map[string]any{}, []any{}
	present := false
	for _, leaf := range c.leaves {
		for _, v := range row {
			if v.Column() != leaf.index {
				continue
			}
			present = present || v.DefinitionLevel() > 0
			switch {
			case leaf.list && !v.IsNull():
				elements = append(elements, leaf.member(v))
			case !leaf.list:
				members[leaf.name] = leaf.member(v)
			}
		}
	}
	if !present {
		return cell{}
	}
	var tree any = members
	if c.leaves[0].list {
		tree = elements
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return cell{kind: cellText, text: []byte(err.Error())}
	}
	return cell{kind: cellJSON, text: text}
}

// member is a value inside a struct or list.
func (l *parquetLeaf) member(v parquet.Value) any {
	switch m := l.cell(v); m.kind {
	case cellNull:
		return nil
	case cellNumber:
		return json.Number(m.text)
	case cellBytes:
		return base64.StdEncoding.EncodeToString(m.text)
	case cellBool:
		return m.n != 0
	case cellText:
		return string(m.text)
	default:
		return m.n
	}
}
