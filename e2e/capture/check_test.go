package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// read is everything that a read-committed consumer gets of a topic up to now,
// partition by partition.
func (r *rig) read(topic string) []*kgo.Record {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		r.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			left[o.Partition] = o.Offset - 1
		}
	})
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("reading %s: %v still to come", topic, left)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if record.Offset >= left[record.Partition] {
				delete(left, record.Partition)
			}
			if !record.Attrs.IsControl() {
				out = append(out, record)
			}
		})
	}
	return out
}

type row struct {
	ID int64   `json:"id"`
	N  int64   `json:"n"`
	V  int64   `json:"v"` // of table bare
	S  *string `json:"s"`
}

type envelope struct {
	Before, After *row
	Op            string
}

// counter is what is known of a key.
type counter struct {
	n       int64
	alive   bool
	version string
}

// counted goes through the topic of a table that counts. Every change must be
// the one after the change before; what a snapshot read must be the row as the
// stream left it. It returns the rows that are left, and how many changes there
// were.
func (r *rig) counted(table, when string) (rows map[int64]int64, changes int) {
	r.t.Helper()
	known := map[int64]*counter{}
	for _, record := range r.read(r.topic(table)) {
		if record.Value == nil {
			continue // a tombstone
		}
		var e envelope
		if err := json.Unmarshal(record.Value, &e); err != nil {
			r.t.Fatalf("%v in %s", err, record.Value)
		}
		if e.Op != "r" {
			changes++
		}
		if err := step(known, &e, version(record)); err != nil {
			r.t.Fatalf("%s: table %s, partition %d, offset %d: %v", when, table, record.Partition, record.Offset, err)
		}
	}
	rows = map[int64]int64{}
	for id, c := range known {
		if c.alive {
			rows[id] = c.n
		}
	}
	return rows, changes
}

// step is one event after those before.
func step(known map[int64]*counter, e *envelope, version string) error {
	now := e.After
	if now == nil {
		now = e.Before
	}
	c, ok := known[now.ID]
	if !ok {
		c = &counter{}
		known[now.ID] = c
	}
	was := *c
	if version <= was.version {
		return fmt.Errorf("%s of row %d has version %s, and the one before it %s", e.Op, now.ID, version, was.version)
	}
	*c = counter{now.N, e.Op != "d", version}
	switch {
	case e.Op == "r" && ok && (!was.alive || now.N != was.n),
		e.Op == "c" && (was.alive || ok && now.N != was.n+1), // one that is not known was perhaps deleted before the capture began
		e.Op == "u" && ok && (!was.alive || e.Before.N != was.n), e.Op == "u" && now.N != e.Before.N+1,
		e.Op == "d" && ok && (!was.alive || now.N != was.n):
		return fmt.Errorf("%s of row %d with n=%d comes after n=%d (alive: %v, known: %v)", e.Op, now.ID, now.N, was.n, was.alive, ok)
	}
	return nil
}

func version(record *kgo.Record) string {
	for _, h := range record.Headers {
		if h.Key == "weir.version" {
			return string(h.Value)
		}
	}
	return ""
}

// state is the rows that a topic's last records leave.
func (r *rig) state(table string) map[int64]int64 {
	r.t.Helper()
	rows := map[int64]int64{}
	for _, record := range r.read(r.topic(table)) {
		var key row
		if err := json.Unmarshal(record.Key, &key); err != nil {
			r.t.Fatalf("%v in %s", err, record.Key)
		}
		delete(rows, key.ID)
		if record.Value == nil {
			continue
		}
		var e envelope
		if err := json.Unmarshal(record.Value, &e); err != nil {
			r.t.Fatalf("%v in %s", err, record.Value)
		}
		if e.After != nil {
			rows[e.After.ID] = e.After.N
		}
	}
	return rows
}

// marks are the numbers of the writers' last transactions that are published.
func (r *rig) marks() map[int64]int64 {
	r.t.Helper()
	last := map[int64]int64{}
	for _, record := range r.read(r.topic("marks")) {
		var e struct{ After *struct{ Writer, Tx int64 } }
		if err := json.Unmarshal(record.Value, &e); err != nil {
			r.t.Fatalf("%v in %s", err, record.Value)
		}
		last[e.After.Writer] = e.After.Tx
	}
	return last
}

// bare counts the rows that the topic of the table without a key leaves.
func (r *rig) bare() map[int64]int64 {
	r.t.Helper()
	rows := map[int64]int64{}
	for _, record := range r.read(r.topic("bare")) {
		var e envelope
		if err := json.Unmarshal(record.Value, &e); err != nil {
			r.t.Fatalf("%v in %s", err, record.Value)
		}
		if e.Before != nil {
			rows[e.Before.V]--
		}
		if e.After != nil {
			rows[e.After.V]++
		}
	}
	maps.DeleteFunc(rows, func(_, n int64) bool { return n == 0 })
	return rows
}

// table reads two numbers of each row of a query.
func (r *rig) table(query string) map[int64]int64 {
	r.t.Helper()
	rows, err := r.db.QueryContext(r.t.Context(), query)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	out := map[int64]int64{}
	for rows.Next() {
		var id, n int64
		if err := rows.Scan(&id, &n); err != nil {
			r.t.Fatal(err)
		}
		out[id] = n
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// same compares what a topic leaves with a table.
func (r *rig) same(table string, topic, source map[int64]int64) {
	r.t.Helper()
	ids := map[int64]bool{}
	for id := range topic {
		ids[id] = true
	}
	for id := range source {
		ids[id] = true
	}
	wrong := 0
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if topic[id] != source[id] {
			if wrong++; wrong <= 10 {
				r.t.Errorf("row %d of %s: the topic has %d, the table %d", id, table, topic[id], source[id])
			}
		}
	}
	if wrong > 10 {
		r.t.Errorf("%d rows of %s differ", wrong, table)
	}
}

// follows checks what is published so far of the tables that count.
func (r *rig) follows(when string) {
	r.t.Helper()
	for _, table := range append([]string{"wide"}, small...) {
		r.counted(table, when)
	}
}

// check compares all topics with all tables, when nothing is written any more
// and the capture has come to the end.
func (r *rig) check(when string) (changes int) {
	r.t.Helper()
	for _, table := range append([]string{"wide"}, small...) {
		rows, n := r.counted(table, when)
		r.same(table, rows, r.table("SELECT id, n FROM "+table))
		changes += n
	}
	return changes
}
