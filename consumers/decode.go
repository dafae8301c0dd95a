package consumers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
)

// The version domains but that of offsets, which is sink.DomainOffset.
const (
	domainRecordTime = "record-time"
	domainCapture    = "weir:" // and the capture's topic.prefix
)

// hybridShift is how far a clock's milliseconds are shifted in the versions of a
// capture, and so here too.
const hybridShift = 21

// decoder turns Kafka records of one partition into cdc.Records. It is used by
// one goroutine at a time.
type decoder struct {
	config  *Config
	schemas *kafka.SchemaSource
	domains *domains
	skipped int64 // the offset that a person moves the partition past, -1: none
	// topicID and partitions are the topic's, for versions that are offsets; 0
	// partitions: they are unknown, or nobody compares versions.
	topicID    [16]byte
	partitions atomic.Int32

	reader  *json.Reader
	entries map[string]*json.SchemaEntry
	domain  string            // of the record before
	sources map[string]string // domains of captures by the name in the source block
	offsets string            // the domain of offsets
	counted int32             // the partitions in offsets
}

func newDecoder(config *Config, schemas *kafka.SchemaSource, domains *domains) *decoder {
	return &decoder{
		config: config, schemas: schemas, domains: domains, skipped: -1,
		reader: json.NewReader(nil), entries: map[string]*json.SchemaEntry{}, sources: map[string]string{},
	}
}

// failedAt is an error of one record, with the stage at which it failed.
type failedAt struct {
	stage   stage
	err     error
	skipped bool // a person has said that the partition is to move past it
}

func (f *failedAt) Error() string { return f.err.Error() }
func (f *failedAt) Unwrap() error { return f.err }

// missingSchema says that a record names a schema that has not arrived. It is
// waited for: the capture writes it in the transaction of its first record.
type missingSchema struct{ fingerprint []byte }

func (m *missingSchema) Error() string { return "waiting for schema " + string(m.fingerprint) }

// foreignDomain says that a record's version cannot be compared with those
// before it, so that its partition stops, whatever errors are tolerated: what
// follows is most likely like it.
type foreignDomain struct{ domain, first string }

func (f *foreignDomain) Error() string {
	return fmt.Sprintf("the record has a version of domain %s, the records before it have %s, and the two cannot be compared", f.domain, f.first)
}

// decode reads raw into s. A *failedAt error rejects the record; the partition
// waits at one of a *missingSchema, and stops at one of a *foreignDomain.
func (d *decoder) decode(raw *kgo.Record, s *slot) error {
	version, fingerprint := d.begin(raw, &s.record)
	entry, err := d.entry(fingerprint)
	if err != nil {
		return d.unlessSkipped(raw, err)
	}
	d.reader.Use(entry)
	if err := d.readKey(s, raw.Key); err != nil {
		return &failedAt{stage: stageKey, err: err}
	}
	if err := d.reader.ReadValue(&s.message, raw.Value); err != nil {
		return &failedAt{stage: stageValue, err: err}
	}
	r := &s.record
	r.Key, r.Value, r.Envelope, r.Tombstone = s.message.Key, s.message.Value, s.message.Envelope, s.message.Tombstone
	r.Deleted = r.Tombstone
	r.Wrapped, r.Placed, r.Timed = false, false, false
	r.Op = cdc.OpNone
	if e := r.Envelope; e != nil {
		if err := checkOp(e); err != nil {
			return &failedAt{stage: stageValue, err: err}
		}
		r.Op = e.Op
	}
	if err := d.version(r, version, entry); err != nil {
		return &failedAt{stage: stageValue, err: err}
	}
	return d.unlessSkipped(raw, d.check(r))
}

// checkOp reports an envelope that says nothing of what became of its row: a sink
// would delete it, or pass over the change.
func checkOp(e *cdc.Envelope) error {
	switch e.Op {
	case cdc.OpCreate, cdc.OpUpdate, cdc.OpRead:
		if e.After == nil {
			return fmt.Errorf("field %q: it is null, although op is %c", "after", e.Op)
		}
	case cdc.OpDelete, cdc.OpTruncate, cdc.OpMessage:
	default:
		return fmt.Errorf("field %q: %q is no operation of Debezium's", "op", string(rune(e.Op)))
	}
	return nil
}

// unlessSkipped makes what a partition stops or waits at a failure of the
// record, if a person has it moved past.
func (d *decoder) unlessSkipped(raw *kgo.Record, err error) error {
	if err == nil || raw.Offset != d.skipped {
		return err
	}
	return &failedAt{stage: stageValue, err: err, skipped: true}
}

// begin fills in what does not depend on key and value.
func (d *decoder) begin(raw *kgo.Record, r *cdc.Record) (version, fingerprint []byte) {
	r.Origin = cdc.Origin{
		Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset,
		LeaderEpoch: raw.LeaderEpoch, Timestamp: raw.Timestamp.UnixMilli(),
	}
	r.Route, r.RawKey, r.RawValue = raw.Topic, raw.Key, raw.Value
	r.Headers = r.Headers[:0]
	for i := range raw.Headers {
		switch h := &raw.Headers[i]; h.Key {
		case cdc.HeaderVersion:
			version = h.Value
		case cdc.HeaderSchema:
			fingerprint = h.Value
		default:
			r.Headers = append(r.Headers, cdc.Header{Key: h.Key, Value: h.Value})
		}
	}
	return version, fingerprint
}

// bytesKey is the schema of keys that a ByteArrayConverter would read.
var bytesKey = cdc.Bare(cdc.Field{Type: cdc.Binary})

func (d *decoder) readKey(s *slot, key []byte) error {
	switch {
	case d.config.KeyText:
		return d.reader.ReadTextKey(&s.message, key)
	case !d.config.KeyBytes:
		return d.reader.ReadKey(&s.message, key)
	}
	if s.message.Key = nil; key != nil {
		s.bytesKey.Reset(bytesKey)
		s.bytesKey.Values[0] = cdc.Bytes(key)
		s.message.Key = &s.bytesKey
	}
	return nil
}

// entry finds what a fingerprint stands for; nil for none.
func (d *decoder) entry(fingerprint []byte) (*json.SchemaEntry, error) {
	if fingerprint == nil {
		return nil, nil
	}
	if e := d.entries[string(fingerprint)]; e != nil {
		return e, nil
	}
	if !json.IsFingerprint(fingerprint) {
		return nil, &failedAt{stage: stageValue, err: fmt.Errorf("reading header %s: want 16 hexadecimal digits, got %.40q", cdc.HeaderSchema, fingerprint)}
	}
	e := d.schemas.Known(fingerprint)
	if e == nil {
		return nil, &missingSchema{bytes.Clone(fingerprint)}
	}
	d.entries[string(fingerprint)] = e
	return e, nil
}

// await waits until the schema has arrived. A *sink.Stopped error says that it
// has and cannot be read.
func (d *decoder) await(ctx context.Context, m *missingSchema) error {
	_, err := d.schemas.Entry(ctx, m.fingerprint)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &sink.Stopped{Reason: err, Advice: "update this binary if the schema was written by a later one, else let the capture write its schemas again"}
}

// version orders the record among those of its key, as version.source says.
func (d *decoder) version(r *cdc.Record, header []byte, entry *json.SchemaEntry) error {
	source := d.config.Versions
	if source == VersionAuto {
		source = VersionOffset
		if header != nil {
			source = VersionHeader
		}
	}
	switch source {
	case VersionOffset:
		r.Version, r.Domain = uint64(r.Offset), d.offsetDomain()
	case VersionRecordTime:
		// Records of one millisecond are equals: a target takes the later one, and
		// a number of their own would have to run over some day and lose it.
		r.Version, r.Domain = uint64(max(r.Timestamp, 0))<<hybridShift, domainRecordTime
	default:
		v, ok := parseVersion(header)
		if !ok {
			return fmt.Errorf("reading header %s: want 19 digits, got %.40q", cdc.HeaderVersion, header)
		}
		r.Version, r.Domain = v, d.captureDomain(r, entry)
		if r.Domain == "" {
			return errors.New("the record has a version, but neither header weir.schema nor a source block says which capture's")
		}
	}
	return nil
}

// offsetDomain names what offsets count: those of the topic as it was created, and
// as its keys are spread now.
func (d *decoder) offsetDomain() string {
	n := d.partitions.Load()
	if n == 0 {
		return sink.DomainOffset
	}
	if n != d.counted {
		d.offsets, d.counted = fmt.Sprintf("%s:%x:%d", sink.DomainOffset, d.topicID, n), n
	}
	return d.offsets
}

// counts learns how many partitions the topic has, of which there are never fewer
// than were seen.
func (d *decoder) counts(n int) {
	if d.topicID == ([16]byte{}) {
		return
	}
	for {
		before := d.partitions.Load()
		if int32(n) <= before || d.partitions.CompareAndSwap(before, int32(n)) {
			return
		}
	}
}

// parseVersion reads a number of 63 bits.
func parseVersion(text []byte) (v uint64, ok bool) {
	if len(text) == 0 || len(text) > 19 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, v < 1<<63
}

// captureDomain names the capture: by the schema entry, else by the name in the
// source block, else as the records before it.
func (d *decoder) captureDomain(r *cdc.Record, entry *json.SchemaEntry) string {
	if entry != nil {
		return entry.Domain
	}
	if r.Envelope == nil || r.Envelope.SourceJSON == nil {
		return d.domains.of(r.Topic)
	}
	name := json.Member(r.Envelope.SourceJSON, "name")
	if len(name) < 2 {
		return d.domains.of(r.Topic)
	}
	if known, ok := d.sources[string(name)]; ok {
		return known
	}
	text, err := strconv.Unquote(string(name))
	if err != nil {
		return ""
	}
	d.sources[string(name)] = domainCapture + text
	return domainCapture + text
}

// check stops at a record whose version counts something else than that of the
// records before it in its topic. Whether offsets go on from those before, the
// target knows.
func (d *decoder) check(r *cdc.Record) error {
	if r.Domain == d.domain {
		return nil
	}
	kind := r.Domain
	if kind == d.offsets {
		kind = sink.DomainOffset
	}
	first := d.domains.settle(r.Topic, kind)
	if first == kind {
		d.domain = r.Domain
		return nil
	}
	return &foreignDomain{r.Domain, first}
}
