package json

import (
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// AppendSchema appends s as JsonConverter writes a schema that stands alone,
// with defaults in the form that options ask for.
func AppendSchema(dst []byte, s *cdc.Schema, options Options) []byte {
	return schemaWriter{options: options}.append(dst, s)
}

// schemaWriter appends schema nodes; the order of their members is that of
// JsonConverter.asJsonSchema.
type schemaWriter struct {
	options Options
	// extended adds what Connect's schemas do not say, so that a schema read
	// back is equal to the one written.
	extended bool
}

// The members that Weir adds to the schemas it keeps for itself.
const (
	memberDigits    = "weir.digits"
	memberPrecision = "weir.precision"
	memberScale     = "weir.scale"
)

// append appends the node of a schema that stands alone.
func (w schemaWriter) append(dst []byte, s *cdc.Schema) []byte {
	f := &cdc.Field{Type: cdc.Struct, Struct: s, Optional: s.Optional}
	if s.IsBare() {
		f = &s.Fields[0]
	}
	return append(w.appendNode(append(dst, '{'), f, false), '}')
}

// appendNode appends the members of f's node, its name included if it is a
// struct's member.
func (w schemaWriter) appendNode(dst []byte, f *cdc.Field, member bool) []byte {
	dst = AppendString(append(dst, `"type":`...), []byte(f.Type.String()))
	switch f.Type {
	case cdc.Struct:
		dst = append(dst, `,"fields":[`...)
		for i := range f.Struct.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(w.appendNode(append(dst, '{'), &f.Struct.Fields[i], true), '}')
		}
		dst = append(dst, ']')
	case cdc.Array:
		dst = append(w.appendNode(append(dst, `,"items":{`...), f.Element, false), '}')
	case cdc.Map:
		dst = append(w.appendNode(append(dst, `,"keys":{`...), f.Key, false), '}')
		dst = append(w.appendNode(append(dst, `,"values":{`...), f.Element, false), '}')
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), f.Optional)
	dst = w.appendNames(dst, f)
	if f.Default != nil {
		p := newPlanField(f, w.options)
		dst = p.append(append(dst, `,"default":`...), f.Default)
	}
	if w.extended {
		dst = appendExtensions(dst, f)
	}
	if member {
		dst = AppendString(append(dst, `,"field":`...), []byte(f.Name))
	}
	return dst
}

// appendNames appends what follows "optional", up to the parameters.
func (w schemaWriter) appendNames(dst []byte, f *cdc.Field) []byte {
	version, doc := f.SchemaVersion, f.Doc
	if f.Struct != nil {
		if version == 0 {
			version = f.Struct.Version
		}
		if doc == "" {
			doc = f.Struct.Doc
		}
	}
	if name := f.ConnectName(); name != "" {
		dst = AppendString(append(dst, `,"name":`...), []byte(name))
	}
	if version != 0 {
		dst = appendInt(append(dst, `,"version":`...), int64(version))
	}
	if doc != "" {
		dst = AppendString(append(dst, `,"doc":`...), []byte(doc))
	}
	for i, p := range f.Params {
		if i == 0 {
			dst = append(dst, `,"parameters":{`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, []byte(p.Name)), ':')
		dst = AppendString(dst, []byte(p.Value))
	}
	if len(f.Params) > 0 {
		dst = append(dst, '}')
	}
	return dst
}

func appendExtensions(dst []byte, f *cdc.Field) []byte {
	member := func(name string, n int) {
		if n != 0 {
			dst = append(AppendString(append(dst, ','), []byte(name)), ':')
			dst = appendInt(dst, int64(n))
		}
	}
	member(memberDigits, f.Digits)
	member(memberPrecision, f.Precision)
	member(memberScale, f.Scale)
	return dst
}
