package lake

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/config"
)

// TestTheReferenceConfiguration is the file people have, less what concerns the
// reading side.
func TestTheReferenceConfiguration(t *testing.T) {
	body, err := os.ReadFile("testdata/s3-data-lake-sink.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Config map[string]string }
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	for name := range file.Config {
		if strings.HasPrefix(name, "value.converter") || strings.HasPrefix(name, "errors.") || name == "topics" || name == "connector.class" {
			delete(file.Config, name)
		}
	}
	v, notices, err := config.Parse(file.Config, Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConfig(v)
	if err != nil {
		t.Fatal(err)
	}
	if c.FlushSize != 10_000 || c.RotateInterval != time.Hour || c.PartSize != 5<<20 || c.S3.Bucket != "ecommerce-data-lake" || c.S3.Region != "us-west-2" ||
		c.Codec != "snappy" || c.Compatibility != "BACKWARD" || c.Dir != "topics" {
		t.Errorf("read as %+v", c)
	}
	if got, err := folderOf(t, &Lake{config: c}, recordAt(0, nil), noon); err != nil || got != "2026/11/22/12" {
		t.Errorf("folder %s, %v", got, err)
	}
	var said []string
	for _, n := range notices {
		said = append(said, n.Property)
	}
	if all := strings.Join(said, " "); !strings.Contains(all, "parquet.compression.codec") {
		t.Errorf("notices about %v", said)
	}
}

// TestConfigurationErrors come all at once, each with its property.
func TestConfigurationErrors(t *testing.T) {
	for _, c := range []struct {
		properties []string
		want       []string
	}{
		{[]string{"partitioner.class=TimeBasedPartitioner", "timezone=Nowhere", "flush.size=0", "parquet.codec=lzo", "store.url=ftp://x"},
			[]string{"timezone", "flush.size", "parquet.codec", "store.url"}},
		{[]string{"store.url=http://x"}, []string{"s3.bucket.name"}},
		{[]string{"s3.bucket.name=b", "aws.access.key.id=a"}, []string{"aws.access.key.id"}},
		{[]string{"s3.bucket.name=b", "s3.sse.kms.key.id=a"}, []string{"s3.sse.kms.key.id"}},
		{[]string{"s3.bucket.name=b", "store.url=http://a", "s3.endpoint=http://b"}, []string{"s3.endpoint"}},
		{[]string{"partitioner.class=TimeBasedPartitioner"}, []string{"path.format"}},
		{[]string{"path.format=year=YYYY"}, []string{"path.format"}},
		{[]string{"partitioner.class=FieldPartitioner"}, []string{"partition.field.name"}},
		{[]string{"partitioner.class=org.example.Unknown"}, []string{"partitioner.class"}},
		{[]string{"partitioner.class=TimeBasedPartitioner", "path.format=MMM", "locale=de"}, []string{"locale"}},
		{[]string{"add.columns=op,nonsense"}, []string{"add.columns"}},
		{[]string{"add.columns=op:x,deleted:x"}, []string{"add.columns"}},
		{[]string{"store.url=file://relative"}, []string{"store.url"}},
		{[]string{"format.class=io.confluent.connect.s3.format.json.JsonFormat"}, []string{"format.class"}},
		{[]string{"s3.part.size=1000"}, []string{"s3.part.size"}},
	} {
		_, err := tryLake(t, c.properties...)
		for _, name := range c.want {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v: got %v, want an error about %s", c.properties, err, name)
			}
		}
	}
}

// TestSecretsStayHidden in whatever is printed of the configuration.
func TestSecretsStayHidden(t *testing.T) {
	l := newLake(t, "s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=geheim", "aws.session.token=auch")
	if text, _ := json.Marshal(l.config.S3); strings.Contains(string(text), "geheim") || strings.Contains(string(text), "auch") {
		t.Errorf("%s", text)
	}
}

// TestLayout differs where files would, and only there.
func TestLayout(t *testing.T) {
	base := layoutOf(t, "partitioner.class=HourlyPartitioner")
	for _, same := range [][]string{
		{"flush.size=7"}, {"rotate.interval.ms=5"}, {"rotate.schedule.interval.ms=5"}, {"s3.part.size=6000000"}, {"max.buffered.bytes=9000000"}, {"flush.bytes=1"},
		{"store.url=http://other:9000"}, {"s3.region=eu-west-1"}, {"aws.access.key.id=other"}, {"aws.secret.access.key=other"}, {"s3.path.style.access.enabled=false"},
	} {
		if got := layoutOf(t, append(same, "partitioner.class=HourlyPartitioner")...); got != base {
			t.Errorf("%v is another layout", same)
		}
	}
	for _, other := range [][]string{
		{"topics.dir=x"}, {"s3.bucket.name=other"}, {"store.url=file:///lake"}, {"parquet.codec=zstd"}, {"timezone=Asia/Tokyo"}, {"timestamp.extractor=Wallclock"}, {"schema.compatibility=NONE"},
		{"add.columns=none"}, {"add.columns.prefix=_"}, {"filename.offset.zero.pad.width=5"}, {"behavior.on.null.values=ignore"}, {"partitioner.class=DailyPartitioner"},
	} {
		if got := layoutOf(t, append([]string{"partitioner.class=HourlyPartitioner"}, other...)...); got == base {
			t.Errorf("%v is the same layout", other)
		}
	}
	for _, two := range [][2][]string{ // each in one property only
		{{"partitioner.class=TimeBasedPartitioner", "path.format=YYYY/MM/dd"}, {"partitioner.class=TimeBasedPartitioner", "path.format=YYYY-MM/dd"}},
		{{"partitioner.class=TimeBasedPartitioner", "path.format=YYYY", "partition.duration.ms=60000"}, {"partitioner.class=TimeBasedPartitioner", "path.format=YYYY", "partition.duration.ms=120000"}},
		{{"partitioner.class=FieldPartitioner", "partition.field.name=a"}, {"partitioner.class=FieldPartitioner", "partition.field.name=b"}},
		{{"store.url=file:///lake"}, {"store.url=file:///other"}},
	} {
		if layoutOf(t, two[0]...) == layoutOf(t, two[1]...) {
			t.Errorf("%v and %v are the same layout", two[0], two[1])
		}
	}
}

// layoutOf is the layout of a lake in a bucket, unless the properties say otherwise.
func layoutOf(t testing.TB, properties ...string) string {
	t.Helper()
	return newLake(t, append([]string{"s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=b"}, properties...)...).Layout()
}
