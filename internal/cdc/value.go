package cdc

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unsafe"
)

// Kind says how the content of a Value is held. It is not the field's type:
// the Schema says what a value means, the Kind only how to get at it, so a
// decimal may be a small number (KindDecimal) or bytes (KindBigDecimal).
type Kind uint8

// The kinds. KindNull is the zero value of Value.
const (
	KindNull       Kind = iota // SQL NULL
	KindAbsent                 // not in the row image (NOBLOB, MINIMAL, TOASTed)
	KindBool                   // Bool
	KindInt                    // Int: every signed integer, date and time
	KindUint                   // Uint: an integer above the signed range
	KindFloat32                // Float, to be printed with float32 precision
	KindFloat64                // Float
	KindString                 // Bytes: UTF-8 text; Uint is the index of an ENUM
	KindBytes                  // Bytes
	KindDecimal                // Int: unscaled, the scale is the field's
	KindBigDecimal             // Bytes: unscaled, big-endian two's complement
	KindMicros                 // Int: µs since the epoch, of a field that travels as ISO text
	KindNumber                 // Bytes: a JSON number literal, of a field of type Any
	KindJSON                   // Bytes: a JSON object or array, of a field of type Any
	KindList                   // List: the members of a Struct or the elements of an Array
)

// Value is one column of one row: a number, or bytes somewhere else, in 24
// bytes without an interface. The bytes belong to whoever filled the row (the
// binlog event, the Kafka record, the Row's arena) and live as long as the Row.
type Value struct {
	p    *byte
	n    uint64
	len  uint32
	kind Kind
}

// Absent returns the value of a column that the source did not send.
func Absent() Value { return Value{kind: KindAbsent} }

// Bool returns the value of a boolean.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, n: 1}
	}
	return Value{kind: KindBool}
}

// Int returns the value of any signed integer.
func Int(i int64) Value { return Value{kind: KindInt, n: uint64(i)} }

// Uint returns the value of an unsigned integer that may not fit an int64.
func Uint(u uint64) Value { return Value{kind: KindUint, n: u} }

// Micros returns the value of a point in time, in µs since the epoch, that
// travels as text.
func Micros(us int64) Value { return Value{kind: KindMicros, n: uint64(us)} }

// SmallDecimal returns the value of a decimal of up to 18 digits.
func SmallDecimal(unscaled int64) Value { return Value{kind: KindDecimal, n: uint64(unscaled)} }

// Float32 returns the value of a single-precision number.
func Float32(f float32) Value {
	return Value{kind: KindFloat32, n: math.Float64bits(float64(f))}
}

// Float64 returns the value of a double-precision number.
func Float64(f float64) Value { return Value{kind: KindFloat64, n: math.Float64bits(f)} }

// String returns the value of UTF-8 text; it keeps b, not a copy.
func String(b []byte) Value { return bytesValue(KindString, b, 0) }

// Choice returns the value of a text that is the index-th choice of an ENUM.
func Choice(b []byte, index uint64) Value { return bytesValue(KindString, b, index) }

// Bytes returns the value of b; it keeps b, not a copy.
func Bytes(b []byte) Value { return bytesValue(KindBytes, b, 0) }

// BigDecimal returns the value of a decimal whose unscaled big-endian two's
// complement is b; it keeps b.
func BigDecimal(b []byte) Value { return bytesValue(KindBigDecimal, b, 0) }

// Number returns the value of the JSON number literal b; it keeps b.
func Number(b []byte) Value { return bytesValue(KindNumber, b, 0) }

// RawJSON returns the value of the JSON object or array b; it keeps b.
func RawJSON(b []byte) Value { return bytesValue(KindJSON, b, 0) }

// List returns the value of a struct's members or an array's elements; it
// keeps vs.
func List(vs []Value) Value {
	return Value{p: (*byte)(unsafe.Pointer(unsafe.SliceData(vs))), len: uint32(len(vs)), kind: KindList}
}

func bytesValue(k Kind, b []byte, n uint64) Value {
	return Value{p: unsafe.SliceData(b), n: n, len: uint32(len(b)), kind: k}
}

// Kind says which accessor to use.
func (v *Value) Kind() Kind { return v.kind }

// IsNull reports whether v is NULL or absent.
func (v *Value) IsNull() bool { return v.kind <= KindAbsent }

// Bool is the content of KindBool.
func (v *Value) Bool() bool { return v.n != 0 }

// Int is the content of KindInt, KindDecimal and KindMicros.
func (v *Value) Int() int64 { return int64(v.n) }

// Uint is the content of KindUint, and the index of an ENUM.
func (v *Value) Uint() uint64 { return v.n }

// Float is the content of KindFloat32 and KindFloat64.
func (v *Value) Float() float64 { return math.Float64frombits(v.n) }

// Bytes is the content of the kinds that hold bytes; nil for the others.
func (v *Value) Bytes() []byte {
	if v.kind == KindList {
		return nil
	}
	return unsafe.Slice(v.p, int(v.len))
}

// List is the content of KindList.
func (v *Value) List() []Value {
	if v.kind != KindList || v.p == nil {
		return nil
	}
	return unsafe.Slice((*Value)(unsafe.Pointer(v.p)), int(v.len))
}

// Equal reports whether two values are held alike and have the same content.
// NaN equals itself.
func (v *Value) Equal(w *Value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case KindString, KindBytes, KindBigDecimal, KindNumber, KindJSON:
		return bytes.Equal(v.Bytes(), w.Bytes())
	case KindList:
		a, b := v.List(), w.List()
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !a[i].Equal(&b[i]) {
				return false
			}
		}
		return true
	}
	return v.n == w.n
}

// String is for people and test failures; it is not a format.
func (v Value) String() string { return string(v.appendCanonical(nil)) }

// appendCanonical appends kind and content, unambiguously.
func (v *Value) appendCanonical(dst []byte) []byte {
	switch v.kind {
	case KindNull:
		return append(dst, "null"...)
	case KindAbsent:
		return append(dst, "absent"...)
	case KindFloat32, KindFloat64:
		return strconv.AppendFloat(append(dst, 'f'), v.Float(), 'g', -1, 64)
	case KindList:
		dst = append(dst, '[')
		for i := range v.List() {
			dst = v.List()[i].appendCanonical(append(dst, ' '))
		}
		return append(dst, ']')
	case KindString, KindBytes, KindBigDecimal, KindNumber, KindJSON:
		return fmt.Appendf(dst, "%d%q", v.kind, v.Bytes())
	case KindUint:
		return strconv.AppendUint(append(dst, 'u'), v.n, 10)
	}
	return fmt.Appendf(dst, "%d:%d", v.kind, int64(v.n))
}
