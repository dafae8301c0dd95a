package capture

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// headerWriter writes headers as header.converter does.
type headerWriter struct {
	typed     conversions
	constants []constantHeader
}

// constantHeader is a header that is the same on every record.
type constantHeader struct {
	row   *cdc.Row
	bytes []byte
}

// headerText is the schema of headers that are text.
var headerText = cdc.Bare(cdc.Field{Type: cdc.Text})

func newHeaderWriter(form Form, options json.Options) headerWriter {
	return headerWriter{typed: newConversions(form, options)}
}

// constant makes a header that is the same on every record.
func (w *headerWriter) constant(key string, text []byte) cdc.Header {
	row := transform.BareRow(headerText, cdc.String(text))
	b, _ := w.typed.of(headerText).append(nil, row) // no form of headers refuses text
	w.constants = append(w.constants, constantHeader{row, b})
	return cdc.Header{Key: key, Typed: row}
}

// value keeps what is written of a header in a; nil for null.
func (w *headerWriter) value(a *arena, h *cdc.Header) ([]byte, error) {
	switch {
	case h.Typed == nil && h.Value == nil:
		return nil, nil
	case h.Typed == nil && w.typed.form != FormJSON:
		return a.copy(h.Value), nil
	case h.Typed == nil:
		return w.typed.of(headerText).keep(a, transform.BareRow(headerText, cdc.String(h.Value)))
	}
	for i := range w.constants {
		if w.constants[i].row == h.Typed {
			return w.constants[i].bytes, nil
		}
	}
	if w.typed.form != FormJSON && h.Typed.Schema.IsBare() && h.Typed.Values[0].IsNull() {
		return nil, nil
	}
	return w.typed.of(h.Typed.Schema).keep(a, h.Typed)
}
