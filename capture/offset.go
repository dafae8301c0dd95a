package capture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// offsetFormat is the version of what is stored in the offset topic. A leader
// refuses what a newer one wrote.
const offsetFormat = 1

// offsetKey is the key of a record of the offset topic. A prefix has its
// offset, entries of its Source, the state of each table, and who leads.
type offsetKey struct {
	Prefix string `json:"prefix"`
	Entry  string `json:"entry,omitempty"`
	Table  string `json:"table,omitempty"`
	Leader bool   `json:"leader,omitempty"`
}

// offsetValue is where a resume begins and what it has to know.
type offsetValue struct {
	Format int `json:"format"`
	// Position is the Source's.
	Position json.RawMessage `json:"position"`
	// Version is the last one given: the clock goes on behind it.
	Version int64 `json:"version"`
	// Rows of the transaction that begins at Position are published already,
	// and Hash is that of their keys; Transaction is its id.
	Rows        int64  `json:"rows,omitempty"`
	Hash        uint32 `json:"hash,omitempty"`
	Transaction string `json:"transaction,omitempty"`
	Millis      int64  `json:"ts_ms"`
}

// leaderValue says who leads; weirctl shows it, and its offset in the topic is
// how far a new leader has to read.
type leaderValue struct {
	Format   int    `json:"format"`
	Instance string `json:"instance"`
	Millis   int64  `json:"ts_ms"`
}

// tablePhase is how far the snapshot of a table is.
type tablePhase string

const (
	tablePending  tablePhase = "pending"  // to be read, or being read
	tableDone     tablePhase = "done"     // read
	tableNoData   tablePhase = "no_data"  // not to be read, by snapshot.mode or the list of collections
	tableStreamed tablePhase = "streamed" // created while the stream went on: nothing to read
)

// tableValue is what is stored of a table.
type tableValue struct {
	Format int        `json:"format"`
	Phase  tablePhase `json:"phase"`
	Order  int        `json:"order,omitempty"` // among the tables of one snapshot
	First  bool       `json:"first,omitempty"` // of the tables of one snapshot
	// After is the key, as the Reader encodes it, of the last row of the last
	// chunk that was published, and Rows how many were.
	After []byte `json:"after,omitempty"`
	Rows  int64  `json:"rows,omitempty"`
	// Key says what After is a key of; where it is another one, all is read
	// again.
	Key string `json:"key,omitempty"`
	// Sweep asks for a key sweep when all is read: keys whose last version is
	// at most Since, and that were not seen since, are gone.
	Sweep bool  `json:"sweep,omitempty"`
	Since int64 `json:"since,omitempty"`
	// Keyed says that the table's topic was written to with keys.
	Keyed bool `json:"keyed,omitempty"`
}

// stored is everything that a prefix has in the offset topic.
type stored struct {
	offset  *offsetValue
	entries map[string][]byte
	tables  map[string]*tableValue
}

// add takes one record of the topic; those of other prefixes are none of ours.
func (s *stored) add(prefix string, key, value []byte) error {
	var k offsetKey
	if err := json.Unmarshal(key, &k); err != nil || k.Prefix != prefix {
		return nil // a key that is none of ours need not be JSON
	}
	switch {
	case k.Leader:
	case k.Entry != "" && value == nil:
		delete(s.entries, k.Entry)
	case k.Entry != "":
		s.entries[k.Entry] = bytes.Clone(value)
	case k.Table != "" && value == nil:
		delete(s.tables, k.Table)
	case k.Table != "":
		var t tableValue
		if err := decodeStored(value, &t, &t.Format); err != nil {
			return fmt.Errorf("reading the stored state of table %s: %w", k.Table, err)
		}
		s.tables[k.Table] = &t
	case value == nil:
		s.offset = nil
	default:
		var o offsetValue
		if err := decodeStored(value, &o, &o.Format); err != nil {
			return fmt.Errorf("reading the stored offset: %w", err)
		}
		s.offset = &o
	}
	return nil
}

func decodeStored(value []byte, to any, format *int) error {
	if err := json.Unmarshal(value, to); err != nil {
		return err
	}
	if *format > offsetFormat {
		return fmt.Errorf("it has format %d, this program knows %d: run a newer version of it", *format, offsetFormat)
	}
	return nil
}

// mustJSON encodes what is always encodable.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a programming error: the types here have no such values
	}
	return b
}

// readStored reads the offset topic, read committed, from its start up to the
// record at offset last, which was committed after everything a leader before
// can have written.
func readStored(ctx context.Context, client *kgo.Client, topic, prefix string, last int64) (*stored, error) {
	s := &stored{entries: map[string][]byte{}, tables: map[string]*tableValue{}}
	err := scan(ctx, client, topic, 0, 0, last+1, true, func(r *kgo.Record) error { return s.add(prefix, r.Key, r.Value) })
	if err != nil {
		return nil, fmt.Errorf("reading offsets: %w", err)
	}
	return s, nil
}
