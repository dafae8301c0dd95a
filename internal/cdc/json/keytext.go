package json

import (
	"bytes"

	"github.com/weir-cdc/weir/internal/cdc"
)

// AppendKeyText appends a key as one text that no other key of its schema has:
// the text of its only field, or those of all its fields joined by |. Of several
// fields a \ or | within a text is written behind a \, and NULL is \N.
func AppendKeyText(dst []byte, key *cdc.Row) []byte {
	for i := range key.Values {
		if i > 0 {
			dst = append(dst, '|')
		}
		if key.Values[i].IsNull() {
			dst = append(dst, `\N`...)
			continue
		}
		from := len(dst)
		dst = AppendText(dst, &key.Schema.Fields[i], &key.Values[i])
		if len(key.Values) > 1 {
			dst = escapeFrom(dst, from)
		}
	}
	return dst
}

// escapeFrom writes a \ before each \ and | of dst from the index on.
func escapeFrom(dst []byte, from int) []byte {
	if !bytes.ContainsAny(dst[from:], `\|`) {
		return dst
	}
	text := bytes.Clone(dst[from:])
	dst = dst[:from]
	for _, c := range text {
		if c == '\\' || c == '|' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}
