package consumers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/internal/kafka"
)

func TestMarks(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	for _, m := range []mark{{topicID: [16]byte{1, 2, 255}}, {topicID: [16]byte{15: 9}, since: at},
		{memory: "a,b", trail: trail{{at, 7}, {at.Add(time.Minute), 1 << 40}}}, {since: at, trail: trail{{at, 0}}}} {
		if got, ours, err := parseMark(m.String()); !reflect.DeepEqual(got, m) || !ours || err != nil {
			t.Errorf("%s: got %v, %v, %v", m, got, ours, err)
		}
	}
	for metadata, want := range map[string]struct {
		ours bool
		err  bool
	}{
		"": {false, false}, "connect": {false, false}, "a;b;c": {false, false},
		"w2;00;-;x": {true, true}, "w3;00000000000000000000000000000001;-": {true, true},
		"w2;00000000000000000000000000000001;-;x;": {true, true}, "w2;00000000000000000000000000000001;-;x;1:-1": {true, true}, "w2;00": {true, true}, "i1;00;L;-": {true, true},
		"w1;zz;-": {true, true}, "w1;00000000000000000000000000000001;soon": {true, true},
	} {
		if _, ours, err := parseMark(metadata); ours != want.ours || (err != nil) != want.err {
			t.Errorf("%q: %v, %v", metadata, ours, err)
		}
	}
}

// TestMarksStay: offsets are stored, so their metadata must be read for ever.
func TestMarksStay(t *testing.T) {
	for _, stored := range []string{
		"w1;0102030405060708090a0b0c0d0e0f10;1700000000123",
		"w2;0102030405060708090a0b0c0d0e0f10;1700000000123;r=1,2;1700000000123:0,1700000000456:9223372036854775807",
	} {
		m, ours, err := parseMark(stored)
		if err != nil || !ours || m.String() != stored || m.since.UnixMilli() != 1_700_000_000_123 || m.topicID[15] != 16 {
			t.Errorf("%+v, %v, %v", m, ours, err)
		}
	}
}

// FuzzMarks reads the metadata of commits, whoever wrote it: what is ours is
// written as it was read.
func FuzzMarks(f *testing.F) {
	for _, text := range []string{
		"w1;0102030405060708090a0b0c0d0e0f10;1700000000123", "w1;0102030405060708090a0b0c0d0e0f10;-",
		"i1;0102030405060708090a0b0c0d0e0f10;0011223344556677;1700000000123;42;1700000000000", "i1;0102030405060708090a0b0c0d0e0f10;L;-;-;-", "", "i2;x", "w1;;",
	} {
		f.Add(text, int64(7))
	}
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		if m, ours, err := parseMark(text); err == nil && ours {
			if again, _, err := parseMark(m.String()); err != nil || again.topicID != m.topicID || !again.since.Equal(m.since) {
				t.Fatalf("%q became %s: %v", text, m, err)
			}
		}
		if m, err := parseRangeMark(text, offset); err == nil {
			again, err := parseRangeMark(m.String(), offset)
			if err != nil || again.String() != m.String() || again.pending != m.pending || m.pending > 0 && (m.pending <= offset || !again.instant.Equal(m.instant)) {
				t.Fatalf("%q became %s: %v", text, m, err)
			}
		}
	})
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	b := backoff{first: 100 * time.Millisecond, most: time.Second, random: func() float64 { return 0 }}
	for try, want := range []time.Duration{50, 100, 200, 400, 500, 500} {
		if got := b.pause(try); got != want*time.Millisecond {
			t.Errorf("try %d: %v", try, got)
		}
	}
	b.random = func() float64 { return 0.999999 }
	for _, try := range []int{4, 31, 32, 63, 1 << 40} {
		if got := b.pause(try); got < 900*time.Millisecond || got > time.Second {
			t.Errorf("try %d: %v", try, got)
		}
	}
}

func TestRateForgetsAfterAMinute(t *testing.T) {
	var r rate
	at := time.Unix(1_700_000_000, 0)
	for i := range 10 {
		r.add(at.Add(time.Duration(i)*5*time.Second), 2)
	}
	for after, want := range map[time.Duration]int{50 * time.Second: 20, 62 * time.Second: 18, 109 * time.Second: 0, time.Hour: 0} {
		c := r
		if got := c.minute(at.Add(after)); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
}

func raws(from, n, size int) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		out[i] = &kgo.Record{Offset: int64(from + i), Value: make([]byte, size)}
	}
	return out
}

func TestInboxPausesAndResumes(t *testing.T) {
	var paused, resumed int
	in := newAhead(1<<20).newInbox(func() { paused++ }, func() { resumed++ })
	in.bound = 10 * (100 + recordOverhead)
	all := func(*kgo.Record) bool { return true }
	in.put(raws(0, 10, 100))
	if paused != 0 {
		t.Error("paused at the bound")
	}
	in.put(raws(10, 1, 100))
	in.put(raws(11, 5, 100))
	if paused != 1 || resumed != 0 {
		t.Errorf("paused %d, resumed %d", paused, resumed)
	}
	left := 10
	got := in.take(nil, func(*kgo.Record) bool { left--; return left >= 0 })
	if len(got) != 10 || got[9].Offset != 9 || resumed != 0 {
		t.Errorf("took %d, resumed %d", len(got), resumed)
	}
	in.back(got[8:])
	if first := in.take(nil, all); len(first) != 8 || first[0].Offset != 8 || resumed != 1 || in.size() != 0 {
		t.Errorf("took %d from %d, resumed %d, %d bytes", len(first), first[0].Offset, resumed, in.size())
	}
	in.close()
	in.put(raws(20, 100, 100))
	if in.size() != 0 || paused != 1 {
		t.Error("a closed inbox takes records")
	}
}

// TestAnInboxLeavesItsPartition to that of the next lease: whatever becomes of what
// it holds, fetching is the other's.
func TestAnInboxLeavesItsPartition(t *testing.T) {
	a := newAhead(1 << 20)
	fetching := true // of the client
	inbox := func() *inbox { return a.newInbox(func() { fetching = false }, func() { fetching = true }) }
	old := inbox()
	old.put(raws(0, 3, 1<<16)) // a target that hangs
	a.share(4)
	if fetching {
		t.Fatal("a full one fetches")
	}
	old.leave()
	a.share(1)
	fetching = true // as begun does
	next := inbox()
	a.share(8)
	if !fetching {
		t.Error("the old one keeps the next from fetching")
	}
	next.end()
	old.rest(time.Millisecond)
	time.Sleep(50 * time.Millisecond) // that ends
	old.clear()
	old.close()
	a.share(1)
	if fetching {
		t.Error("the old one fetches for the next, which has stopped")
	}
}

// TestHeldMemoryIsCounted until it is free: that of all records of a chunk while
// one of them waits or is at hand.
func TestHeldMemoryIsCounted(t *testing.T) {
	a := newAhead(1 << 20)
	in := a.newInbox(func() {}, func() {})
	const each = 100 + recordOverhead
	holds := func(when string, n int64) {
		t.Helper()
		if a.bytes != n || in.held != n {
			t.Errorf("%s: %d bytes are counted in all and %d of the partition, not %d", when, a.bytes, in.held, n)
		}
	}
	some := func(n int) func(*kgo.Record) bool {
		return func(*kgo.Record) bool { n--; return n >= 0 }
	}
	in.put(raws(0, 10, 100))
	in.put(raws(10, 10, 100))
	holds("fetched", 20*each)
	in.take(nil, some(9))
	holds("the most of a chunk at hand", 20*each+9*decodedOverhead)
	in.done()
	holds("the most of it done", 20*each)
	got := in.take(nil, some(3))
	in.back(got[2:])
	holds("one of the next put back", 20*each+2*decodedOverhead)
	in.done()
	holds("the chunk done but for what was put back", 20*each)
	in.take(nil, some(1))
	in.done()
	holds("that done, too", 10*each)
	in.take(nil, some(100))
	in.done()
	holds("all done", 0)
	in.put(raws(20, 10, 100))
	in.take(nil, some(5))
	in.clear()
	holds("dropped what waits", 5*decodedOverhead)
	in.close()
	holds("closed", 0)
}

// TestReadingAheadIsBoundedInAll: above the bound nobody fetches, though none is
// above a share of its own; but who holds nothing is let in, one round after the
// other, while others can write nothing.
func TestReadingAheadIsBoundedInAll(t *testing.T) {
	const size = 20_000
	a := newAhead(10 * size)
	all := func(*kgo.Record) bool { return true }
	inboxes, open := make([]*inbox, 8), make([]bool, 8)
	for i := range inboxes {
		open[i] = true
		inboxes[i] = a.newInbox(func() { open[i] = false }, func() { open[i] = true })
	}
	count := func() (n int) {
		for _, is := range open {
			if is {
				n++
			}
		}
		return n
	}
	if got := a.share(len(inboxes)); got != leastBuffer {
		t.Fatalf("a share of %d", got)
	}
	for i := range 5 { // these can write nothing: one record at hand, one waits
		inboxes[i].put(raws(0, 1, size))
		inboxes[i].take(nil, all)
		inboxes[i].put(raws(1, 1, size))
	}
	if count() != 0 || a.bytes <= a.limit {
		t.Fatalf("%d fetch although %d bytes are held", count(), a.bytes)
	}
	a.turn()
	if open[0] || !open[5] || !open[7] || count() != 3 {
		t.Fatalf("let in: %v", open)
	}
	for i := range 20 { // one round after the other, as long as they get on
		in := inboxes[5+i%3]
		if count() != 3 {
			t.Fatalf("round %d: %d are let in", i, count())
		}
		if in.put(raws(i, 1, size)); count() != 0 {
			t.Fatalf("round %d: %d fetch on", i, count())
		}
		in.take(nil, all)
		a.changed(in) // nothing new
		in.done()
	}
	turns := 0
	for held := 5; held < 8; held++ { // nobody gets on: ever more rarely
		inboxes[held].put(raws(0, 1, size))
		for count() == 0 && held < 7 {
			a.turn()
			turns++
		}
	}
	if turns != 1+2 {
		t.Errorf("%d turns", turns)
	}
	for _, in := range inboxes {
		in.take(nil, all)
		in.done()
	}
	if count() != 8 || a.bytes != 0 {
		t.Errorf("%d fetch once all is done, %d bytes are held", count(), a.bytes)
	}
	inboxes[0].put(raws(5, 1, size))
	inboxes[0].close()
	if a.bytes != 0 || len(a.inboxes) != 7 {
		t.Errorf("a closed inbox holds %d bytes", a.bytes)
	}
}

// TestFetchedRecordsAreCopied whole, whatever becomes of the memory they came in.
func TestFetchedRecordsAreCopied(t *testing.T) {
	answer := []byte("keyvalueheader")
	r := &kgo.Record{Key: answer[:3], Value: answer[3:8], Headers: []kgo.RecordHeader{{Key: "h", Value: answer[8:]}}, Offset: 7, LeaderEpoch: 3}
	empty := &kgo.Record{Key: nil, Value: []byte{}, Offset: 8}
	c := newChunk([]*kgo.Record{r, empty})
	clear(answer)
	copied := c.list
	got := copied[0]
	if string(got.Key) != "key" || string(got.Value) != "value" || got.Headers[0].Key != "h" || string(got.Headers[0].Value) != "header" || got.Offset != 7 || got.LeaderEpoch != 3 {
		t.Errorf("got %v", got)
	}
	if copied[1].Key != nil || copied[1].Value == nil || len(copied[1].Headers) > 0 || c.size != sizeOf(r)+sizeOf(empty) {
		t.Errorf("got %v, %d bytes", copied[1], c.size)
	}
}

// fetched are n records of one batch as a broker sends it.
func fetched(t testing.TB, pools *lent, codec kgo.CompressionCodec, n int) []*kgo.Record {
	batch := kmsg.RecordBatch{Magic: 2, NumRecords: int32(n), LastOffsetDelta: int32(n - 1), ProducerID: -1, FirstSequence: -1}
	var text []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Key: fmt.Appendf(nil, "k%d", i), Value: bytes.Repeat([]byte{byte(i)}, 1000)}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		text = r.AppendTo(text)
	}
	compressor, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	if compressor != nil {
		var kind kgo.CompressionCodecType
		text, kind = compressor.Compress(new(bytes.Buffer), text)
		batch.Attributes = int16(kind)
	}
	batch.Records = text
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	in := kmsg.NewFetchResponseTopicPartition()
	in.RecordBatches = raw
	out, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: "t", Pools: []kgo.Pool{pools}}, &in, kafka.NewDecompressor(&pools.Pools), nil)
	if out.Err != nil || len(out.Records) != n {
		t.Fatalf("%d records of %d: %v", len(out.Records), n, out.Err)
	}
	return out.Records
}

// lent counts what was given back.
type lent struct {
	kafka.Pools
	bytes, records int
}

func (l *lent) PutDecompressBytes(b []byte) { l.bytes++; l.Pools.PutDecompressBytes(b) }

func (l *lent) PutRecords(r []kgo.Record) { l.records++ }

// TestMemoryOfBatches: records of a compressed batch wait in its own memory, which
// goes back once all of them are done, and not before; others are copied at once.
func TestMemoryOfBatches(t *testing.T) {
	for name, c := range map[string]struct {
		codec  kgo.CompressionCodec
		copied bool
	}{"lz4": {kgo.Lz4Compression(), false}, "zstd": {kgo.ZstdCompression(), false}, "none": {kgo.NoCompression(), true}} {
		pools := &lent{}
		records := fetched(t, pools, c.codec, 10)
		first := records[0]
		in := newAhead(2<<20).newInbox(func() {}, func() {})
		in.put(records)
		if (pools.records > 0) != c.copied {
			t.Errorf("%s: the memory of a batch that waits was given back %d times", name, pools.records)
		}
		left := 9
		taken := in.take(nil, func(*kgo.Record) bool { left--; return left >= 0 })
		if (taken[0] == first) == c.copied {
			t.Errorf("%s: the records are copies: %v", name, !c.copied)
		}
		in.done()
		if !c.copied && pools.records+pools.bytes > 0 {
			t.Errorf("%s: the memory of a batch was given back before its last record was done", name)
		}
		taken = in.take(nil, func(*kgo.Record) bool { return true })
		if len(taken) != 1 || string(taken[0].Key) != "k9" || !bytes.Equal(taken[0].Value, bytes.Repeat([]byte{9}, 1000)) {
			t.Errorf("%s: the last record is %v", name, taken)
		}
		in.done()
		if pools.records != 1 || !c.copied && pools.bytes != 1 {
			t.Errorf("%s: %d records and %d buffers were given back", name, pools.records, pools.bytes)
		}
	}
}

func TestBatchLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		want   []int // records of each batch
	}{
		{"records", Limits{Records: 4, Bytes: 1 << 20}, []int{4, 4, 2}},
		{"bytes", Limits{Records: 100, Bytes: 350}, []int{3, 3, 3, 1}},
		{"one too large", Limits{Records: 100, Bytes: 10}, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	} {
		in := newAhead(2<<20).newInbox(func() {}, func() {})
		in.put(raws(0, 3, 100))
		in.put(raws(3, 7, 100))
		next := int64(0)
		for i, want := range c.want {
			var b batch
			b.reset()
			full := b.fill(in, c.limits)
			b.cover()
			if len(b.raws) != want || b.raws[0].Offset != next || b.end != next+int64(want) || full != (i < len(c.want)-1 || want == c.limits.Records || c.limits.Bytes == 10) {
				t.Errorf("%s: batch %d has %d records from %d to %d, full %v", c.name, i, len(b.raws), b.raws[0].Offset, b.end, full)
			}
			next = b.end
		}
	}
}
