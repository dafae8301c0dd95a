// Package cdc is the vocabulary of Weir: a Row of Values described by an
// interned Schema, and the Record and Envelope that carry rows from a change
// log to a sink. It holds no behaviour of any database, format or target.
package cdc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Type is a Kafka Connect schema type.
type Type uint8

// The Connect types of a field.
const (
	Boolean Type = iota + 1
	Int8
	Int16
	Int32
	Int64
	Float  // Connect's FLOAT32
	Double // Connect's FLOAT64
	Text   // Connect's STRING
	Binary // Connect's BYTES
	Struct
	Array
	// Any is a value whose type no schema states: a field of schemaless JSON
	// that was read without a fingerprint. Connect has no name for it.
	Any
	// Map is Connect's MAP, with text keys as a rule. Its values are KindJSON:
	// the JSON text that JsonConverter writes for it.
	Map
)

var typeNames = [...]string{
	Boolean: "boolean", Int8: "int8", Int16: "int16", Int32: "int32", Int64: "int64",
	Float: "float", Double: "double", Text: "string", Binary: "bytes", Struct: "struct", Array: "array", Any: "any",
	Map: "map",
}

// String is the name that Connect's JsonConverter gives the type.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// ParseType is the inverse of Type.String.
func ParseType(name string) (Type, error) {
	if i := slices.Index(typeNames[:], name); i > 0 {
		return Type(i), nil
	}
	return 0, fmt.Errorf("unknown Connect type %q", name)
}

// Semantic is what a field means beyond its Type: Connect's schema name.
type Semantic uint8

// The semantic types that Weir knows, by Debezium's and Connect's names.
const (
	Plain            Semantic = iota // no schema name
	Other                            // a schema name that is none of these: Field.SchemaName has it
	Date                             // int32, days since 1970-01-01
	Time                             // int32, ms since midnight
	MicroTime                        // int64, µs since midnight, signed
	NanoTime                         // int64, ns since midnight, signed
	Timestamp                        // int64, ms since the epoch, without a zone
	MicroTimestamp                   // int64, µs since the epoch, without a zone
	NanoTimestamp                    // int64, ns since the epoch, without a zone
	ZonedTime                        // text, ISO 8601 with an offset
	ZonedTimestamp                   // text, ISO 8601, UTC
	IsoDate                          // text, ISO 8601
	IsoTime                          // text, ISO 8601
	IsoTimestamp                     // text, ISO 8601
	ConnectDate                      // int32, days since 1970-01-01
	ConnectTime                      // int32, ms since midnight
	ConnectTimestamp                 // int64, ms since the epoch
	Year                             // int32
	Decimal                          // bytes; parameter scale
	VariableDecimal                  // struct {scale, value}
	Enum                             // text; parameter allowed
	EnumSet                          // text; parameter allowed
	JSON                             // text
	XML                              // text
	UUID                             // text
	Bits                             // bytes, little-endian; parameter length
	Geometry                         // struct {wkb, srid}
	Point                            // struct {x, y, wkb, srid}
	FloatVector                      // array of float
	DoubleVector                     // array of double
)

var semanticNames = [...]string{
	Date: "io.debezium.time.Date", Time: "io.debezium.time.Time", MicroTime: "io.debezium.time.MicroTime",
	NanoTime: "io.debezium.time.NanoTime", Timestamp: "io.debezium.time.Timestamp",
	MicroTimestamp: "io.debezium.time.MicroTimestamp", NanoTimestamp: "io.debezium.time.NanoTimestamp",
	ZonedTime: "io.debezium.time.ZonedTime", ZonedTimestamp: "io.debezium.time.ZonedTimestamp",
	IsoDate: "io.debezium.time.IsoDate", IsoTime: "io.debezium.time.IsoTime", IsoTimestamp: "io.debezium.time.IsoTimestamp",
	ConnectDate: "org.apache.kafka.connect.data.Date", ConnectTime: "org.apache.kafka.connect.data.Time",
	ConnectTimestamp: "org.apache.kafka.connect.data.Timestamp", Year: "io.debezium.time.Year",
	Decimal: "org.apache.kafka.connect.data.Decimal", VariableDecimal: "io.debezium.data.VariableScaleDecimal",
	Enum: "io.debezium.data.Enum", EnumSet: "io.debezium.data.EnumSet", JSON: "io.debezium.data.Json",
	XML: "io.debezium.data.Xml", UUID: "io.debezium.data.Uuid", Bits: "io.debezium.data.Bits",
	Geometry: "io.debezium.data.geometry.Geometry", Point: "io.debezium.data.geometry.Point",
	FloatVector: "io.debezium.data.FloatVector", DoubleVector: "io.debezium.data.DoubleVector",
}

// Name is Connect's schema name of the semantic type; empty for Plain and Other.
func (s Semantic) Name() string {
	if int(s) < len(semanticNames) {
		return semanticNames[s]
	}
	return ""
}

// ParseSemantic is the inverse of Semantic.Name: Plain for no name, Other for a
// name that Weir does not know.
func ParseSemantic(name string) Semantic {
	if name == "" {
		return Plain
	}
	if i := slices.Index(semanticNames[:], name); i > 0 {
		return Semantic(i)
	}
	return Other
}

// Param is one parameter of a Connect schema. Their order is kept, since
// JsonConverter writes them in the order in which they were set.
type Param struct{ Name, Value string }

// Field is one column of a row, or one member of a nested struct.
type Field struct {
	Name     string
	Type     Type
	Semantic Semantic
	Optional bool
	// SchemaName is Connect's schema name where Semantic is Other.
	SchemaName string
	// SchemaVersion is Connect's schema version; 0 is none.
	SchemaVersion int
	Doc           string
	// Params are Connect's schema parameters, those of the semantic type
	// (scale, allowed, length) included.
	Params []Param
	// Default is what Connect's schema states as default; nil is none. Its
	// bytes are never written to.
	Default *Value
	// Precision and Scale are of a Decimal: digits in all (0 if unknown) and
	// after the point. A field of type Text that has a Precision is a decimal
	// that travels as text (decimal.handling.mode=string).
	Precision, Scale int
	// Digits is the width of the fraction of seconds that a temporal column
	// has, 0 to 9. Connect's schemas do not carry it.
	Digits int
	// Struct describes the members where Type is Struct, Element those of an
	// Array and the values of a Map, Key the keys of a Map.
	Struct  *Schema
	Element *Field
	Key     *Field
}

// IsDecimal reports whether the field holds exact decimals: a Decimal, or one
// that travels as text.
func (f *Field) IsDecimal() bool {
	return f.Semantic == Decimal || f.Type == Text && f.Precision > 0
}

// ConnectName is the schema name that Connect knows the field's type by.
func (f *Field) ConnectName() string {
	switch {
	case f.Semantic == Other:
		return f.SchemaName
	case f.Semantic == Plain && f.Struct != nil:
		return f.Struct.Name
	}
	return f.Semantic.Name()
}

// Param is the value of the named parameter, or "".
func (f *Field) Param(name string) string {
	for i := range f.Params {
		if f.Params[i].Name == name {
			return f.Params[i].Value
		}
	}
	return ""
}

// Schema is an immutable list of fields. Equal schemas are one pointer, so that
// whatever is compiled for a schema can be kept in a map by that pointer.
type Schema struct {
	Name    string
	Version int
	Doc     string
	// Optional says that a value of the schema may be null as a whole, where
	// the schema stands alone: Debezium's rows are optional, keys are not.
	Optional bool
	Fields   []Field

	index       map[string]int
	fingerprint string
}

var interned sync.Map // canonical text → *Schema

// NewSchema returns the one Schema with this name and these fields. It keeps a
// copy of fields.
func NewSchema(name string, fields ...Field) *Schema {
	return Schema{Name: name, Fields: fields}.Intern()
}

// Intern returns the one *Schema that equals s, whose unexported parts are
// ignored.
func (s Schema) Intern() *Schema {
	text := s.appendCanonical(nil)
	if got, ok := interned.Load(string(text)); ok {
		return got.(*Schema)
	}
	sum := sha256.Sum256(text)
	out := &Schema{
		Name: s.Name, Version: s.Version, Doc: s.Doc, Optional: s.Optional, Fields: slices.Clone(s.Fields),
		index: make(map[string]int, len(s.Fields)), fingerprint: hex.EncodeToString(sum[:8]),
	}
	for i := range out.Fields {
		out.index[out.Fields[i].Name] = i
	}
	got, _ := interned.LoadOrStore(string(text), out)
	return got.(*Schema)
}

// Bare returns the schema of values that are no struct, such as a key that is a
// plain number: rows of one field without a name.
func Bare(f Field) *Schema {
	f.Name = ""
	return Schema{Version: bareVersion, Fields: []Field{f}}.Intern()
}

// bareVersion tells Bare's schemas from those of a struct whose only field has
// an empty name; no Connect schema has such a version.
const bareVersion = -1

// IsBare reports whether s is one of Bare's.
func (s *Schema) IsBare() bool { return s.Version == bareVersion }

// Fingerprint is 16 hexadecimal digits that differ where schemas do: the first
// 8 bytes of the SHA-256 of everything the schema says. It is stored, so the
// text it is made of must never change for what exists. Header weir.schema has
// that of a whole entry of the schema topic instead.
func (s *Schema) Fingerprint() string { return s.fingerprint }

// Index is the position of the named field, or -1.
func (s *Schema) Index(name []byte) int {
	if i, ok := s.index[string(name)]; ok {
		return i
	}
	return -1
}

// Field returns the named field, or nil.
func (s *Schema) Field(name string) *Field {
	if i, ok := s.index[name]; ok {
		return &s.Fields[i]
	}
	return nil
}

// With returns the schema of the same name with fields added at the end; a
// field of a name that exists replaces it.
func (s *Schema) With(fields ...Field) *Schema {
	out := Schema{Name: s.Name, Version: s.Version, Doc: s.Doc, Fields: slices.Clone(s.Fields)}
	for _, f := range fields {
		if i, ok := s.index[f.Name]; ok {
			out.Fields[i] = f
			continue
		}
		out.Fields = append(out.Fields, f)
	}
	return out.Intern()
}

// appendCanonical appends everything s says, unambiguously.
func (s *Schema) appendCanonical(dst []byte) []byte {
	dst = append(dst, "1{"...)
	dst = strconv.AppendQuote(dst, s.Name)
	dst = strconv.AppendInt(append(dst, ' '), int64(s.Version), 10)
	dst = strconv.AppendQuote(append(dst, ' '), s.Doc)
	if s.Optional {
		dst = append(dst, " o"...)
	}
	for i := range s.Fields {
		dst = s.Fields[i].appendCanonical(append(dst, ' '))
	}
	return append(dst, '}')
}

func (f *Field) appendCanonical(dst []byte) []byte {
	dst = strconv.AppendQuote(append(dst, '('), f.Name)
	dst = append(append(append(dst, ' '), f.Type.String()...), ' ')
	dst = strconv.AppendQuote(dst, f.ConnectName())
	for _, n := range [...]int{f.SchemaVersion, f.Precision, f.Scale, f.Digits} {
		dst = strconv.AppendInt(append(dst, ' '), int64(n), 10)
	}
	dst = strconv.AppendBool(append(dst, ' '), f.Optional)
	dst = strconv.AppendQuote(append(dst, ' '), f.Doc)
	for _, p := range f.Params {
		dst = strconv.AppendQuote(append(dst, ' ', 'p'), p.Name)
		dst = strconv.AppendQuote(append(dst, '='), p.Value)
	}
	if f.Default != nil {
		dst = f.Default.appendCanonical(append(dst, " d"...))
	}
	if f.Struct != nil {
		dst = f.Struct.appendCanonical(append(dst, " s"...))
	}
	if f.Element != nil {
		dst = f.Element.appendCanonical(append(dst, " e"...))
	}
	if f.Key != nil {
		dst = f.Key.appendCanonical(append(dst, " k"...))
	}
	return append(dst, ')')
}
