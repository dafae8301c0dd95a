package enrich

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// found is what a look-up knows of a key. It is immutable, so that a cache can
// share it.
type found struct {
	key    string      // for errors
	values []cdc.Value // of the outputs, in their order
	// missing says that there is nothing under the key, lost that nobody could
	// be asked.
	missing, lost bool
	// err says why what is there cannot be used.
	err     error
	expires int64 // ns since the epoch; of a cached one
	size    int   // of the values in memory, about
}

// output is one field that a look-up adds.
type output struct {
	from      string    // the name in what is looked up
	field     cdc.Field // in the record
	stated    bool      // the type is the configuration's
	otherwise cdc.Value // for a miss, where the policy is a default
}

// newFound converts raw, a value for each output, to the types of fields.
func newFound(fields []cdc.Field, raw []cdc.Value) *found {
	var scratch cdc.Row
	values := make([]cdc.Value, len(raw))
	for i := range raw {
		v, err := converted(&scratch, &fields[i], raw[i])
		if err != nil {
			return &found{err: fmt.Errorf("the value for %s: %w", fields[i].Name, err)}
		}
		values[i] = v
	}
	return &found{values: values, size: compact(values)}
}

// compact moves the bytes of all values into memory of their own and returns
// how much all of it is.
func compact(values []cdc.Value) int {
	size := 0
	for i := range values {
		size += len(values[i].Bytes())
	}
	memory := make([]byte, 0, size)
	for i := range values {
		v := &values[i]
		from := len(memory)
		memory = append(memory, v.Bytes()...)
		b := memory[from:len(memory):len(memory)]
		switch v.Kind() {
		case cdc.KindString:
			*v = cdc.String(b)
		case cdc.KindBytes:
			*v = cdc.Bytes(b)
		case cdc.KindBigDecimal:
			*v = cdc.BigDecimal(b)
		case cdc.KindNumber:
			*v = cdc.Number(b)
		case cdc.KindJSON:
			*v = cdc.RawJSON(b)
		}
	}
	return size + 24*len(values)
}

var errNoObject = errors.New("it is no JSON object")

// fromJSON is what a JSON object says of the outputs. JSON's null is nothing.
func (l *lookup) fromJSON(text []byte) *found {
	if !stdjson.Valid(text) {
		return &found{err: errNoObject}
	}
	switch trimmed := strings.TrimSpace(string(text)); {
	case trimmed == "null":
		return &found{missing: true}
	case trimmed[0] != '{':
		return &found{err: errNoObject}
	}
	var scratch cdc.Row
	raw := make([]cdc.Value, len(l.outputs))
	for i := range l.outputs {
		member := memberAt(text, l.outputs[i].from)
		if member == nil {
			continue
		}
		v, err := json.ReadAny(&scratch, member)
		if err != nil {
			return &found{err: fmt.Errorf("the value for %s: %w", l.outputs[i].field.Name, err)}
		}
		raw[i] = v
	}
	return newFound(*l.fields.Load(), raw)
}

// memberAt is the member of that name, or else the one that its parts, which
// dots divide, lead to.
func memberAt(object []byte, name string) []byte {
	if m := json.Member(object, name); m != nil {
		return m
	}
	first, rest, nested := strings.Cut(name, ".")
	if !nested {
		return nil
	}
	if m := json.Member(object, first); m != nil {
		return memberAt(m, rest)
	}
	return nil
}

// lookupTypes are the names of types, those of Connect's Cast.
var lookupTypes = map[string]cdc.Type{
	"int8": cdc.Int8, "int16": cdc.Int16, "int32": cdc.Int32, "int64": cdc.Int64, "float32": cdc.Float, "float64": cdc.Double,
	"boolean": cdc.Boolean, "string": cdc.Text,
}

const lookupTypeNames = "string, boolean, int8, int16, int32, int64, float32, float64 or decimal(precision,scale)"

var decimalType = regexp.MustCompile(`^decimal\((\d{1,3}),(\d{1,3})\)$`)

// typedField is a field of the type that text names.
func typedField(name, text string) (cdc.Field, bool) {
	text = strings.ToLower(strings.ReplaceAll(text, " ", ""))
	if t, ok := lookupTypes[text]; ok {
		return cdc.Field{Name: name, Type: t, Optional: true}, true
	}
	m := decimalType.FindStringSubmatch(text)
	if m == nil {
		return cdc.Field{}, false
	}
	precision, _ := strconv.Atoi(m[1])
	scale, _ := strconv.Atoi(m[2])
	return decimalField(name, precision, scale), precision > 0 && scale <= precision
}

// decimalField is as Connect describes a decimal of Debezium's.
func decimalField(name string, precision, scale int) cdc.Field {
	return cdc.Field{Name: name, Type: cdc.Binary, Semantic: cdc.Decimal, SchemaVersion: 1, Optional: true, Precision: precision, Scale: scale,
		Params: []cdc.Param{{Name: "scale", Value: strconv.Itoa(scale)}, {Name: "connect.decimal.precision", Value: strconv.Itoa(precision)}}}
}

// converted is v as a value of the field's type; what has to be allocated is in
// row's memory.
func converted(row *cdc.Row, f *cdc.Field, v cdc.Value) (cdc.Value, error) {
	if v.IsNull() || f.Type == cdc.Any {
		return v, nil
	}
	text := json.AppendText(nil, &cdc.Field{Type: cdc.Any}, &v)
	switch {
	case f.Type == cdc.Text:
		return cdc.String(text), nil
	case f.Semantic == cdc.Decimal:
		return decimalOf(row, f, string(text))
	case f.Type == cdc.Binary:
		return cdc.Bytes(v.Bytes()), nil
	}
	return scalarOf(f, string(text))
}

// bitsOf are the bits of a number's type.
var bitsOf = map[cdc.Type]int{cdc.Int8: 8, cdc.Int16: 16, cdc.Int32: 32, cdc.Int64: 64, cdc.Float: 32, cdc.Double: 64}

func scalarOf(f *cdc.Field, text string) (cdc.Value, error) {
	switch f.Type {
	case cdc.Boolean:
		switch strings.ToLower(text) {
		case "true", "1":
			return cdc.Bool(true), nil
		case "false", "0":
			return cdc.Bool(false), nil
		}
		return cdc.Value{}, fmt.Errorf("%q is neither true nor false", text)
	case cdc.Float, cdc.Double:
		n, err := strconv.ParseFloat(text, bitsOf[f.Type])
		if err != nil {
			return cdc.Value{}, fmt.Errorf("%q is no %s", text, f.Type)
		}
		if f.Type == cdc.Float {
			return cdc.Float32(float32(n)), nil
		}
		return cdc.Float64(n), nil
	}
	n, err := strconv.ParseInt(text, 10, bitsOf[f.Type])
	if err == nil {
		return cdc.Int(n), nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil && f.Type == cdc.Int64 {
		return cdc.Uint(u), nil // of BIGINT UNSIGNED
	}
	return cdc.Value{}, fmt.Errorf("%q is no %s", text, f.Type)
}

// decimalNumber is a number without an exponent.
var decimalNumber = regexp.MustCompile(`^[+-]?(\d+)(?:\.(\d*))?$`)

// decimalOf reads an exact decimal: digits beyond the scale have to be zeros.
func decimalOf(row *cdc.Row, f *cdc.Field, text string) (cdc.Value, error) {
	m := decimalNumber.FindStringSubmatch(text)
	if m == nil {
		return cdc.Value{}, fmt.Errorf("%q is no decimal", text)
	}
	fraction := strings.TrimRight(m[2], "0")
	if len(fraction) > f.Scale {
		return cdc.Value{}, fmt.Errorf("%q has more than %d digits after the point", text, f.Scale)
	}
	unscaled, _ := new(big.Int).SetString(m[1]+fraction+strings.Repeat("0", f.Scale-len(fraction)), 10)
	if text[0] == '-' {
		unscaled.Neg(unscaled)
	}
	if len(new(big.Int).Abs(unscaled).Text(10)) > f.Precision {
		return cdc.Value{}, fmt.Errorf("%q has more than %d digits", text, f.Precision)
	}
	if unscaled.IsInt64() {
		return cdc.SmallDecimal(unscaled.Int64()), nil
	}
	return cdc.BigDecimal(twosComplement(row, unscaled)), nil
}

// twosComplement is n in as few big-endian bytes as hold it with its sign.
func twosComplement(row *cdc.Row, n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	b := row.Alloc(size)
	if n.Sign() >= 0 {
		return n.FillBytes(b)
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	return modulus.Add(modulus, n).FillBytes(b)
}
