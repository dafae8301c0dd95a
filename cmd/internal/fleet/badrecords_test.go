package fleet

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/kafka"
)

const badRecordsFile = "../../../docs/bad-records.md"

// badRecordsMark is behind what the page says in words.
const badRecordsMark = "<!-- what follows is written by TestBadRecordsAreDocumented -->\n"

// TestBadRecordsAreDocumented: the page is the table that the sinks are tested
// with.
func TestBadRecordsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(badRecordsFile)
	if err != nil {
		t.Fatal(err)
	}
	words, _, ok := strings.Cut(string(page), badRecordsMark)
	var b strings.Builder
	b.WriteString(words + badRecordsMark + "| record | Elasticsearch | Redis | lake |\n|---|---|---|---|\n")
	for _, r := range badRecords(itemEntries("x")[1]) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.what, r.search.fate, r.cache.fate, r.lake.fate)
	}
	if os.Getenv("UPDATE") != "" {
		page = []byte(b.String())
		if err := os.WriteFile(badRecordsFile, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b.String(), string(page)); diff != "" || !ok {
		t.Errorf("docs/bad-records.md is stale; write it again with UPDATE=1 go test ./cmd/internal/fleet\n%s", diff)
	}
}

// itemEntries are the schemas of a capture with the prefix: of the table of the
// typed records, and of another one.
func itemEntries(prefix string) [2]*json.SchemaEntry {
	key := cdc.NewSchema("shop.items.Key", cdc.Field{Name: "id", Type: cdc.Int64})
	other := cdc.NewSchema("shop.others.Key", cdc.Field{Name: "code", Type: cdc.Text})
	return [2]*json.SchemaEntry{
		json.NewSchemaEntry("weir:shop", prefix+".shop.items", key, badItem),
		json.NewSchemaEntry("weir:shop", prefix+".shop.others", other, cdc.NewSchema("shop.others.Value", cdc.Field{Name: "code", Type: cdc.Text})),
	}
}

// badTopics are the records in Kafka: a topic of the capture and one of JSON
// without schemas. Each bad record is the second of the three of its partition.
type badTopics struct {
	broker  string
	names   [2]string
	records [2][]badRecord // by topic and partition
}

// before and after are the ids of the good records of a partition.
func idBefore(partition int) int { return 1000 + 2*partition }
func idAfter(partition int) int  { return 1001 + 2*partition }

func produceBadRecords(t *testing.T) *badTopics {
	t.Helper()
	b := &badTopics{broker: servers.Kafka(t)}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2*gigantic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	prefix := servers.Unique(t, "bad")
	b.names = [2]string{prefix + ".shop.items", prefix + ".plain"}
	entries := itemEntries(prefix)
	for _, r := range badRecords(entries[1]) {
		at := 1
		if r.typed {
			at = 0
		}
		b.records[at] = append(b.records[at], r)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = kadm.NewClient(client).DeleteTopics(ctx, b.names[0], b.names[1], kafka.SchemaTopic(prefix))
		client.Close()
	})
	large := map[string]string{"max.message.bytes": strconv.Itoa(2 * gigantic)}
	_, err = kafka.CreateTopics(t.Context(), client, kafka.Compacted(kafka.SchemaTopic(prefix)),
		kafka.Topic{Name: b.names[0], Partitions: len(b.records[0]), Replicas: 1, Configs: large},
		kafka.Topic{Name: b.names[1], Partitions: len(b.records[1]), Replicas: 1, Configs: large})
	if err != nil {
		t.Fatal(err)
	}
	var all []*kgo.Record
	for _, e := range entries {
		all = append(all, &kgo.Record{Topic: kafka.SchemaTopic(prefix), Key: []byte(e.Fingerprint), Value: e.Marshal()})
	}
	for topic, records := range b.records {
		for partition := range records {
			all = append(all, b.three(topic, partition, entries[0].Fingerprint)...)
		}
	}
	if err := client.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return b
}

// three are the records of a partition.
func (b *badTopics) three(topic, partition int, fingerprint string) []*kgo.Record {
	bad := &b.records[topic][partition]
	out := []*kgo.Record{b.good(topic, idBefore(partition)), {Key: bad.key, Value: bad.value}, b.good(topic, idAfter(partition))}
	for i, r := range out {
		r.Topic, r.Partition = b.names[topic], int32(partition)
		headers := map[string]string{}
		if bad.typed {
			headers = map[string]string{cdc.HeaderVersion: fmt.Sprintf("%019d", 100+i), cdc.HeaderSchema: fingerprint}
		}
		if i == 1 {
			maps.Copy(headers, bad.headers)
		}
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(headers[name])})
		}
	}
	return out
}

func (b *badTopics) good(topic, id int) *kgo.Record {
	r := &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: fmt.Appendf(nil, `{"n":%d}`, id)}
	if topic == 0 {
		r.Value = envelope("c", "null", item(id, "", ""))
	}
	return r
}

// sinkUnderTest is one of the three: how it is started, what it makes of a bad
// record, and what it has written.
type sinkUnderTest struct {
	binary string
	of     func(*badRecord) outcome
	args   func(t *testing.T, name string) []string
	// has tells which documents there are, as topic index/id; of the lake as
	// topic index/partition/offset.
	has func(t *testing.T, b *badTopics, name string) map[string]bool
}

// TestBadRecords sends every bad record through every sink, among good ones.
// With errors.tolerance=all it becomes a dead letter, with none it stops its
// partition until it is skipped; either way the status says which record it is
// and what is wrong with it, and all others are written.
func TestBadRecords(t *testing.T) {
	b := produceBadRecords(t)
	for _, sink := range []sinkUnderTest{searchUnderTest(), cacheUnderTest(), lakeUnderTest(t)} {
		for _, tolerance := range []string{"all", "none"} {
			t.Run(sink.binary+"/"+tolerance, func(t *testing.T) { b.run(t, sink, tolerance) })
		}
	}
}

func (b *badTopics) run(t *testing.T, sink sinkUnderTest, tolerance string) {
	name := servers.Unique(t, "bad")
	args := append(shared(t, b.names[0], sink.args(t, name)...), "--set", "name="+name, "--set", "topics="+strings.Join(b.names[:], ","), "--set", "errors.tolerance="+tolerance,
		"--set", "errors.deadletterqueue.context.headers.enable=true", "--set", "errors.deadletterqueue.topic.replication.factor=1")
	p := start(t, sink.binary, args)
	b.settle(t, p, sink, tolerance)
	p.stop(t)
	b.checkLetters(t, sink, name)
	want := b.wanted(sink)
	if diff := cmp.Diff(want, sink.has(t, b, name)); diff != "" {
		t.Errorf("in the target (- wanted):\n%s", diff)
	}
}

// settle waits until every partition is done, or is where its bad record blocks
// it, checks the reason, skips what blocks, and waits until all are done.
func (b *badTopics) settle(t *testing.T, p *process, sink sinkUnderTest, tolerance string) {
	t.Helper()
	skipped := map[admin.Record]bool{}
	client := &admin.Client{URL: p.address}
	total := len(b.records[0]) + len(b.records[1])
	var last string
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	reached := func() bool {
		s, err := client.Status(t.Context())
		if err != nil || len(s.Tasks) != total {
			return false
		}
		done := 0
		last = ""
		for _, task := range s.Tasks {
			topic := slices.Index(b.names[:], task.Topic)
			r := &b.records[topic][task.Partition.Partition]
			at := admin.Record{Topic: task.Topic, Partition: task.Partition.Partition, Offset: 1}
			switch o := sink.of(r); {
			case task.Committed == 3:
				done++
				blocks := o.fate == waits || o.fate == stops || o.fate == rejected && tolerance == "none"
				if blocks && !skipped[at] {
					t.Errorf("%s: the partition did not stop", r.what)
					skipped[at] = true
				}
			case task.Problem != nil && task.Problem.Record != nil && *task.Problem.Record == at && task.Committed == 1 && !skipped[at]:
				skipped[at] = true
				b.checkProblem(t, r, o, tolerance, task)
				if err := client.Skip(t.Context(), at); err != nil {
					t.Errorf("%s: skipping: %v", r.what, err)
				}
			default:
				last += fmt.Sprintf("%s: %s, committed %d ", r.what, task.State, task.Committed)
			}
			if task.Problem != nil && task.Committed < 3 {
				last += fmt.Sprintf("%s: %s %s\n", r.what, task.State, task.Problem.Text)
			}
		}
		return done == total
	}
	for deadline := time.Now().Add(8 * time.Minute); !reached(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("partitions do not come to their end\n%s", p.logs)
		}
	}
}

// checkProblem: the status says where the record is, its key, and what is wrong.
func (b *badTopics) checkProblem(t *testing.T, r *badRecord, o outcome, tolerance string, task admin.Task) {
	t.Helper()
	text := task.Problem.Text
	if o.fate != waits && o.fate != stops && (o.fate != rejected || tolerance == "all") {
		t.Errorf("%s: its partition is %s: %s", r.what, task.State, text)
		return
	}
	if want := map[bool]admin.State{true: admin.Running, false: admin.Failed}[o.fate == waits]; task.State != want {
		t.Errorf("%s: its partition is %s", r.what, task.State)
	}
	where := fmt.Sprintf("offset 1 of %s-%d, key ", task.Topic, task.Partition.Partition)
	if !strings.HasPrefix(text, where) || !strings.Contains(text, o.names) || !strings.Contains(task.Problem.Do, "weirctl skip "+task.Topic) || len(text) > 3000 {
		t.Errorf("%s: the problem is %.500q, and what to do %q; want %q", r.what, text, task.Problem.Do, o.names)
	}
}

// checkLetters: what was rejected is in the dead letter topic, once, as it was
// and with Kafka Connect's headers.
func (b *badTopics) checkLetters(t *testing.T, sink sinkUnderTest, name string) {
	t.Helper()
	topic := name + "-dlq"
	client, err := kgo.NewClient(kgo.SeedBrokers(b.broker), kgo.ConsumeTopics(topic), kgo.BrokerMaxReadBytes(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	cluster := kadm.NewClient(client)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = cluster.DeleteTopics(ctx, topic)
		_, _ = cluster.DeleteGroups(ctx, "weir-"+name)
	})
	ends, err := cluster.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	letters := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for n := int64(0); n < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			letters[b.checkLetter(t, sink, r)]++
		})
	}
	want := map[string]int{}
	for _, records := range b.records {
		for i := range records {
			if f := sink.of(&records[i]).fate; f == rejected || f == waits || f == stops {
				want[records[i].what] = 1
			}
		}
	}
	if diff := cmp.Diff(want, letters); diff != "" {
		t.Errorf("dead letters (- wanted):\n%s", diff)
	}
}

// checkLetter returns what the letter is.
func (b *badTopics) checkLetter(t *testing.T, sink sinkUnderTest, letter *kgo.Record) string {
	t.Helper()
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[strings.TrimPrefix(h.Key, "__connect.errors.")] = string(h.Value)
	}
	topic := slices.Index(b.names[:], headers["topic"])
	partition, err := strconv.Atoi(headers["partition"])
	if err != nil || topic < 0 {
		t.Errorf("a letter with headers %v", headers)
		return ""
	}
	r := &b.records[topic][partition]
	o := sink.of(r)
	exception := map[string]string{ofKey: "DataException", ofValue: "DataException", ofPut: "ConnectException"}[o.stage]
	message := headers["exception.message"]
	if headers["offset"] != "1" || headers["stage"] != o.stage || !strings.HasSuffix(headers["exception.class.name"], exception) ||
		!strings.HasPrefix(message, fmt.Sprintf("offset 1 of %s-%d, key ", b.names[topic], partition)) || !strings.Contains(message, o.names) {
		t.Errorf("%s: stage %s, want %s of %q: %.500s", r.what, headers["stage"], o.stage, o.names, message)
	}
	if !bytes.Equal(letter.Key, r.key) || (letter.Key == nil) != (r.key == nil) || !bytes.Equal(letter.Value, r.value) {
		t.Errorf("%s: the letter is another record", r.what)
	}
	return r.what
}

// wanted is what is to be in the target.
func (b *badTopics) wanted(sink sinkUnderTest) map[string]bool {
	out := map[string]bool{}
	for topic, records := range b.records {
		for partition := range records {
			r := &records[partition]
			f := sink.of(r).fate
			if sink.binary == "weir-lake" {
				for offset := range 3 {
					if offset != 1 || f == kept || f == gone {
						out[fmt.Sprintf("%d/%d/%d", topic, partition, offset)] = true
					}
				}
				continue
			}
			for _, id := range []int{idBefore(partition), idAfter(partition)} {
				out[fmt.Sprintf("%d/%d", topic, id)] = true
			}
			if f == kept {
				id := r.id
				if sink.binary == "weir-elasticsearch" {
					id = documentID(id)
				}
				out[fmt.Sprintf("%d/%s", topic, id)] = true
			}
		}
	}
	return out
}

func searchUnderTest() sinkUnderTest {
	return sinkUnderTest{
		binary: "weir-elasticsearch", of: func(r *badRecord) outcome { return r.search },
		args: func(t *testing.T, _ string) []string {
			return []string{"connection.url=" + servers.Elasticsearch(t), "index.number_of_replicas=0", "index.number_of_shards=1", "read.timeout.ms=300000", "index.alias=false"}
		},
		has: func(t *testing.T, b *badTopics, _ string) map[string]bool {
			out := map[string]bool{}
			for topic, name := range b.names {
				url := servers.Elasticsearch(t) + "/" + name
				for _, id := range idsIn(t, url) {
					out[fmt.Sprintf("%d/%s", topic, id)] = true
				}
				ask(t, http.MethodDelete, url)
			}
			return out
		},
	}
}

// ask sends a request to Elasticsearch and returns the answer.
func ask(t *testing.T, method, url string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s %v", method, url, response.Status, body, err)
	}
	return body
}

func idsIn(t *testing.T, index string) []string {
	t.Helper()
	ask(t, http.MethodPost, index+"/_refresh")
	var found struct {
		Hits struct {
			Hits []struct {
				ID string `json:"_id"`
			}
		}
	}
	if err := stdjson.Unmarshal(ask(t, http.MethodGet, index+"/_search?size=1000&_source=false"), &found); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range found.Hits.Hits {
		out = append(out, h.ID)
	}
	return out
}

func cacheUnderTest() sinkUnderTest {
	return sinkUnderTest{
		binary: "weir-redis", of: func(r *badRecord) outcome { return r.cache },
		args: func(t *testing.T, name string) []string {
			return []string{"redis.hosts=" + servers.Redis(t), "cache.prefix=" + name + ":${topic}:", "flush.timeout.ms=60000"}
		},
		has: func(t *testing.T, b *badTopics, name string) map[string]bool {
			client := goredis.NewClient(&goredis.Options{Addr: servers.Redis(t)})
			defer client.Close()
			keys, err := client.Keys(t.Context(), name+":*").Result()
			if err != nil {
				t.Fatal(err)
			}
			defer client.Del(t.Context(), keys...)
			out := map[string]bool{}
			for _, key := range keys {
				for topic, name2 := range b.names {
					if id, ok := strings.CutPrefix(key, name+":"+name2+":"); ok && !strings.HasPrefix(id, "weir:") {
						out[fmt.Sprintf("%d/%s", topic, id)] = true
					}
				}
			}
			return out
		},
	}
}

func lakeUnderTest(t *testing.T) sinkUnderTest {
	store := servers.S3(t)
	bucket := sync.OnceValue(func() string { return store.Bucket(t) })
	return sinkUnderTest{
		binary: "weir-lake", of: func(r *badRecord) outcome { return r.lake },
		args: func(_ *testing.T, name string) []string {
			return []string{"store.url=" + store.Endpoint, "s3.bucket.name=" + bucket(), "s3.region=" + store.Region, "topics.dir=" + name,
				"aws.access.key.id=" + store.AccessKey, "aws.secret.access.key=" + store.SecretKey, "rotate.schedule.interval.ms=1000"}
		},
		has: func(t *testing.T, b *badTopics, name string) map[string]bool {
			out := map[string]bool{}
			for page := s3.NewListObjectsV2Paginator(store.Client(), &s3.ListObjectsV2Input{Bucket: new(bucket()), Prefix: new(name + "/")}); page.HasMorePages(); {
				listed, err := page.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range listed.Contents {
					for _, at := range rowsOf(t, store, bucket(), *o.Key, b.names[:]) {
						if out[at] {
							t.Errorf("%s is there twice", at)
						}
						out[at] = true
					}
				}
			}
			return out
		},
	}
}

// rowsOf are the records whose rows are in a file.
func rowsOf(t *testing.T, store servers.ObjectStore, bucket, key string, topics []string) []string {
	t.Helper()
	object, err := store.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	data, err := io.ReadAll(object.Body)
	if err != nil {
		t.Fatal(err)
	}
	type origin struct {
		Topic     string `parquet:"__topic,optional"`
		Partition int32  `parquet:"__partition,optional"`
		Offset    int64  `parquet:"__offset,optional"`
	}
	rows, err := parquet.Read[origin](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%d/%d/%d", slices.Index(topics, r.Topic), r.Partition, r.Offset))
	}
	return out
}
