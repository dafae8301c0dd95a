package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/weir-cdc/weir/internal/config"
)

// Class names of Confluent's S3 sink.
const (
	confluentPartitioner = "io.confluent.connect.storage.partitioner."
	parquetFormatClass   = "io.confluent.connect.s3.format.parquet.ParquetFormat"
	s3StorageClass       = "io.confluent.connect.s3.storage.S3Storage"
)

var partitionerClasses = []string{
	confluentPartitioner + "DefaultPartitioner", confluentPartitioner + "FieldPartitioner",
	confluentPartitioner + "TimeBasedPartitioner", confluentPartitioner + "HourlyPartitioner",
	confluentPartitioner + "DailyPartitioner",
}

// Properties are the lake's. The names are those of Confluent's S3 sink, and so
// are the defaults, but for those that docs/lake.md lists.
var Properties = config.Table{
	Name: "Lake",
	Doc:  "Where Parquet files are written, how they are named and when they end.",
	Properties: slices.Concat(storeProperties, s3Properties, fileProperties, pathProperties, []config.Property{
		{Name: "storage.class", Type: config.Class, Default: s3StorageClass, Values: []string{s3StorageClass}, Doc: "S3Storage; store.url says where files go."},
		{Name: "format.class", Type: config.Class, Default: parquetFormatClass, Values: []string{parquetFormatClass}, Doc: "ParquetFormat: other formats are not written."},
		{Name: "s3.compression.type", Inert: "Parquet compresses its pages: parquet.codec"},
		{Name: "s3.compression.level", Inert: "the codec's own level is used"},
		{Name: "schema.cache.size", Inert: "every schema is kept"},
		{Name: "enhanced.avro.schema.support", Inert: "files are Parquet"},
		{Name: "connect.meta.data", Inert: "columns have no Connect metadata"},
		{Name: "s3.credentials.provider.class", Inert: "credentials are found as every AWS tool finds them: properties, environment, profile, role"},
		{Name: "s3.http.send.expect.continue", Inert: "requests are sent at once"},
		{Name: "s3.elastic.buffer.enable", Inert: "buffers grow as needed"},
		{Name: "s3.elastic.buffer.init.capacity", Inert: "buffers grow as needed"},
		{Name: "s3.schema.partition.affix.type", Inert: "files of one range with different columns are told apart by +s<n>"},
	}),
}

var storeProperties = []config.Property{
	{Name: "store.url", Check: checkStoreURL, Doc: "Where files go: empty for AWS, the http(s) address of another S3 server, or file:///directory."},
	{Name: "store.ssl.ca.location", Doc: "A PEM file with the certificate authorities to trust, where they are not the system's."},
	{Name: "store.ssl.verify", Type: config.Bool, Default: "true", Doc: "false: do not check the server's certificate."},
	{Name: "s3.proxy.url", Check: checkURL, Doc: "A proxy for the requests to S3."},
	{Name: "topics.dir", Default: "topics", Doc: "The folder in the bucket that holds one folder per topic."},
}

var s3Properties = []config.Property{
	{Name: "s3.bucket.name", Doc: "The bucket. Required unless store.url is a directory."},
	{Name: "s3.region", Default: "us-west-2", Doc: "The bucket's region."},
	{Name: "s3.endpoint", Check: checkURL, Doc: "The same as store.url with an http(s) address."},
	{Name: "s3.path.style.access.enabled", Type: config.Bool, Default: "true", Doc: "Write the bucket's name into the path instead of the host's name."},
	{Name: "aws.access.key.id", Doc: "The access key. Unset: the default chain of the AWS SDK."},
	{Name: "aws.secret.access.key", Type: config.Secret, Doc: "The secret that belongs to aws.access.key.id."},
	{Name: "aws.session.token", Type: config.Secret, Doc: "The token of temporary credentials."},
	{Name: "s3.part.size", Type: config.Bytes, Default: "26214400", Min: 5 << 20, Max: 1 << 31,
		Doc: "A file larger than this is sent in parts of this size, ahead of its end."},
	{Name: "s3.part.retries", Type: config.Int, Default: "3", Max: 100, Doc: "Quick attempts of a request after the first; then the range waits and starts over, for ever."},
	{Name: "s3.retry.backoff.ms", Type: config.Millis, Default: "200", Min: 1, Max: 1 << 31, Doc: "The first pause between quick attempts; it doubles, with jitter."},
	{Name: "s3.ssea.name", Values: []string{"AES256", "aws:kms"}, Doc: "Server-side encryption."},
	{Name: "s3.sse.kms.key.id", Doc: "The key of aws:kms; unset: the bucket's."},
	{Name: "s3.acl.canned", Doc: "A canned ACL for every object."},
	{Name: "s3.storage.class", Doc: "The storage class of every object, such as STANDARD_IA."},
}

var fileProperties = []config.Property{
	{Name: "parquet.codec", Default: "snappy", Values: []string{"none", "snappy", "gzip", "zstd"}, Old: []string{"parquet.compression.codec"}, Doc: "The compression of pages."},
	{Name: "flush.size", Type: config.Int, Default: "100000", Min: 1, Max: 1 << 40, Doc: "Records of a partition after which its files end. Confluent has no default."},
	{Name: "flush.bytes", Type: config.Bytes, Default: "134217728", Max: 1 << 40, Doc: "Size at which a partition's files end, whichever is largest; 0: any."},
	{Name: "rotate.interval.ms", Type: config.Millis, Default: "-1", Min: -1, Max: 1 << 53,
		Doc: "Span of record time after which a partition's files end, and at the latest when a later folder begins; on an idle partition the clock counts. -1: never."},
	{Name: "rotate.schedule.interval.ms", Type: config.Millis, Default: "-1", Min: -1, Max: 1 << 53,
		Doc: "A partition's files end at multiples of this since midnight, by the wall clock. -1: never."},
	{Name: "max.buffered.bytes", Type: config.Bytes, Default: "134217728", Min: 8 << 20, Max: 1 << 50,
		Doc: "Memory of all open files. When it is spent, the largest ranges end early. With the encoders' own buffers the process takes about twice that."},
	{Name: "schema.compatibility", Default: "BACKWARD", Values: []string{"NONE", "BACKWARD", "FORWARD", "FULL"},
		Doc: "NONE: every schema of a topic has files of its own. Else rows of different schemas share files whose columns hold all of them exactly, where there are such columns."},
	{Name: "behavior.on.null.values", Default: "write", Values: []string{"write", "ignore", "fail"},
		Doc: "What a tombstone becomes that does not follow its delete: a row with the key and __deleted, nothing, or an error. Confluent's default is fail."},
	{Name: "add.columns", Type: config.List, Default: "op,deleted,version,ts_ms,topic,partition,offset", Check: checkColumns,
		Doc: "Columns added to every row, in this order; name:NEW gives one another name, none adds none."},
	{Name: "add.columns.prefix", Default: "__", Doc: "What the names of added columns begin with."},
	{Name: "filename.offset.zero.pad.width", Type: config.Int, Default: "10", Min: 0, Max: 20, Doc: "Digits of the offset in file names."},
	{Name: "file.delim", Default: "+", Values: []string{"+"}, Inert: "parts of file names are joined by +"},
	{Name: "directory.delim", Default: "/", Values: []string{"/"}, Inert: "folders are divided by /"},
}

var pathProperties = []config.Property{
	{Name: "partitioner.class", Type: config.Class, Default: confluentPartitioner + "DefaultPartitioner", Values: partitionerClasses, Doc: "What the folders below a topic's mean."},
	{Name: "partition.field.name", Type: config.List, Doc: "FieldPartitioner: the fields, a.b for a member."},
	{Name: "partition.duration.ms", Type: config.Millis, Default: "-1", Min: -1, Max: 1 << 53, Doc: "TimeBasedPartitioner: the time one folder covers. Unset: an hour."},
	{Name: "path.format", Check: checkPathFormat, Doc: "TimeBasedPartitioner: the folder's name, a pattern of Joda-Time such as 'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH."},
	{Name: "locale", Default: "en", Doc: "The language of names of months and days in path.format; only English ones are known."},
	{Name: "timezone", Default: "UTC", Check: checkZone, Doc: "The time zone of folders and of rotate.schedule.interval.ms."},
	{Name: "timestamp.extractor", Default: "Record", Values: []string{"Wallclock", "Record", "RecordField"},
		Doc: "Which time a record is filed under: the Kafka record's, that of timestamp.field, or the clock's when the file began. Confluent's default is Wallclock."},
	{Name: "timestamp.field", Default: "timestamp", Doc: "RecordField: the field, a.b for a member. It is read by what its schema says; a plain number is milliseconds, text is ISO 8601."},
}

// codecs are the values of parquet.codec.
var codecs = map[string]struct {
	codec     compress.Codec
	extension string
}{
	"none": {&parquet.Uncompressed, ""}, "snappy": {&parquet.Snappy, ".snappy"},
	"gzip": {&parquet.Gzip, ".gz"}, "zstd": {&parquet.Zstd, ".zstd"},
}

// The values of behavior.on.null.values and schema.compatibility that change
// what is done.
const (
	nullIgnore        = "ignore"
	nullFail          = "fail"
	compatibilityNone = "NONE"
)

// Config is what the lake has to know. NewConfig makes it from properties.
type Config struct {
	S3        S3     // where Directory is ""
	Directory string // a local one
	Dir       string // topics.dir
	Pad       int
	PartSize  int
	Memory    int

	Codec            string
	FlushSize        int
	FlushBytes       int64
	RotateInterval   time.Duration // ≤ 0: never
	ScheduleInterval time.Duration // ≤ 0: never
	Compatibility    string
	NullValues       string
	Columns          []Column
	Zone             *time.Location

	pathFormat  string
	partitioner partitioner
}

// Column is one that is added to every row.
type Column struct {
	Name string
	what additionKind
}

// S3 is the bucket and how to reach it.
type S3 struct {
	Endpoint, Bucket, Region string
	PathStyle                bool
	AccessKey                string
	Secret, Session          config.SecretText
	CAFile                   string
	SkipVerify               bool
	Proxy                    string
	Retries                  int
	Backoff                  time.Duration
	Encryption, KMSKey       string
	ACL, StorageClass        string

	patience time.Duration // with a connection on which nothing moves
}

// NewConfig reads the lake's configuration from v, which must have been parsed
// with Properties. Errors are all at once.
func NewConfig(v *config.Values) (Config, error) {
	c := Config{
		Dir: strings.Trim(v.String("topics.dir"), "/"), Pad: v.Int("filename.offset.zero.pad.width"),
		PartSize: v.Int("s3.part.size"), Memory: v.Int("max.buffered.bytes"), Codec: v.String("parquet.codec"),
		FlushSize: v.Int("flush.size"), FlushBytes: int64(v.Int("flush.bytes")),
		RotateInterval: v.Duration("rotate.interval.ms"), ScheduleInterval: v.Duration("rotate.schedule.interval.ms"),
		Compatibility: v.String("schema.compatibility"), NullValues: v.String("behavior.on.null.values"),
	}
	errs := []error{c.readStore(v), c.readColumns(v), c.readPaths(v)}
	if c.Compatibility == "FORWARD" || c.Compatibility == "FULL" {
		v.Notice("schema.compatibility", "the same as BACKWARD: all columns of a file are optional, so either schema reads it")
	}
	return c, errors.Join(errs...)
}

func (c *Config) readStore(v *config.Values) error {
	c.S3 = S3{
		Endpoint: v.String("store.url"), Bucket: v.String("s3.bucket.name"), Region: v.String("s3.region"), PathStyle: v.Bool("s3.path.style.access.enabled"),
		AccessKey: v.String("aws.access.key.id"), Secret: v.Secret("aws.secret.access.key"), Session: v.Secret("aws.session.token"),
		CAFile: v.String("store.ssl.ca.location"), SkipVerify: !v.Bool("store.ssl.verify"), Proxy: v.String("s3.proxy.url"),
		Retries: v.Int("s3.part.retries"), Backoff: v.Duration("s3.retry.backoff.ms"),
		Encryption: v.String("s3.ssea.name"), KMSKey: v.String("s3.sse.kms.key.id"), ACL: v.String("s3.acl.canned"), StorageClass: v.String("s3.storage.class"),
		patience: silence,
	}
	if path, ok := strings.CutPrefix(c.S3.Endpoint, "file://"); ok {
		c.Directory = path
		return nil
	}
	var errs []error
	if other := v.String("s3.endpoint"); other != "" {
		if c.S3.Endpoint != "" && c.S3.Endpoint != other {
			errs = append(errs, v.Error("s3.endpoint", "either store.url or s3.endpoint"))
		}
		c.S3.Endpoint = other
	}
	if c.S3.Bucket == "" {
		errs = append(errs, v.Error("s3.bucket.name", "the bucket, or a directory in store.url"))
	}
	if (c.S3.AccessKey == "") != (c.S3.Secret.Reveal() == "") {
		errs = append(errs, v.Error("aws.access.key.id", "aws.access.key.id and aws.secret.access.key together, or neither"))
	}
	if c.S3.KMSKey != "" && c.S3.Encryption != "aws:kms" {
		errs = append(errs, v.Error("s3.sse.kms.key.id", "s3.ssea.name=aws:kms beside it"))
	}
	return errors.Join(errs...)
}

func (c *Config) readColumns(v *config.Values) error {
	prefix := v.String("add.columns.prefix")
	seen := map[string]bool{}
	for _, item := range v.List("add.columns") {
		what, name, renamed := strings.Cut(item, ":")
		if what == "none" {
			continue
		}
		if !renamed {
			name = what
		}
		if seen[name] {
			return v.Error("add.columns", "every name once")
		}
		seen[name] = true
		c.Columns = append(c.Columns, Column{prefix + name, additionKind(slices.Index(additionNames, what))})
	}
	return nil
}

func (c *Config) readPaths(v *config.Values) error {
	c.pathFormat = v.String("path.format")
	p := &c.partitioner
	p.zone, p.duration = zoneOf(v.String("timezone")), v.Duration("partition.duration.ms")
	c.Zone = p.zone
	p.clock = map[string]extractor{"Record": fromRecord, "Wallclock": fromClock, "RecordField": fromField}[v.String("timestamp.extractor")]
	p.field = strings.Split(v.String("timestamp.field"), ".")
	if p.duration <= 0 {
		p.duration = time.Hour
	}
	class := config.ClassName(v.String("partitioner.class"))
	switch class {
	case "FieldPartitioner":
		p.kind, p.fields = byField, v.List("partition.field.name")
		if len(p.fields) == 0 {
			return v.Error("partition.field.name", "the fields that FieldPartitioner names folders by")
		}
		return nil
	case "HourlyPartitioner":
		p.kind, p.duration, c.pathFormat = byTime, time.Hour, "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"
	case "DailyPartitioner":
		p.kind, p.duration, c.pathFormat = byTime, 24*time.Hour, "'year'=YYYY/'month'=MM/'day'=dd"
	case "TimeBasedPartitioner":
		p.kind = byTime
		if c.pathFormat == "" {
			return v.Error("path.format", "a pattern such as 'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH, which TimeBasedPartitioner needs")
		}
	default:
		c.pathFormat = ""
		return nil
	}
	var err error
	if p.format, err = parseJoda(c.pathFormat); err != nil {
		return v.Error("path.format", err.Error())
	}
	if language := strings.ToLower(v.String("locale")); p.format.localized() && !strings.HasPrefix(language, "en") && language != "root" {
		return v.Error("locale", "en, or a path.format without names of months and days")
	}
	return nil
}

// layout is the fingerprint of all that decides which files a range becomes, in
// which bucket or directory they are and which columns they have. It does not have
// what only decides when a range ends, nor how the bucket is reached: addresses
// and credentials may change while a range is pending.
func (c *Config) layout() string {
	p := &c.partitioner
	text := fmt.Sprintf("%d|%q|%s|%d|%s|%d|%q|%q|%v|%s|%d|%q|%s|%s|%v",
		formatVersion, c.target(), c.Dir, c.Pad, c.Codec, p.kind, p.fields, c.pathFormat, p.duration, p.zone, p.clock, p.field,
		c.Compatibility, c.NullValues, c.Columns)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// target names where files go, for errors and the layout.
func (c *Config) target() string {
	if c.Directory != "" {
		return "directory " + filepath.Clean(c.Directory)
	}
	return "bucket " + c.S3.Bucket
}

// open makes the store.
func (c *Config) open(ctx context.Context) (store, error) {
	if c.Directory != "" {
		return &directory{root: c.Directory}, nil
	}
	return newS3(ctx, c.S3)
}

func checkStoreURL(text string) error {
	if path, ok := strings.CutPrefix(text, "file://"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New("want file:// and an absolute path: file:///var/lake")
		}
		return nil
	}
	return checkURL(text)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("want an address with http:// or https://")
	}
	return nil
}

func checkColumns(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		what, name, renamed := strings.Cut(strings.TrimSpace(item), ":")
		if what != "none" && !slices.Contains(additionNames, what) || renamed && name == "" {
			return errors.New("want some of " + strings.Join(additionNames, ", ") + ", each as name or name:NEW, or none")
		}
	}
	return nil
}

func checkPathFormat(text string) error {
	if _, err := parseJoda(text); err != nil {
		return fmt.Errorf("want %w", err)
	}
	return nil
}

func checkZone(text string) error {
	if _, err := time.LoadLocation(text); err != nil || text == "Local" {
		return errors.New("want a time zone such as UTC or Europe/Berlin")
	}
	return nil
}

// zoneOf is a zone that was checked; a bad one is an error already.
func zoneOf(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.UTC
}
