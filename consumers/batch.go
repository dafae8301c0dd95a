package consumers

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// Limits bound a batch. A batch has at least one record, however large.
type Limits struct {
	Records int           // at most
	Bytes   int           // of keys and values in Kafka, about
	Linger  time.Duration // how long the first record may wait for others
}

// stage is where a record failed, by Kafka Connect's names.
type stage string

const (
	stageKey       stage = "KEY_CONVERTER"
	stageValue     stage = "VALUE_CONVERTER"
	stageTransform stage = "TRANSFORMATION"
	stagePut       stage = "TASK_PUT"
)

// failure is a record that can never be written.
type failure struct {
	raw   *kgo.Record
	stage stage
	err   error
	// skipped: a person has decided already that the partition moves past it.
	skipped bool
	// advice is what to do about it; "" is the usual.
	advice string
}

// String says where the record is and what is wrong with it, for the status, the
// log and the headers of a dead letter.
func (f *failure) String() string {
	return fmt.Sprintf("offset %d of %s-%d, key %s (%s): %s", f.raw.Offset, f.raw.Topic, f.raw.Partition, shown(f.raw.Key), f.stage, f.reason())
}

// mostReason bounds what is said of a record, which may hold a name or a text of
// any length.
const mostReason = 2000

// reason is what is wrong with the record, in valid UTF-8.
func (f *failure) reason() string {
	text := strings.ToValidUTF8(f.err.Error(), "\uFFFD")
	if len(text) <= mostReason {
		return text
	}
	return strings.ToValidUTF8(text[:mostReason], "") + " …"
}

// shown is as much of a key as fits a message, in valid UTF-8.
func shown(key []byte) string {
	const longest = 200
	switch {
	case key == nil:
		return "null"
	case len(key) <= longest:
		return strings.ToValidUTF8(string(key), "\uFFFD")
	}
	return strings.ToValidUTF8(string(key[:longest]), "\uFFFD") + "…"
}

// batch is a run of consecutive records of one partition. It and all that it
// points to is used again for the next one.
type batch struct {
	// records are those to write, in offset order. Several may be of one offset.
	records []*cdc.Record
	// end is one past the last offset that the batch covers: records that a
	// transform dropped and transaction markers count. epoch is the leader epoch
	// of the record before it.
	end   int64
	epoch int32
	bytes int64 // in Kafka
	held  int64 // as the inbox counts
	// skipped counts records that the batch moves past without having them.
	skipped int

	raws     []*kgo.Record // all of it, transaction markers included
	slots    []*slot       // grows to the largest batch
	decoded  []*cdc.Record // of the slots in use
	kept     []*cdc.Record // what records is made of
	taken    int           // while filling: records not yet in raws
	failures []failure     // in offset order once prepared
	stuck    *failure      // the record behind the batch that a person has to decide on
}

// slot is the memory of one record.
type slot struct {
	record   cdc.Record
	message  json.Message
	bytesKey cdc.Row
}

// reset empties the batch and keeps its memory.
func (b *batch) reset() {
	clear(b.raws)
	clear(b.failures)
	b.raws, b.records, b.decoded, b.failures, b.stuck = b.raws[:0], nil, b.decoded[:0], b.failures[:0], nil
	b.bytes, b.held = 0, 0
}

// trim lets go of memory that a batch of most bytes, as the inbox counts, cannot
// use; and of all that a larger row left, for what was decoded points into it
// until the next batch, which may be long in coming. It reports whether there was
// one, for others have pointers into it, too.
func (b *batch) trim(most int64) (large bool) {
	if b.held > most {
		b.slots, b.kept = nil, nil
		clear(b.decoded[:cap(b.decoded)])
		return true
	}
	if n := int(most/decodedOverhead) + 1; len(b.slots) > n {
		clear(b.slots[n:])
		b.slots = b.slots[:n:n]
	}
	return false
}

// slot is the memory for the i-th record.
func (b *batch) slot(i int) *slot {
	if i == len(b.slots) {
		b.slots = append(b.slots, &slot{})
	}
	return b.slots[i]
}

// cover states the end that the raw records reach.
func (b *batch) cover() {
	if n := len(b.raws); n > 0 {
		b.end, b.epoch = b.raws[n-1].Offset+1, b.raws[n-1].LeaderEpoch
	}
}

// raw is the Kafka record of an offset in the batch.
func (b *batch) raw(offset int64) *kgo.Record {
	i := sort.Search(len(b.raws), func(i int) bool { return b.raws[i].Offset >= offset })
	return b.raws[i]
}

// cutAtFailure ends the batch before its first failure and returns what lies
// behind that record.
func (b *batch) cutAtFailure() (rest []*kgo.Record) {
	first := b.failures[0]
	b.failures = b.failures[:0]
	b.stuck = &first
	at := slices.Index(b.raws, first.raw)
	rest = b.raws[at+1:]
	b.raws = b.raws[:at+1]
	b.end = first.raw.Offset
	b.epoch = -1
	if at > 0 {
		b.epoch = b.raws[at-1].LeaderEpoch
	}
	n := sort.Search(len(b.records), func(i int) bool { return b.records[i].Offset >= b.end })
	b.records = b.records[:n]
	b.bytes = 0
	for _, r := range b.raws[:at] {
		b.bytes += int64(len(r.Key) + len(r.Value))
	}
	return rest
}

// count is how many records the batch covers; transaction markers are none.
func (b *batch) count() int {
	n := b.skipped
	for _, r := range b.raws {
		if r.Offset < b.end && !r.Attrs.IsControl() {
			n++
		}
	}
	return n
}

// sortFailures puts them in offset order; those of the chain came after those
// of the converter.
func (b *batch) sortFailures() {
	slices.SortStableFunc(b.failures, func(x, y failure) int { return int(x.raw.Offset - y.raw.Offset) })
}
