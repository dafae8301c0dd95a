package golden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Record is a record of a topic. A nil Key or Value is a null.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Key, Value *string
	Headers    []Header
}

// Header is a record's header; a nil Value is a null.
type Header struct {
	Key   string
	Value *string
}

// UnmarshalJSON reads ["key", "value"].
func (h *Header) UnmarshalJSON(b []byte) error {
	var pair [2]*string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if pair[0] == nil {
		return fmt.Errorf("reading header %s: it has no key", b)
	}
	h.Key, h.Value = *pair[0], pair[1]
	return nil
}

// readRecords reads events.jsonl.
func readRecords(file string) ([]Record, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Record
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 256<<20)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("events.jsonl, record %d: %w", len(out)+1, err)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

// Part is one of the two parts of a case's records.
type Part string

// The parts. The snapshot is everything whose source block says so.
const (
	PartSnapshot Part = "snapshot"
	PartStream   Part = "stream"
)

// part says which part a record is of: the source block of rows that were read
// from tables, and of the schema changes in front of them, has another snapshot
// than "false".
func (r *Record) part() Part {
	if r.Value == nil {
		return PartStream
	}
	value := payload(*r.Value)
	marker := member(value, "source", "snapshot")
	if marker == "" {
		marker = member(value, "source_snapshot") // of a value that was flattened
	}
	if marker == "" || marker == `"false"` || marker == "null" {
		return PartStream
	}
	return PartSnapshot
}

// isFlat reports whether a record's value is a row without its source block, as
// transforms and converters leave it.
func (r *Record) isFlat() bool {
	return r.Value != nil && member(payload(*r.Value), "source", "snapshot") == ""
}

// flat are the partitions of a case in which records do not say which part they
// are of. Those of the snapshot are in front of those of the stream.
func (k *comparison) flat(records []Record) map[partition]bool {
	out := map[partition]bool{}
	for i := range records {
		r := &records[i]
		if r.isFlat() && member(payload(*r.Value), "source_snapshot") == "" && r.Topic != k.topics.transactions && r.Topic != k.topics.heartbeats {
			out[partition{r.Topic, r.Partition}] = true
		}
	}
	return out
}

// ours are the capture's records of the part: those that say so, and those that
// do not say which.
func (k *comparison) ours(got []Record) []Record {
	flat := k.flat(k.c.Records)
	var out []Record
	for i := range got {
		if flat[partition{got[i].Topic, got[i].Partition}] || got[i].part() == k.part {
			out = append(out, got[i])
		}
	}
	return out
}

// ofPart are Debezium's records of the part, of which got are ours.
func (k *comparison) ofPart(all, got []Record) []Record {
	flat, seen := k.flat(all), map[partition]int{}
	ours, total := k.counts(got, missingOfDebezium), k.counts(all, wrongOfDebezium)
	if k.c.Meta.Failure != "" && k.part == PartStream {
		ours = k.aligned(all, got)
	}
	var out []Record
	for i := range all {
		p := partition{all[i].Topic, all[i].Partition}
		if !flat[p] || k.applies(wrongOfDebezium, &all[i]) {
			out = append(out, of(k.part, all[i:i+1])...)
			continue
		}
		seen[p]++
		behind := total[p] - seen[p] + 1 // records from this one on
		switch {
		case k.part == PartStream && behind <= ours[p]:
			k.c.streamed[p]++
			out = append(out, all[i])
		case k.part == PartSnapshot && behind > k.c.streamed[p]:
			out = append(out, all[i])
		}
	}
	return out
}

// aligned are how many of Debezium's records in a partition there are from the
// first on that has the key of our first: where the connector died, both may have
// more than the other.
func (k *comparison) aligned(all, got []Record) map[partition]int {
	ours, theirs := byPartition(got), byPartition(all)
	out := map[partition]int{}
	for p, list := range ours {
		at := slices.IndexFunc(theirs[p], func(r Record) bool { return textOf(r.Key) == textOf(list[0].Key) })
		if at >= 0 {
			out[p] = len(theirs[p]) - at
		}
	}
	return out
}

// counts are how many records partitions have, without those that an exception
// of the list takes out.
func (k *comparison) counts(records []Record, list []recordException) map[partition]int {
	out := map[partition]int{}
	for i := range records {
		if !k.applies(list, &records[i]) {
			out[partition{records[i].Topic, records[i].Partition}]++
		}
	}
	return out
}

func (k *comparison) applies(list []recordException, r *Record) bool {
	return slices.ContainsFunc(list, func(e recordException) bool { return e.of(k.c) && e.applies(k, r) })
}

// of are the records of a part.
func of(part Part, records []Record) []Record {
	var out []Record
	for i := range records {
		if records[i].part() == part {
			out = append(out, records[i])
		}
	}
	return out
}

// isOurs reports whether a header is one that Debezium does not write.
func (h *Header) isOurs() bool { return strings.HasPrefix(h.Key, "weir.") }
