package enrich

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // for machines without one

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// timezoneConverter is Debezium's TimezoneConverter: it takes timestamps of
// changes into another time zone. Those without a zone were of it all along, and
// become the points in time that they stand for; those with a zone stay the same
// points in time and are written with its offset.
type timezoneConverter struct {
	zone zone
	// ruled says that there is a list; the maps have the rules of its items.
	ruled, exclude                bool
	byTopic, byTable, byEitherOne map[string]*zoneRule
	plans                         map[zonePlanKey][]zoneField
}

// zoneRule is what a list says of one table or topic: the fields it names by the
// part of the envelope that they are in.
type zoneRule struct {
	all    bool // it names no fields
	fields map[string][]string
}

type zonePlanKey struct {
	schema *cdc.Schema
	rule   *zoneRule
	part   string
}

// zoneField is a field to convert.
type zoneField struct {
	at       int
	semantic cdc.Semantic
}

// everyField is the rule where there is no list, or none that concerns a record.
var everyField = &zoneRule{all: true}

// The parts of an envelope that a rule's fields may be of.
const (
	partBefore = "before"
	partAfter  = "after"
	partSource = "source"
)

func newTimezoneConverter(o *transform.Options) transform.Transform {
	t := &timezoneConverter{
		byTopic: map[string]*zoneRule{}, byTable: map[string]*zoneRule{}, byEitherOne: map[string]*zoneRule{},
		plans: map[zonePlanKey][]zoneField{},
	}
	const want = "a time zone, such as America/Los_Angeles, or an offset, such as +08:00"
	if name := o.Need("converted.timezone", want); name != "" {
		var ok bool
		if t.zone, ok = newZone(name); !ok {
			o.Fail("converted.timezone", want)
		}
	}
	include, exclude := o.List("include.list"), o.List("exclude.list")
	switch t.ruled = len(include)+len(exclude) > 0; {
	case len(include) > 0 && len(exclude) > 0:
		o.Fail("exclude.list", "left out, or include.list left out")
	case len(exclude) > 0:
		t.exclude = true
		t.rules(o, "exclude.list", exclude)
	default:
		t.rules(o, "include.list", include)
	}
	return t
}

// rules reads a list. A prefix, source or topic, holds for the items behind it,
// too.
func (t *timezoneConverter) rules(o *transform.Options, property string, items []string) {
	rules := t.byEitherOne
	for i, item := range items {
		parts := strings.Split(item, ":")
		switch strings.ToLower(parts[0]) {
		case "topic":
			rules, parts = t.byTopic, parts[1:]
		case partSource:
			rules, parts = t.byTable, parts[1:]
		}
		if len(parts) == 0 || len(parts) > 2 || slices.Contains(parts, "") || i == 0 && !strings.Contains(item, ":") {
			o.Fail(property, "a list of source:<table>, source:<table>:<field>, topic:<topic>, topic:<topic>:<field> or <table or topic>:<field>; "+item+" is none")
			continue
		}
		rule := rules[parts[0]]
		if rule == nil {
			rule = &zoneRule{all: true, fields: map[string][]string{}}
			rules[parts[0]] = rule
		}
		if len(parts) == 2 {
			rule.add(parts[1])
		}
	}
}

// add names a field, of before and after both unless it says of which.
func (r *zoneRule) add(field string) {
	r.all = false
	part, rest, qualified := strings.Cut(field, ".")
	if qualified && (part == partBefore || part == partAfter || part == partSource) {
		r.fields[part] = append(r.fields[part], rest)
		return
	}
	r.fields[partBefore] = append(r.fields[partBefore], field)
	r.fields[partAfter] = append(r.fields[partAfter], field)
}

// Apply converts the timestamps of r, if it is a change.
func (t *timezoneConverter) Apply(r *cdc.Record) (bool, error) {
	e := transform.Envelope(r)
	if e == nil {
		return true, nil
	}
	rule := t.ruleOf(r, e)
	if rule == nil {
		return true, nil
	}
	if err := t.row(e.Before, rule, partBefore, e); err != nil {
		return false, err
	}
	if e.After != e.Before {
		if err := t.row(e.After, rule, partAfter, e); err != nil {
			return false, err
		}
	}
	t.source(e, rule)
	return true, nil
}

// ruleOf is the rule for r; nil for none.
func (t *timezoneConverter) ruleOf(r *cdc.Record, e *cdc.Envelope) *zoneRule {
	if !t.ruled {
		return everyField
	}
	table := sourceText(e, "table")
	for _, rule := range [...]*zoneRule{t.byTopic[r.Route], t.byTable[string(table)], t.byEitherOne[r.Route], t.byEitherOne[string(table)]} {
		switch {
		case rule == nil:
		case t.exclude && rule.all:
			return nil
		default:
			return rule
		}
	}
	if t.exclude {
		return everyField
	}
	return nil
}

// sourceText is a member of the source block that is text.
func sourceText(e *cdc.Envelope, name string) []byte {
	if e.Source != nil {
		if v := e.Source.Value(name); v != nil {
			return v.Bytes()
		}
		return nil
	}
	text := json.Member(e.SourceJSON, name)
	if len(text) < 2 || text[0] != '"' {
		return nil
	}
	return text[1 : len(text)-1]
}

func (t *timezoneConverter) row(row *cdc.Row, rule *zoneRule, part string, e *cdc.Envelope) error {
	if row == nil {
		return nil
	}
	key := zonePlanKey{row.Schema, rule, part}
	plan, ok := t.plans[key]
	if !ok {
		plan = t.plan(row.Schema, rule, part)
		t.plans[key] = plan
	}
	for _, f := range plan {
		v := &row.Values[f.at]
		if v.IsNull() {
			continue
		}
		if err := t.convert(row, v, f.semantic, e); err != nil {
			return fmt.Errorf("converting field %s to %s: %w", row.Schema.Fields[f.at].Name, t.zone.name, err)
		}
	}
	return nil
}

// takes reports whether the rule has a field of a part converted.
func (t *timezoneConverter) takes(rule *zoneRule, part, field string) bool {
	return rule.all || slices.Contains(rule.fields[part], field) != t.exclude
}

func (t *timezoneConverter) plan(s *cdc.Schema, rule *zoneRule, part string) []zoneField {
	var plan []zoneField
	for i := range s.Fields {
		f := &s.Fields[i]
		switch f.Semantic {
		case cdc.Timestamp, cdc.MicroTimestamp, cdc.NanoTimestamp, cdc.ConnectTimestamp, cdc.ZonedTimestamp, cdc.ZonedTime:
			if t.takes(rule, part, f.Name) {
				plan = append(plan, zoneField{i, f.Semantic})
			}
		}
	}
	return plan
}

func (t *timezoneConverter) convert(row *cdc.Row, v *cdc.Value, s cdc.Semantic, e *cdc.Envelope) error {
	perSecond := int64(1000)
	switch s {
	case cdc.ZonedTimestamp:
		return t.zoned(row, v)
	case cdc.ZonedTime:
		return t.zonedTime(row, v, e)
	case cdc.MicroTimestamp:
		perSecond = 1_000_000
	case cdc.NanoTimestamp:
		perSecond = 1_000_000_000
	}
	if v.Kind() != cdc.KindInt {
		return fmt.Errorf("%s is no integer", v)
	}
	n := v.Int()
	second := n / perSecond
	if n%perSecond < 0 {
		second--
	}
	*v = cdc.Int(n - t.zone.offsetOfLocal(second)*perSecond)
	return nil
}

// zoned writes a point in time with the zone's offset then.
func (t *timezoneConverter) zoned(row *cdc.Row, v *cdc.Value) error {
	var at time.Time
	if v.Kind() == cdc.KindMicros {
		at = time.UnixMicro(v.Int())
	} else {
		var err error
		if at, err = time.Parse(time.RFC3339Nano, string(v.Bytes())); err != nil {
			return err
		}
	}
	at = at.In(t.zone.location)
	_, offset := at.Zone()
	*v = cdc.String(row.Keep(appendOffset(at.AppendFormat(row.Tail(40), "2006-01-02T15:04:05.999999999"), offset)))
	return nil
}

// zonedTime writes a time of day with the zone's offset on the day of the
// change.
func (t *timezoneConverter) zonedTime(row *cdc.Row, v *cdc.Value, e *cdc.Envelope) error {
	at, err := time.Parse("15:04:05.999999999Z07:00", string(v.Bytes()))
	if err != nil {
		return err
	}
	offset := int(t.zone.offsetAt(e.Millis / 1000))
	at = at.In(time.FixedZone("", offset))
	*v = cdc.String(row.Keep(appendOffset(at.AppendFormat(row.Tail(40), "15:04:05.999999999"), offset)))
	return nil
}

// appendOffset appends an offset as ISO 8601, with seconds where it has some.
func appendOffset(dst []byte, seconds int) []byte {
	if seconds == 0 {
		return append(dst, 'Z')
	}
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	dst = append2(append(dst, sign), seconds/3600)
	dst = append2(append(dst, ':'), seconds/60%60)
	if seconds%60 != 0 {
		dst = append2(append(dst, ':'), seconds%60)
	}
	return dst
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// sourceTimes are the times of a source block, which a rule has to name.
var sourceTimes = map[string]int64{"ts_ms": 1000, "ts_us": 1_000_000, "ts_ns": 1_000_000_000}

// source moves the times of the source block by the zone's offset then, where
// the rule names fields of it.
func (t *timezoneConverter) source(e *cdc.Envelope, rule *zoneRule) {
	if len(rule.fields[partSource]) == 0 {
		return
	}
	moved := func(name string, n int64) int64 {
		perSecond := sourceTimes[name]
		return n + t.zone.offsetAt(n/perSecond)*perSecond
	}
	for name := range sourceTimes {
		if !t.takes(rule, partSource, name) {
			continue
		}
		if name == "ts_ms" && e.SourceMillis != 0 {
			e.SourceMillis = moved(name, e.SourceMillis)
		}
		if e.Source == nil {
			e.SourceJSON = replaceNumber(e.SourceJSON, name, func(n int64) int64 { return moved(name, n) })
		} else if v := e.Source.Value(name); v != nil && v.Kind() == cdc.KindInt {
			*v = cdc.Int(moved(name, v.Int()))
		}
	}
}

// replaceNumber is a JSON object with one of its members, a whole number,
// changed.
func replaceNumber(object []byte, member string, change func(int64) int64) []byte {
	out := []byte{'{'}
	err := json.EachMember(object, func(name, value []byte) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(json.AppendString(out, name), ':')
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && string(name) == member {
			out = strconv.AppendInt(out, change(n), 10)
			return nil
		}
		out = append(out, value...)
		return nil
	})
	if err != nil {
		return object
	}
	return append(out, '}')
}

// zone is a time zone of java.time.ZoneId's names.
type zone struct {
	name     string
	location *time.Location
	fixed    bool
	offset   int64 // s, where it is fixed
}

var offsetName = regexp.MustCompile(`^([+-])([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?$`)

func newZone(name string) (zone, bool) {
	if m := offsetName.FindStringSubmatch(name); m != nil {
		number := func(s string) int { n, _ := strconv.Atoi(s); return n } // of digits, or empty
		hours, minutes, seconds := number(m[2]), number(m[3]), number(m[4])
		offset := hours*3600 + minutes*60 + seconds
		if minutes > 59 || seconds > 59 || offset > 18*3600 {
			return zone{}, false
		}
		if m[1] == "-" {
			offset = -offset
		}
		return zone{name: name, location: time.FixedZone(name, offset), fixed: true, offset: int64(offset)}, true
	}
	if name == "Local" {
		return zone{}, false
	}
	location, err := time.LoadLocation(name)
	return zone{name: name, location: location}, err == nil
}

// offsetAt is the offset at a point in time, in s.
func (z *zone) offsetAt(second int64) int64 {
	if z.fixed {
		return z.offset
	}
	_, offset := time.Unix(second, 0).In(z.location).Zone()
	return int64(offset)
}

// offsetOfLocal is the offset at a local time, given as if it were UTC. A time
// that the clock shows twice is the first of the two, and one that it leaves out
// has the offset before the gap, as with java.time's ZoneRules.getOffset.
func (z *zone) offsetOfLocal(local int64) int64 {
	if z.fixed {
		return z.offset
	}
	const day = 86400
	before, after := z.offsetAt(local-day), z.offsetAt(local+day)
	if before == after || z.offsetAt(local-before) == before || z.offsetAt(local-after) != after {
		return before
	}
	return after
}
