package lake

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
)

// partitioner says in which folder below its topic's a row belongs. Its answer
// depends on the record and on the range's frozen instant, never on the clock.
type partitioner struct {
	kind     partitionKind
	fields   []string      // byField
	format   *jodaFormat   // byTime
	duration time.Duration // byTime: buckets of local time
	zone     *time.Location
	clock    extractor
	field    []string // fromField: the way to it
}

// partitionKind is one of Confluent's partitioners, of which the time-based are one.
type partitionKind uint8

const (
	byPartition partitionKind = iota // DefaultPartitioner
	byField                          // FieldPartitioner
	byTime                           // TimeBasedPartitioner, HourlyPartitioner, DailyPartitioner
)

// extractor is where a time-based path has its time from (timestamp.extractor).
type extractor uint8

const (
	fromRecord extractor = iota // Record: the Kafka record's timestamp
	fromClock                   // Wallclock: the instant at which the range began
	fromField                   // RecordField
)

// hiveNull is the folder name that Hive, Spark and Athena read as NULL.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// bucketed remembers the last bucket, and the instants of which it is one: most
// records are of the same.
type bucketed struct {
	from, until int64 // in ms since the epoch
	path        string
	start       int64
}

// folder is r's folder below its topic's. memory is the caller's.
func (p *partitioner) folder(r *cdc.Record, instant time.Time, memory *bucketed) (string, error) {
	switch p.kind {
	case byPartition:
		return "partition=" + strconv.Itoa(int(r.Partition)), nil
	case byField:
		return p.fieldFolder(r)
	}
	at, err := p.time(r, instant)
	if err != nil {
		return "", err
	}
	path, _ := p.bucket(at, memory)
	return path, nil
}

// bucket is the folder of an instant in ms since the epoch, and its start.
func (p *partitioner) bucket(at int64, memory *bucketed) (string, int64) {
	if at < memory.from || at >= memory.until {
		*memory = p.bucketOf(at)
		memory.path = string(p.format.append(nil, time.UnixMilli(memory.start).In(p.zone)))
	}
	return memory.path, memory.start
}

// bucketOf cuts off at local multiples of the duration, as Confluent's
// TimeBasedPartitioner.getPartition does. It is the same for all instants of the
// multiple between two changes of the clock, at whatever second these are.
func (p *partitioner) bucketOf(at int64) bucketed {
	d := p.duration.Milliseconds()
	t := time.UnixMilli(at).In(p.zone)
	_, seconds := t.Zone()
	offset := int64(seconds) * 1000
	local := floorDiv(at+offset, d) * d
	b := bucketed{from: local - offset, until: local - offset + d}
	change, next := t.ZoneBounds()
	if !change.IsZero() {
		b.from = max(b.from, change.UnixMilli())
	}
	if !next.IsZero() {
		b.until = min(b.until, next.UnixMilli())
	}
	// Back to UTC with the offset that is valid there, which differs from the
	// one before where the bucket has a change of it.
	_, then := time.UnixMilli(local - offset).In(p.zone).Zone()
	b.start = local - int64(then)*1000
	return b
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// time is the instant that r is filed under, in ms since the epoch.
func (p *partitioner) time(r *cdc.Record, instant time.Time) (int64, error) {
	switch {
	case p.clock == fromClock:
		return instant.UnixMilli(), nil
	case p.clock == fromRecord, r.Value == nil:
		return r.Timestamp, nil // a delete that only has its key has no field either
	}
	f, v := fieldOf(r.Value, p.field)
	if f == nil {
		return 0, fmt.Errorf("timestamp.field: the record has no field %s", strings.Join(p.field, "."))
	}
	at, err := millisOf(f, v)
	if err != nil {
		return 0, fmt.Errorf("timestamp.field %s: %w", strings.Join(p.field, "."), err)
	}
	return at, nil
}

// fieldOf follows a way of names into a row; nil where it ends.
func fieldOf(row *cdc.Row, way []string) (*cdc.Field, *cdc.Value) {
	schema, values := row.Schema, row.Values
	for i, name := range way {
		at := schema.Index([]byte(name))
		if at < 0 {
			return nil, nil
		}
		f, v := &schema.Fields[at], &values[at]
		if i == len(way)-1 {
			return f, v
		}
		if f.Type != cdc.Struct || v.IsNull() {
			return nil, nil
		}
		schema, values = f.Struct, v.List()
	}
	return nil, nil
}

// unitsPerMilli of the integer timestamps; a date counts days.
var unitsPerMilli = map[cdc.Semantic]int64{
	cdc.Timestamp: 1, cdc.ConnectTimestamp: 1, cdc.MicroTimestamp: 1e3, cdc.NanoTimestamp: 1e6, cdc.Plain: 1,
}

// millisOf reads a field as an instant by what its schema says. A plain integer
// is milliseconds, as in Confluent's; text is ISO 8601, in UTC if it has no
// offset.
func millisOf(f *cdc.Field, v *cdc.Value) (int64, error) {
	switch v.Kind() {
	case cdc.KindNull, cdc.KindAbsent:
		return 0, errors.New("the value is null")
	case cdc.KindMicros:
		return floorDiv(v.Int(), 1000), nil
	case cdc.KindString:
		return parseTimeText(v.Bytes())
	case cdc.KindNumber:
		if n, err := strconv.ParseInt(string(v.Bytes()), 10, 64); err == nil {
			return n, nil
		}
	case cdc.KindInt:
		if f.Semantic == cdc.Date || f.Semantic == cdc.ConnectDate {
			return v.Int() * 86_400_000, nil
		}
		if unit, ok := unitsPerMilli[f.Semantic]; ok {
			return floorDiv(v.Int(), unit), nil
		}
	}
	return 0, fmt.Errorf("a %v with schema %q is no time", f.Type, f.ConnectName())
}

// timeLayouts are tried after the form with an offset.
var timeLayouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02Z07:00", "2006-01-02"}

func parseTimeText(b []byte) (int64, error) {
	if us, ok := parseInstant(b); ok {
		return floorDiv(us, 1000), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, string(b)); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, string(b)); err == nil {
		return t.UnixMilli(), nil
	}
	return 0, fmt.Errorf("%.40q is not a time in ISO 8601", b)
}

// fieldFolder is field=value for each field, as Hive writes it.
func (p *partitioner) fieldFolder(r *cdc.Record) (string, error) {
	row := r.Value
	if row == nil {
		row = r.Key
	}
	var out []byte
	for i, name := range p.fields {
		if i > 0 {
			out = append(out, '/')
		}
		out = append(append(out, name[strings.LastIndexByte(name, '.')+1:]...), '=')
		var f *cdc.Field
		var v *cdc.Value
		if row != nil {
			f, v = fieldOf(row, strings.Split(name, "."))
		}
		if f == nil && r.Value != nil {
			return "", fmt.Errorf("partition.field.name: the record has no field %s", name)
		}
		if f == nil || v.IsNull() {
			out = append(out, hiveNull...)
			continue
		}
		var err error
		if out, err = appendFolderValue(out, f, v); err != nil {
			return "", fmt.Errorf("partition.field.name %s: %w", name, err)
		}
	}
	return string(out), nil
}

// appendFolderValue writes a value as a folder's name.
func appendFolderValue(dst []byte, f *cdc.Field, v *cdc.Value) ([]byte, error) {
	switch v.Kind() {
	case cdc.KindString, cdc.KindNumber:
		return appendEscaped(dst, v.Bytes()), nil
	case cdc.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case cdc.KindUint:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case cdc.KindMicros:
		return appendEscaped(dst, time.UnixMicro(v.Int()).UTC().AppendFormat(nil, time.RFC3339Nano)), nil
	case cdc.KindDecimal, cdc.KindBigDecimal:
		d, _ := decimalNumber(v, f.Scale)
		return d.append(dst), nil
	case cdc.KindFloat32, cdc.KindFloat64:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64), nil
	case cdc.KindInt:
		if f.Semantic == cdc.Date && v.Int() < math.MaxInt32 {
			return time.UnixMilli(v.Int()*86_400_000).UTC().AppendFormat(dst, time.DateOnly), nil
		}
		return strconv.AppendInt(dst, v.Int(), 10), nil
	}
	return dst, fmt.Errorf("a %v cannot name a folder", f.Type)
}

// appendEscaped writes text as Hive names folders: what could divide a path or
// a name and value, and control characters, as %XX; bytes beyond ASCII as they are.
func appendEscaped(dst, b []byte) []byte {
	if len(b) == 0 {
		return append(dst, hiveNull...)
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f || bytes.IndexByte([]byte(`"#%'*/:=?\{[]^`), c) >= 0 {
			dst = fmt.Appendf(dst, "%%%02X", c)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
