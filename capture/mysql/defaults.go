package mysql

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// epochTimestamp is what Debezium takes CURRENT_TIMESTAMP for in a default.
const epochTimestamp = "1970-01-01 00:00:00"

// introducer is a character set before a literal.
var introducer = regexp.MustCompile(`(?s)^_[A-Za-z0-9]+'(.*)'$`)

// defaultText is the text that Debezium's parser keeps of a DEFAULT: a
// literal's source without its quotes and without undoing its escapes,
// 1970-01-01 00:00:00 for the current time. There is none for NULL, other
// expressions and hexadecimal literals.
func defaultText(c *Column) (string, bool) {
	switch {
	case !c.HasDefault || c.DefaultNull:
		return "", false
	case c.DefaultExpression:
		return epochTimestamp, isNow(c.Default)
	case c.DefaultHex:
		return "", false
	}
	return c.Default, true
}

// isNow reports whether an expression is the current time, the only one that
// Debezium gives a value.
func isNow(expression string) bool {
	name, rest, _ := strings.Cut(expression, "(")
	if strings.Trim(rest, "0123456789 )") != "" { // something is done to it
		return false
	}
	switch strings.ToUpper(strings.TrimSpace(name)) {
	case "CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP":
		return true
	}
	return false
}

// defaultValue converts the DEFAULT of c as Debezium's
// BinlogDefaultValueConverter does; f is the field it is for. A default that
// cannot be converted is none.
func (o *ValueOptions) defaultValue(c *Column, f *cdc.Field) (cdc.Value, bool) {
	text, ok := defaultText(c)
	if !ok {
		return cdc.Value{}, false
	}
	if m := introducer.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	switch f.Type {
	case cdc.Text:
		return o.textDefault(c, f, text)
	case cdc.Binary:
		return o.binaryDefault(c, f, text)
	case cdc.Struct, cdc.Array:
		return cdc.Value{}, false
	}
	text = strings.TrimSpace(text)
	switch c.Type {
	case "DATE", "DATETIME", "TIME":
		return temporalDefault(c, f, text)
	}
	return numberDefault(f, text)
}

// numberDefault converts to the integers, floats and booleans; TRUE and FALSE
// are 1 and 0, and a fraction is rounded half up, as the server does.
func numberDefault(f *cdc.Field, text string) (cdc.Value, bool) {
	switch strings.ToLower(text) {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return cdc.Value{}, false
	}
	switch f.Type {
	case cdc.Boolean:
		return cdc.Bool(n.Sign() > 0), true
	case cdc.Float:
		v, _ := n.Float32()
		return cdc.Float32(v), true
	case cdc.Double:
		v, _ := n.Float64()
		return cdc.Float64(v), true
	case cdc.Int16:
		return cdc.Int(roundTo(n, math.MinInt16, math.MaxInt16)), true
	case cdc.Int32:
		return cdc.Int(roundTo(n, math.MinInt32, math.MaxInt32)), true
	}
	return cdc.Int(roundTo(n, math.MinInt64, math.MaxInt64)), true
}

// roundTo is Java's Math.round (half up) within bounds: BIGINT UNSIGNED's
// upper half becomes the largest int64.
func roundTo(n *big.Rat, low, high int64) int64 {
	half := new(big.Rat).Add(n, big.NewRat(1, 2))
	floor := new(big.Int).Div(half.Num(), half.Denom())
	switch {
	case floor.Cmp(big.NewInt(low)) < 0:
		return low
	case floor.Cmp(big.NewInt(high)) > 0:
		return high
	}
	return floor.Int64()
}

func (o *ValueOptions) binaryDefault(c *Column, f *cdc.Field, text string) (cdc.Value, bool) {
	switch f.Semantic {
	case cdc.Decimal:
		unscaled, ok := unscaledDefault(text, f.Scale)
		if !ok {
			return cdc.Value{}, false
		}
		if unscaled.IsInt64() && f.Precision <= 18 {
			return cdc.SmallDecimal(unscaled.Int64()), true
		}
		return cdc.BigDecimal(twosComplement(unscaled)), true
	case cdc.Bits:
		return bitsDefault(c.Length, text)
	}
	return cdc.Bytes([]byte(text)), true
}

// unscaledDefault rounds half up, away from zero, as BigDecimal.setScale does.
func unscaledDefault(text string, scale int) (*big.Int, bool) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	n.Mul(n, new(big.Rat).SetInt(power))
	negative := n.Sign() < 0
	n.Abs(n).Add(n, big.NewRat(1, 2))
	out := new(big.Int).Quo(n.Num(), n.Denom())
	if negative {
		out.Neg(out)
	}
	return out, true
}

// twosComplement is BigInteger.toByteArray: the shortest that keeps the sign.
func twosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	size := new(big.Int).Not(n).BitLen()/8 + 1
	mod := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	return mod.Add(mod, n).FillBytes(make([]byte, size))
}

// bitsDefault reads b'101': little-endian, as many bytes as the column has.
func bitsDefault(width int, text string) (cdc.Value, bool) {
	n, ok := new(big.Int).SetString(strings.TrimSpace(text), 2)
	if !ok || n.Sign() < 0 || n.BitLen() > width {
		return cdc.Value{}, false
	}
	b := n.FillBytes(make([]byte, (width+7)/8))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return cdc.Bytes(b), true
}

// textDefault converts to everything that travels as text.
func (o *ValueOptions) textDefault(c *Column, f *cdc.Field, text string) (cdc.Value, bool) {
	switch c.Type {
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		text = o.Binary.encode([]byte(text))
	case "DECIMAL":
		unscaled, ok := unscaledDefault(text, f.Scale)
		if !ok {
			return cdc.Value{}, false
		}
		text = new(big.Rat).SetFrac(unscaled, pow10(f.Scale)).FloatString(f.Scale)
	case "DATE", "TIME", "DATETIME", "TIMESTAMP":
		return temporalDefault(c, f, strings.TrimSpace(text))
	case "JSON":
		return cdc.Value{}, false // the server allows expressions only
	}
	return cdc.String([]byte(text)), true
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// encode is what binary.handling.mode makes of bytes.
func (m BinaryMode) encode(b []byte) string {
	switch m {
	case BinaryBase64:
		return base64.StdEncoding.EncodeToString(b)
	case BinaryBase64URL:
		return base64.URLEncoding.EncodeToString(b)
	case BinaryHex:
		return hex.EncodeToString(b)
	}
	return string(b)
}

// temporalDefault converts the defaults of DATE, TIME, DATETIME and TIMESTAMP.
func temporalDefault(c *Column, f *cdc.Field, text string) (cdc.Value, bool) {
	if c.Type == "TIME" {
		ns, ok := parseDuration(text)
		if !ok {
			return cdc.Value{}, false
		}
		return timeDefault(f, ns), true
	}
	t, ok := parseDatetime(text)
	// What is no date, a zero month or day say, is the epoch in a column that
	// must have a value. An optional TIMESTAMP has no default of the epoch
	// either: Debezium cannot tell it from CURRENT_TIMESTAMP.
	if !ok || c.Type == "TIMESTAMP" && text == epochTimestamp {
		if c.Optional {
			return cdc.Value{}, false
		}
		t = time.Unix(0, 0).UTC()
	}
	return datetimeDefault(f, t), true
}

// timeDefault has the semantic types of a TIME. Connect's and ISO's have no
// sign: they are a time of the day.
func timeDefault(f *cdc.Field, ns int64) cdc.Value {
	switch f.Semantic {
	case cdc.ConnectTime, cdc.Time:
		return cdc.Int(ns / 1e6)
	case cdc.NanoTime:
		return cdc.Int(ns)
	case cdc.IsoTime:
		t := time.Unix(0, ns).UTC()
		return cdc.String([]byte(t.Format("15:04:05.999999999Z")))
	}
	return cdc.Int(ns / 1e3)
}

func datetimeDefault(f *cdc.Field, t time.Time) cdc.Value {
	switch f.Semantic {
	case cdc.Date, cdc.ConnectDate:
		days := t.Unix() / 86400
		if t.Unix()%86400 < 0 {
			days--
		}
		return cdc.Int(days)
	case cdc.IsoDate:
		return cdc.String([]byte(t.Format("2006-01-02Z")))
	case cdc.Timestamp, cdc.ConnectTimestamp:
		return cdc.Int(t.UnixMilli())
	case cdc.MicroTimestamp:
		return cdc.Int(t.UnixMicro())
	case cdc.NanoTimestamp:
		return cdc.Int(t.UnixNano())
	}
	return cdc.String([]byte(t.Format("2006-01-02T15:04:05.999999999Z")))
}

// parseDuration reads [-][h]hh:mm:ss[.fraction], and the time of a datetime.
func parseDuration(text string) (int64, bool) {
	if _, clock, ok := strings.Cut(text, " "); ok {
		text = clock
	}
	negative := strings.HasPrefix(text, "-")
	parts := strings.Split(strings.TrimPrefix(text, "-"), ":")
	if len(parts) != 3 {
		return 0, false
	}
	hours, err1 := strconv.ParseUint(parts[0], 10, 16)
	minutes, err2 := strconv.ParseUint(parts[1], 10, 16)
	seconds, ok := new(big.Rat).SetString(parts[2])
	if err1 != nil || err2 != nil || !ok {
		return 0, false
	}
	ns := roundTo(seconds.Mul(seconds, big.NewRat(1e9, 1)), 0, math.MaxInt64)
	ns += int64(hours)*3600e9 + int64(minutes)*60e9
	if negative {
		ns = -ns
	}
	return ns, true
}

var datetimeForm = regexp.MustCompile(`^(\d+)\D+(\d+)\D+(\d+)(?:[ T]+(\d+)(?:\D(\d+)(?:\D(\d+)(\.\d*)?)?)?)?$`)

// parseDatetime reads a date with or without a time, as UTC, with the freedom
// about separators that the servers have. Zero months and days are no date.
func parseDatetime(text string) (time.Time, bool) {
	m := datetimeForm.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	var n [6]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	fraction, _ := strconv.ParseFloat("0"+m[7], 64)
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], int(math.Round(fraction*1e9)), time.UTC)
	if n[0] == 0 || t.Year() != n[0] || int(t.Month()) != n[1] || t.Day() != n[2] || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Time{}, false
	}
	return t, true
}
