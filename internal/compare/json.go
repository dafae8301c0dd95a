package compare

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// appendJSON appends a JSON text in one form for all that mean the same: sorted
// keys, no white space, numbers as appendNumber writes them.
func appendJSON(dst, text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return nil, fmt.Errorf("%.60q is no JSON", text)
	}
	return appendTree(dst, v)
}

func appendTree(dst []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		dst = append(dst, '{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			dst = append(strconv.AppendQuote(dst, k), ':')
			if dst, err = appendTree(dst, v[k]); err != nil {
				return nil, err
			}
			dst = append(dst, ',')
		}
		return append(dst, '}'), nil
	case []any:
		dst = append(dst, '[')
		for _, e := range v {
			if dst, err = appendTree(dst, e); err != nil {
				return nil, err
			}
			dst = append(dst, ',')
		}
		return append(dst, ']'), nil
	case json.Number:
		return appendNumber(dst, []byte(v))
	case string:
		return strconv.AppendQuote(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	}
	return append(dst, "null"...), nil
}

// shape is a geometry as Debezium's struct has it.
type shape struct {
	WKB  []byte `json:"wkb"`
	SRID *int64 `json:"srid"`
}

func geometry(dst []byte, v cell) (value, error) {
	var g shape
	if v.kind != cellJSON && v.kind != cellText || json.Unmarshal(v.text, &g) != nil {
		return value{}, fmt.Errorf("%.60q is no geometry", v.text)
	}
	var srid int64
	if g.SRID != nil {
		srid = *g.SRID
	}
	return value{text: fmt.Appendf(dst, "%d %x", srid, g.WKB)}, nil
}

// nativeGeometry reads a geometry as the server stores it: spatial reference,
// well-known binary.
func nativeGeometry(dst, b []byte) (value, error) {
	if len(b) < 4 {
		return value{}, fmt.Errorf("%x is no geometry", b)
	}
	return value{text: fmt.Appendf(dst, "%d %x", binary.LittleEndian.Uint32(b), b[4:])}, nil
}

func vector(dst []byte, v cell) (value, error) {
	var elements []float64
	if v.kind != cellJSON && v.kind != cellText || json.Unmarshal(v.text, &elements) != nil {
		return value{}, fmt.Errorf("%.60q is no vector", v.text)
	}
	for _, f := range elements {
		dst = appendElement(dst, f)
	}
	return value{text: dst}, nil
}

// cellOf is a value of a document.
func cellOf(raw json.RawMessage) cell {
	switch raw[0] {
	case 'n':
		return cell{}
	case 't':
		return cell{kind: cellBool, n: 1}
	case 'f':
		return cell{kind: cellBool}
	case '{', '[':
		return cell{kind: cellJSON, text: raw}
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // it was read as a part of the document before
		return cell{kind: cellText, text: []byte(s)}
	}
	return cell{kind: cellNumber, text: raw}
}
