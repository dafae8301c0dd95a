package enrich

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/javadate"
	"github.com/weir-cdc/weir/internal/transform"
)

// timestampType is a form in which Connect has a point in time.
type timestampType uint8

const (
	timestampText timestampType = iota + 1
	timestampUnix
	timestampDate
	timestampTime
	timestampMillis
)

// timestampTypes are their names in target.type, with the fields they make.
var timestampTypes = map[string]struct {
	kind  timestampType
	field cdc.Field
}{
	"string":    {timestampText, cdc.Field{Type: cdc.Text}},
	"unix":      {timestampUnix, cdc.Field{Type: cdc.Int64}},
	"Date":      {timestampDate, cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectDate, SchemaVersion: 1}},
	"Time":      {timestampTime, cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectTime, SchemaVersion: 1}},
	"Timestamp": {timestampMillis, cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp, SchemaVersion: 1}},
}

// unixUnits are the values of unix.precision, in ns.
var unixUnits = map[string]int64{"seconds": 1e9, "milliseconds": 1e6, "microseconds": 1e3, "nanoseconds": 1}

// timestampConverter changes the form of a point in time.
type timestampConverter struct {
	side    side
	field   string // empty: the whole key or value
	target  timestampType
	result  cdc.Field
	format  *javadate.Format // nil: none is set
	unit    int64            // ns
	replace bool
	now     func() time.Time
	plans   planned[*timestampPlan]
}

type timestampPlan struct {
	defaults
	schema *cdc.Schema
	at     int // −1: the row has no such field
	from   timestampType
	field  cdc.Field
}

func newTimestampConverter(s side, o *transform.Options) transform.Transform {
	t := &timestampConverter{side: s, field: o.Text("field", ""), replace: replaceNulls(o), now: time.Now}
	target, ok := timestampTypes[o.Need("target.type", "string, unix, Date, Time or Timestamp")]
	if !ok && o.Text("target.type", "") != "" {
		o.Fail("target.type", "string, unix, Date, Time or Timestamp")
	}
	t.target, t.result = target.kind, target.field
	if pattern := o.Text("format", ""); pattern != "" {
		var err error
		if t.format, err = javadate.Parse(pattern); err != nil {
			o.Fail("format", "a pattern of java.text.SimpleDateFormat: "+err.Error())
		}
	} else if t.target == timestampText {
		o.Fail("format", "a pattern of java.text.SimpleDateFormat, since target.type is string")
	}
	precision := o.Text("unix.precision", "milliseconds")
	if t.unit = unixUnits[precision]; t.unit == 0 {
		o.Fail("unix.precision", "seconds, milliseconds, microseconds or nanoseconds")
		t.unit = 1
	}
	t.plans = newPlanned(t.plan)
	return t
}

// Apply converts the point in time of r.
func (t *timestampConverter) Apply(r *cdc.Record) (keep bool, err error) {
	row := t.side.row(r)
	if row == nil {
		return true, nil
	}
	p, err := t.plans.of(row.Schema)
	if err != nil {
		return false, err
	}
	p.fill(row)
	row.Schema = p.schema
	if p.at < 0 || row.Values[p.at].IsNull() {
		return true, nil
	}
	v := &row.Values[p.at]
	millis, err := t.read(p, v)
	if err != nil {
		return false, fmt.Errorf("converting the time in %s: %w", p.field.Name, err)
	}
	*v = t.write(row, millis)
	return true, nil
}

func (t *timestampConverter) plan(s *cdc.Schema) (*timestampPlan, error) {
	p := &timestampPlan{defaults: defaultsOf(s, t.replace), schema: s}
	switch p.at = s.Index([]byte(t.field)); {
	case s.IsBare() && t.field != "":
		return nil, structOnly(&cdc.Row{Schema: s}, "the conversion of a time")
	case !s.IsBare() && t.field == "":
		return nil, errors.New("a struct is no point in time: property field names the one that is")
	case p.at < 0:
		return p, nil
	}
	p.field = s.Fields[p.at]
	if p.from = timestampTypeOf(&p.field); p.from == 0 && p.field.Type != cdc.Any {
		return nil, fmt.Errorf("field %s is of type %s, which has no point in time", p.field.Name, strings.TrimSpace(p.field.Type.String()+" "+p.field.ConnectName()))
	}
	result := t.result
	result.Name, result.Optional = p.field.Name, p.field.Optional
	if p.field.Type == cdc.Any && result.Semantic == cdc.Plain {
		result = untyped(result)
	}
	if s.IsBare() {
		p.schema = cdc.Bare(result)
		return p, nil
	}
	fields := slices.Clone(s.Fields)
	fields[p.at] = result
	p.schema = cdc.Schema{Name: s.Name, Version: s.Version, Doc: s.Doc, Optional: s.Optional, Fields: fields}.Intern()
	return p, nil
}

// timestampTypeOf is the form that the values of a field have; 0 for none.
func timestampTypeOf(f *cdc.Field) timestampType {
	switch {
	case f.Semantic == cdc.ConnectTimestamp:
		return timestampMillis
	case f.Semantic == cdc.ConnectDate:
		return timestampDate
	case f.Semantic == cdc.ConnectTime:
		return timestampTime
	case f.Type == cdc.Text:
		return timestampText
	case f.Type == cdc.Int64:
		return timestampUnix
	}
	return 0
}

// read is the point in time that v has, in ms since the epoch.
func (t *timestampConverter) read(p *timestampPlan, v *cdc.Value) (int64, error) {
	from := p.from
	if from == 0 { // without a schema the value says what it is
		switch v.Kind() {
		case cdc.KindInt:
			from = timestampUnix
		case cdc.KindString:
			from = timestampText
		default:
			return 0, fmt.Errorf("%s is neither a whole number nor text", json.AppendText(nil, &p.field, v))
		}
	}
	switch from {
	case timestampText:
		if t.format == nil {
			return 0, errors.New("to read text, property format has to say how it is written")
		}
		return t.format.Read(string(json.AppendText(nil, &p.field, v)), t.now())
	case timestampUnix:
		return t.toMillis(v.Int()), nil
	case timestampDate:
		return v.Int() * millisPerDay, nil
	}
	return v.Int(), nil
}

// toMillis turns a number of the unix precision into ms, cut as Java's TimeUnit
// does: towards zero, and at the ends of the range.
func (t *timestampConverter) toMillis(n int64) int64 {
	if t.unit <= 1e6 {
		return n / (1e6 / t.unit)
	}
	return saturated(n, t.unit/1e6)
}

// write is the point in time in the form wanted.
func (t *timestampConverter) write(row *cdc.Row, millis int64) cdc.Value {
	day := millis - floorMod(millis, millisPerDay)
	switch t.target {
	case timestampText:
		return cdc.String(row.Keep(t.format.Append(row.Tail(32), millis)))
	case timestampUnix:
		if t.unit > 1e6 {
			return cdc.Int(millis / (t.unit / 1e6))
		}
		return cdc.Int(saturated(millis, 1e6/t.unit))
	case timestampDate:
		return cdc.Int(day / millisPerDay)
	case timestampTime:
		return cdc.Int(millis - day)
	}
	return cdc.Int(millis)
}

func floorMod(a, b int64) int64 {
	if a %= b; a < 0 {
		a += b
	}
	return a
}

// saturated is n·factor, or the end of the range that it is beyond.
func saturated(n, factor int64) int64 {
	switch {
	case n > math.MaxInt64/factor:
		return math.MaxInt64
	case n < math.MinInt64/factor:
		return math.MinInt64
	}
	return n * factor
}
