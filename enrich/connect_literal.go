package enrich

import (
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/javadate"
)

// parseLiteral makes of a text the value that Connect's Values.parseString
// makes of it: null, a boolean, a date, time or timestamp in ISO 8601, a number
// of the smallest type that holds it, a list or map that is written as JSON, or
// else the text itself.
func parseLiteral(text string) *cdc.Row {
	literal := strings.TrimSpace(text)
	f, v := cdc.Field{Type: cdc.Text}, cdc.String([]byte(text))
	switch {
	case text == "null":
		f, v = cdc.Field{Type: cdc.Text, Optional: true}, cdc.Value{}
	case text == "true" || text == "false":
		f, v = cdc.Field{Type: cdc.Boolean}, cdc.Bool(text == "true")
	case literal == "":
	case literal[0]-'0' <= 9 || literal[0] == '-' || literal[0] == '+':
		if field, value, ok := temporalLiteral(literal); ok {
			f, v = field, value
		} else if field, value, ok := numberLiteral(literal); ok {
			f, v = field, value
		}
	case literal[0] == '[' || literal[0] == '{':
		if read, err := json.ReadAny(new(cdc.Row), []byte(literal)); err == nil {
			f, v = cdc.Field{Type: cdc.Any}, read
		}
	}
	return &cdc.Row{Schema: cdc.Bare(f), Values: []cdc.Value{v}}
}

// temporalLiteral reads the ISO 8601 forms that Connect knows, by their length.
func temporalLiteral(text string) (f cdc.Field, v cdc.Value, ok bool) {
	var format *javadate.Format
	f = cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp, SchemaVersion: 1}
	switch len(text) {
	case len("2006-01-02"):
		format, f.Type, f.Semantic = dateForm, cdc.Int32, cdc.ConnectDate
	case len("15:04:05.000Z"):
		format, f.Type, f.Semantic = timeForm, cdc.Int32, cdc.ConnectTime
	case len("2006-01-02T15:04:05.000Z"):
		format = timestampForm
	default:
		return f, v, false
	}
	millis, err := format.Read(text, time.Unix(0, 0))
	if f.Semantic == cdc.ConnectDate {
		millis /= millisPerDay
	}
	return f, cdc.Int(millis), err == nil
}

// numberLiteral reads a number: an integer of the smallest type, else one of
// single precision, or of double precision if it is beyond that.
func numberLiteral(text string) (f cdc.Field, v cdc.Value, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return cdc.Field{Type: smallest(n)}, cdc.Int(n), true
	}
	if strings.ContainsAny(text, "xX_iInNpP") {
		return f, v, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return f, v, false
	}
	if i := int64(n); float64(i) == n && i != 1<<63-1 {
		return cdc.Field{Type: smallest(i)}, cdc.Int(i), true
	}
	if single, err := strconv.ParseFloat(text, 32); err == nil {
		return cdc.Field{Type: cdc.Float}, cdc.Float32(float32(single)), true
	}
	return cdc.Field{Type: cdc.Double}, cdc.Float64(n), true
}

// smallest is the smallest integer type that holds n.
func smallest(n int64) cdc.Type {
	for _, t := range []cdc.Type{cdc.Int8, cdc.Int16, cdc.Int32} {
		if narrow(n, t) == n {
			return t
		}
	}
	return cdc.Int64
}

// The forms that Connect's Values writes and reads times by.
var (
	dateForm      = mustFormat("yyyy-MM-dd")
	timeForm      = mustFormat("HH:mm:ss.SSS'Z'")
	timestampForm = mustFormat("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
)

const millisPerDay = 86_400_000

// mustFormat compiles one of them.
func mustFormat(pattern string) *javadate.Format {
	f, err := javadate.Parse(pattern)
	if err != nil {
		panic(err)
	}
	return f
}
