package routing

import (
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/weir-cdc/weir/internal/transform"
)

// adjustment is a mode of Debezium's schema.name.adjustment.mode and
// field.name.adjustment.mode: how names that Avro does not allow are changed.
type adjustment struct {
	on, unicode bool
	dots        bool // are allowed: in the names of schemas
}

// adjustmentOf reads the property of that name.
func adjustmentOf(o *transform.Options, name string, dots bool) adjustment {
	mode := o.OneOf(name, "none", "avro", "avro_unicode")
	return adjustment{on: mode != "none", unicode: mode == "avro_unicode", dots: dots}
}

// adjust is name with every character that Avro does not allow as an underscore,
// or as _u and its hexadecimal code; that mode writes underscores so, too.
func (a adjustment) adjust(name string) string {
	if !a.on {
		return name
	}
	var out strings.Builder
	for i, c := range utf16.Encode([]rune(name)) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' && !a.unicode
		digit := c >= '0' && c <= '9'
		switch {
		case letter, i > 0 && (digit || c == '.' && a.dots):
			out.WriteByte(byte(c))
		case a.unicode:
			out.WriteString(unicodeEscape(c))
		default:
			out.WriteByte('_')
			if digit { // kept, so that names that differ in it stay different
				out.WriteByte(byte(c))
			}
		}
	}
	return out.String()
}

// unicodeEscape writes two zeros before one or two digits, but none before
// three, as Debezium's UnicodeReplacementFunction does.
func unicodeEscape(c uint16) string {
	hex := strconv.FormatUint(uint64(c), 16)
	if len(hex) <= 2 {
		hex = "00" + hex
	}
	return "_u" + hex
}
