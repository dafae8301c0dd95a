package golden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
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
	marker := member(payload(*r.Value), "source", "snapshot")
	if marker == "" || marker == `"false"` || marker == "null" {
		return PartStream
	}
	return PartSnapshot
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
