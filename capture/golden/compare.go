package golden

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is a place at which a capture's records differ from Debezium's.
type Difference struct {
	Case      string
	Part      Part
	Topic     string
	Partition int32
	// Record counts the records of the part in the partition, from 0; Offset is
	// that of Debezium's record, or of ours where there is none.
	Record int
	Offset int64
	Key    string
	// Path leads to the place: key, value or header.<name>, then members and
	// indexes; it is empty where a record is missing.
	Path      string
	Want, Got string

	want, got *Record
}

func (d *Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  topic   %s, partition %d\n", d.Topic, d.Partition)
	fmt.Fprintf(&b, "  record  %d of the %s (offset %d), key %s\n", d.Record, d.Part, d.Offset, d.Key)
	if d.Path != "" {
		fmt.Fprintf(&b, "  path    %s\n", d.Path)
	}
	fmt.Fprintf(&b, "  want    %s\n  got     %s\n", orNothing(d.Want), orNothing(d.Got))
	return b.String()
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// column is the path below before or after, of inline schemas and without:
// the name of a column at the top of a row.
func (d *Difference) column() string {
	path := strings.TrimPrefix(strings.TrimPrefix(d.Path, "value."), "payload.")
	for _, row := range []string{"before.", "after."} {
		if rest, ok := strings.CutPrefix(path, row); ok {
			return rest
		}
	}
	return ""
}

// place is the path without the inline schema's payload.
func (d *Difference) place() string {
	for _, of := range []string{"value", "key"} {
		if rest, ok := strings.CutPrefix(d.Path, of+".payload."); ok {
			return of + "." + rest
		}
	}
	return d.Path
}

// topics are the topics of a capture that are not a table's.
type topics struct{ schemaChanges, transactions, heartbeats string }

// comparison compares the records of one part of a case.
type comparison struct {
	c      *Case
	part   Part
	topics topics
	report *Report
	want   []Record // all of Debezium's
	failed bool     // the capture did, as the recorded connector
}

// partition names one partition.
type partition struct {
	topic  string
	number int32
}

func byPartition(records []Record) map[partition][]Record {
	out := map[partition][]Record{}
	for _, r := range records {
		p := partition{r.Topic, r.Partition}
		out[p] = append(out[p], r)
	}
	return out
}

// run compares until there are as many differences as are asked for.
func (k *comparison) run(want, got []Record) {
	k.want = want
	want, _ = k.split(want, wrongOfDebezium)
	got, _ = k.split(got, missingOfDebezium)
	want, wantMoved := k.split(want, moved)
	got, gotMoved := k.split(got, moved)
	if k.partitions(want, got) {
		k.partitions(wantMoved, gotMoved)
	}
}

// partitions compares records partition by partition.
func (k *comparison) partitions(want, got []Record) bool {
	wanted, gotten := byPartition(want), byPartition(got)
	all := maps.Clone(wanted)
	maps.Copy(all, gotten)
	partitions := slices.SortedFunc(maps.Keys(all), func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.number, b.number))
	})
	for _, p := range partitions {
		w, g := wanted[p], gotten[p]
		if p.topic == k.topics.heartbeats { // their number is a matter of time
			w, g = w[:min(1, len(w))], g[:min(1, len(g))]
		}
		if !k.records(w, g) {
			return false
		}
	}
	return true
}

// split takes out the records that exceptions apply to.
func (k *comparison) split(records []Record, list []recordException) (rest, out []Record) {
	for i := range records {
		r := &records[i]
		at := slices.IndexFunc(list, func(e recordException) bool { return e.of(k.c) && e.applies(k, r) })
		if at < 0 {
			rest = append(rest, *r)
			continue
		}
		k.report.except(list[at].name, list[at].reason)
		out = append(out, *r)
	}
	return rest, out
}

// records compares the records of one partition.
func (k *comparison) records(want, got []Record) bool {
	for i := range max(len(want), len(got)) {
		d := Difference{Case: k.c.Name, Part: k.part, Record: i}
		switch {
		case i >= len(want):
			if k.c.Meta.Failure != "" {
				k.report.Beyond += len(got) - i
				return true
			}
			d.at(&got[i])
			d.Got = got[i].text()
		case i >= len(got) && k.failed:
			k.report.Unwritten += len(want) - i
			return true
		case i >= len(got):
			d.at(&want[i])
			d.Want = want[i].text()
		default:
			d.at(&want[i])
			d.want, d.got = &want[i], &got[i]
			k.report.count(k.part)
			if k.record(d) {
				continue
			}
			return false
		}
		if !k.report.differs(&d) {
			return false
		}
	}
	return true
}

func (d *Difference) at(r *Record) {
	d.Topic, d.Partition, d.Offset, d.Key = r.Topic, r.Partition, r.Offset, textOf(r.Key)
}

// text is a record in full.
func (r *Record) text() string {
	out := "key " + textOf(r.Key) + ", value " + textOf(r.Value)
	for _, h := range r.Headers {
		out += ", header " + h.Key + " " + textOf(h.Value)
	}
	return out
}

func textOf(s *string) string {
	if s == nil {
		return "(null)"
	}
	return *s
}

// record compares two records.
func (k *comparison) record(d Difference) bool {
	each := func(path, want, got string) bool {
		d.Path, d.Want, d.Got = path, want, got
		if k.masked(&d) || k.excepted(&d) {
			return true
		}
		return k.report.differs(&d)
	}
	if !differences("key", textOf(d.want.Key), textOf(d.got.Key), each) || !differences("value", textOf(d.want.Value), textOf(d.got.Value), each) {
		return false
	}
	want := d.want.Headers
	got := slices.DeleteFunc(slices.Clone(d.got.Headers), func(h Header) bool { return h.isOurs() })
	if w, g := headerNames(want), headerNames(got); w != g {
		return each("headers", w, g)
	}
	for i := range want {
		if !differences("header."+want[i].Key, textOf(want[i].Value), textOf(got[i].Value), each) {
			return false
		}
	}
	return true
}

func headerNames(headers []Header) string {
	var out []string
	for _, h := range headers {
		out = append(out, h.Key)
	}
	return strings.Join(out, ", ")
}

// excepted reports whether a difference is a documented one.
func (k *comparison) excepted(d *Difference) bool {
	for i := range exceptions {
		if e := &exceptions[i]; e.of(k.c) && e.applies(k, d) {
			k.report.except(e.name, e.reason)
			return true
		}
	}
	return false
}

// masked reports whether what differs is not deterministic: the times of
// processing, what names the run, and for what was read from tables the time
// and the place of the log at which it was read.
func (k *comparison) masked(d *Difference) bool {
	place := d.place()
	switch place {
	case "value.ts_ms", "value.ts_us", "value.ts_ns":
		return d.Topic != k.topics.transactions // there it is the commit's
	case "value.source.version", "header.__debezium.context.runId", "header.__debezium.context.runId.payload":
		return true
	case "value.source.ts_ms", "value.source.ts_us", "value.source.ts_ns", "value.source.file", "value.source.pos", "value.source.gtid":
		return k.part == PartSnapshot
	}
	return flatMask(k.c, place, k.part)
}

// flatMasks are the places of what is not deterministic in values that
// transforms made: always (the times of processing), or in the snapshot (the
// time and the place of the log at which it was read).
var flatMasks = []struct {
	cases
	always, snapshot []string
}{
	{cases{"smt-unwrap-fields"}, []string{"value.meta_event_ts", "header.h_ts_ms"}, []string{"value.meta_source_ts_ms", "value.meta_position"}},
	{cases{"smt-unwrap-fields-default"}, nil, []string{"value.__source_file", "value.__source_gtid", "header.__source_file"}},
	{cases{"mariadb-smt-unwrap"}, nil, []string{"value.__source_gtid", "value.__source_ts_ms"}},
	{cases{"smt-flatten-cast"}, []string{"value.ts_ms", "value.ts_us", "value.ts_ns", "value.source_version"},
		[]string{"value.source_ts_ms", "value.source_ts_us", "value.source_ts_ns", "value.source_file", "value.source_pos", "value.source_gtid"}},
}

func flatMask(c *Case, place string, part Part) bool {
	return slices.ContainsFunc(flatMasks, func(m struct {
		cases
		always, snapshot []string
	}) bool {
		return m.of(c) && (slices.Contains(m.always, place) || part == PartSnapshot && slices.Contains(m.snapshot, place))
	})
}
