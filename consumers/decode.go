package consumers

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/sink"
)

// The version domains that do not name a capture.
const (
	domainOffset     = "offset"
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
	// waiting is told what the decoder waits for, and "" when it no longer does.
	waiting func(reason string)

	reader  *json.Reader
	entries map[string]*json.SchemaEntry
	domain  string            // of the record before
	sources map[string]string // domains of captures by the name in the source block
}

func newDecoder(config *Config, schemas *kafka.SchemaSource, domains *domains, waiting func(string)) *decoder {
	return &decoder{
		config: config, schemas: schemas, domains: domains, waiting: waiting,
		reader: json.NewReader(nil), entries: map[string]*json.SchemaEntry{}, sources: map[string]string{},
	}
}

// failedAt is an error of one record, with the stage at which it failed.
type failedAt struct {
	stage stage
	err   error
}

func (f *failedAt) Error() string { return f.err.Error() }
func (f *failedAt) Unwrap() error { return f.err }

// decode reads raw into s. A *failedAt error rejects the record, a *sink.Stopped
// stops the partition, and any other error passes.
func (d *decoder) decode(ctx context.Context, raw *kgo.Record, s *slot) error {
	version, fingerprint := d.begin(raw, &s.record)
	entry, err := d.entry(ctx, fingerprint)
	if err != nil {
		return err
	}
	d.reader.Use(entry)
	if err := d.readKey(s, raw.Key); err != nil {
		return &failedAt{stageKey, err}
	}
	if err := d.reader.ReadValue(&s.message, raw.Value); err != nil {
		return &failedAt{stageValue, err}
	}
	r := &s.record
	r.Key, r.Value, r.Envelope, r.Tombstone = s.message.Key, s.message.Value, s.message.Envelope, s.message.Tombstone
	r.Deleted = r.Tombstone
	r.Wrapped, r.Placed, r.Timed = false, false, false
	r.Op = cdc.OpNone
	if r.Envelope != nil {
		r.Op = r.Envelope.Op
	}
	if err := d.version(r, version, entry); err != nil {
		return &failedAt{stageValue, err}
	}
	return d.check(r)
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
func (d *decoder) entry(ctx context.Context, fingerprint []byte) (*json.SchemaEntry, error) {
	if fingerprint == nil {
		return nil, nil
	}
	if e := d.entries[string(fingerprint)]; e != nil {
		return e, nil
	}
	e := d.schemas.Known(fingerprint)
	if e == nil {
		d.waiting("waiting for schema " + string(fingerprint))
		defer d.waiting("")
		var err error
		if e, err = d.schemas.Entry(ctx, fingerprint); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, &sink.Stopped{Reason: err, Advice: "update this binary if the schema was written by a later one, else let the capture write its schemas again"}
		}
	}
	d.entries[string(fingerprint)] = e
	return e, nil
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
		r.Version, r.Domain = uint64(r.Offset), domainOffset
	case VersionRecordTime:
		// Records of one millisecond are equals: a target takes the later one, and
		// a number of their own would have to run over some day and lose it.
		r.Version, r.Domain = uint64(max(r.Timestamp, 0))<<hybridShift, domainRecordTime
	default:
		v, ok := parseVersion(header)
		if !ok {
			return fmt.Errorf("reading header %s: want 19 digits, got %q", cdc.HeaderVersion, header)
		}
		r.Version, r.Domain = v, d.captureDomain(r, entry)
		if r.Domain == "" {
			return errors.New("the record has a version, but neither header weir.schema nor a source block says which capture's")
		}
	}
	return nil
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
// records before it in its topic.
func (d *decoder) check(r *cdc.Record) error {
	if r.Domain == d.domain {
		return nil
	}
	first := d.domains.settle(r.Topic, r.Domain)
	if first == r.Domain {
		d.domain = first
		return nil
	}
	return &sink.Stopped{
		Reason: fmt.Errorf("offset %d of %s-%d has a version of domain %s, the records before it have %s, and the two cannot be compared",
			r.Offset, r.Topic, r.Partition, r.Domain, first),
		Advice: "rebuild the target (weirctl rebuild), or set version.source=record-time",
	}
}
