package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// operation is what a request to S3 asks for.
func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete:
		return "AbortMultipartUpload"
	case r.Method == http.MethodHead:
		return "HeadObject"
	case q.Has("uploads"):
		return "ListMultipartUploads"
	}
	return "ListObjectsV2"
}

const refusal = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>made up</Message></Error>`

func refused(do faults.Action, status int, code string) faults.Fault {
	return faults.Fault{Do: do, Status: status, Body: fmt.Sprintf(refusal, code), Header: http.Header{"Content-Type": {"application/xml"}}}
}

// trouble is what can happen to any request.
var trouble = map[string]faults.Fault{
	"slow down":      refused(faults.Refuse, 503, "SlowDown"),
	"internal error": refused(faults.Refuse, 500, "InternalError"),
	"timeout":        refused(faults.Refuse, 400, "RequestTimeout"),
	"dropped":        {Do: faults.Drop},
	"half a request": {Do: faults.CutRequest, Share: 0.5},
	"lost answer":    {Do: faults.LoseAnswer},
	"done but 500":   refused(faults.FailAnswer, 500, "InternalError"),
	"half an answer": {Do: faults.CutAnswer, Share: 0.5},
	"slow answer":    {Do: faults.SlowAnswer, Take: 20 * time.Millisecond},
	"late":           {Before: 30 * time.Millisecond, Late: true},
}

// special is what can happen to one kind of request beside that.
var special = map[string]map[string]faults.Fault{
	"CompleteMultipartUpload": {
		"200 with an error":           refused(faults.Refuse, 200, "InternalError"),
		"done, and 200 with an error": refused(faults.FailAnswer, 200, "InternalError"),
		"done, and 200 with nothing":  {Do: faults.FailAnswer, Status: 200},
		"200 with nothing":            {Do: faults.Refuse, Status: 200},
		"a conflict":                  refused(faults.Refuse, 409, "ConditionalRequestConflict"),
	},
	"CreateMultipartUpload": {"200 with nothing": {Do: faults.FailAnswer, Status: 200}},
	"UploadPart":            {"another ETag": {Serve: withETag(`"00000000000000000000000000000000"`)}, "no ETag": {Serve: withETag("")}},
	"PutObject":             {"another ETag": {Serve: withETag(`"0"`)}},
}

// withETag answers with an ETag that is not the object's.
func withETag(tag string) func(http.ResponseWriter, *faults.Request, func(*faults.Request) (*faults.Answer, error)) {
	return func(w http.ResponseWriter, r *faults.Request, forward func(*faults.Request) (*faults.Answer, error)) {
		a, err := forward(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if a.Header.Del("Etag"); tag != "" {
			a.Header.Set("Etag", tag)
		}
		a.Write(w, r)
	}
}

// tally counts what happened, over all trials of a run.
type tally struct {
	mu   sync.Mutex
	seen map[string]int // operation and fault
}

func (y *tally) add(operation, fault string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.seen[operation+": "+fault]++
}

// ledger is what the group has committed, and who may commit.
type ledger struct {
	mu            sync.Mutex
	owner         int // the generation that may commit
	base, pending int64
	instant       time.Time
}

func (l *ledger) commit(owner int, base, pending int64, instant time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if owner != l.owner {
		return false
	}
	l.base, l.pending, l.instant = base, pending, instant
	return true
}

// next lets a successor in, who reads what was committed.
func (l *ledger) next() (owner int, base, pending int64, instant time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owner++
	return l.owner, l.base, l.pending, l.instant
}

// errCrash ends an owner as kill -9 would: nothing is cleaned up.
var errCrash = errors.New("crashed")

// trial is one seed: a partition whose records become files through a network
// that fails, by owners that crash, wake up late, and have clocks that jump.
type trial struct {
	t          *testing.T
	rng        *rand.Rand // of the owners, who are one after the other
	properties []string
	records    []*cdc.Record
	rows       map[int64]bool // offsets that are to be in the files
	ledger     ledger
	zombies    sync.WaitGroup
	tally      *tally
	clock      time.Time
}

func newTrial(t *testing.T, seed uint64, y *tally) *trial {
	p := &trial{t: t, rng: rand.New(rand.NewPCG(seed, 5)), rows: map[int64]bool{}, tally: y, clock: noon}
	p.properties = []string{"partitioner.class=HourlyPartitioner", "s3.part.size=5242880", "parquet.codec=none", "flush.size=" + strconv.Itoa(30+p.rng.IntN(50))}
	switch p.rng.IntN(3) {
	case 0:
		p.properties = append(p.properties, "timestamp.extractor=Wallclock")
	case 1:
		p.properties = append(p.properties, "rotate.interval.ms=3600000")
	default:
		p.properties = append(p.properties, "rotate.schedule.interval.ms=900000")
	}
	p.makeRecords()
	return p
}

// now is a clock that goes on, stands, and is set forth and back.
func (p *trial) now() time.Time {
	switch p.rng.IntN(40) {
	case 0:
		p.clock = p.clock.Add(time.Duration(p.rng.IntN(7*3600)-3*3600) * time.Second)
	default:
		p.clock = p.clock.Add(time.Duration(p.rng.IntN(20_000)) * time.Millisecond)
	}
	return p.clock
}

// makeRecords makes records with gaps between their offsets, of two schemas that
// share no file, of several hours, some large, deletes with and without their
// tombstones, and lone tombstones.
func (p *trial) makeRecords() {
	number := schema("t", field("id", cdc.Int64), field("a", cdc.Int64), field("pad", cdc.Binary))
	word := schema("t", field("id", cdc.Int64), field("a", cdc.Text), field("pad", cdc.Binary))
	large := 20 + p.rng.IntN(150)
	offset := int64(0)
	for i := range 220 {
		offset += 1 + int64(p.rng.IntN(10)/9)*int64(p.rng.IntN(20))
		pad := noise(p.rng.IntN(200))
		if i >= large && i < large+8 {
			pad = noise(900_000)
		}
		row := rowOf(number, cdc.Int(offset), cdc.Int(offset), cdc.Bytes(pad))
		if p.rng.IntN(8) == 0 {
			row = rowOf(word, cdc.Int(offset), str("x"), cdc.Bytes(pad))
		}
		r := recordAt(offset, row)
		r.Timestamp += int64(i)*90_000 - int64(p.rng.IntN(2))*int64(p.rng.IntN(7_200_000))
		r.RawKey = fmt.Appendf(nil, "%d", offset)
		last := (*cdc.Record)(nil)
		if i > 0 {
			last = p.records[i-1]
		}
		switch {
		case last != nil && last.Deleted && !last.Tombstone && p.rng.IntN(3) > 0:
			r.Value, r.Tombstone, r.Deleted, r.RawKey = nil, true, true, last.RawKey
			p.records = append(p.records, r)
			continue // says nothing more
		case p.rng.IntN(10) == 0:
			r.Op, r.Deleted = cdc.OpDelete, true
		case p.rng.IntN(20) == 0:
			r.Value, r.Tombstone, r.Deleted = nil, true, true
		}
		p.rows[offset] = true
		p.records = append(p.records, r)
	}
}

// rule is the network of a trial.
func (p *trial) rule(seed uint64) faults.Rule {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 6))
	kinds := make([]string, 0, len(trouble))
	for kind := range trouble {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return func(r *faults.Request) faults.Fault {
		mu.Lock()
		defer mu.Unlock()
		op := operation(r.Request)
		own := special[op]
		if len(own) > 0 && rng.IntN(5) == 0 {
			names := make([]string, 0, len(own))
			for name := range own {
				names = append(names, name)
			}
			slices.Sort(names)
			kind := names[rng.IntN(len(names))]
			p.tally.add(op, kind)
			return own[kind]
		}
		if rng.IntN(4) > 0 {
			return faults.Fault{}
		}
		kind := kinds[rng.IntN(len(kinds))]
		p.tally.add(op, kind)
		f := trouble[kind]
		f.Before += time.Duration(rng.IntN(3)) * time.Millisecond
		return f
	}
}

// run lets one owner after the other work until all records are in files.
func (p *trial) run(ctx context.Context) {
	for {
		owner, base, pending, instant := p.ledger.next()
		l := newLake(p.t, p.properties...)
		l.now = func() time.Time { return noon.Add(rand.N(12 * time.Hour)) } // must not decide where a row goes
		err := (&ownership{trial: p, lake: l, number: owner}).work(ctx, base, pending, instant)
		switch {
		case err == nil:
			p.zombies.Wait()
			return
		case errors.Is(err, errCrash) || errors.Is(err, sink.ErrRenderAgain):
		default:
			p.t.Fatalf("owner %d: %v", owner, err)
		}
	}
}

// ownership is the time of one owner.
type ownership struct {
	*trial
	lake   *Lake
	number int
}

// crash ends the owner, or its partition's lease, now and then.
func (o *ownership) crash(one int) error {
	if o.rng.IntN(one) == 0 {
		return errCrash
	}
	return nil
}

// again calls until it succeeds, as the runtime does; the owner may crash
// between two attempts, and in the middle of one.
func (o *ownership) again(ctx context.Context, call func(context.Context) error) error {
	for {
		attempt, cancel := ctx, func() {}
		if o.rng.IntN(12) == 0 {
			attempt, cancel = context.WithTimeout(ctx, time.Duration(o.rng.IntN(20_000))*time.Microsecond)
		}
		err := call(attempt)
		died := attempt.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil || errors.Is(err, sink.ErrRenderAgain) || ctx.Err() != nil:
			return err
		case died:
			return errCrash
		}
		if err := o.crash(25); err != nil {
			return err
		}
	}
}

// work is the protocol of consumers/ranges.go: see rangeFlow there.
func (o *ownership) work(ctx context.Context, base, pending int64, instant time.Time) error {
	if base == 0 && pending == 0 { // a first start
		err := o.again(ctx, func(ctx context.Context) error {
			empty, err := o.lake.Empty(ctx, shopOrders)
			if err == nil && !empty {
				o.t.Error("there are files before the first intent")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	rest := o.from(base)
	for pending > 0 || len(rest) > 0 {
		redo := pending > 0
		if !redo {
			instant = time.UnixMilli(o.now().UnixMilli())
		}
		r, err := o.lake.Open(shopOrders, base, instant, redo)
		if err != nil {
			return err
		}
		end, err := o.collect(ctx, r, rest, pending)
		if err == nil {
			err = o.finish(ctx, r, base, end, instant)
		}
		if errors.Is(err, sink.ErrRenderAgain) {
			r.Discard()
		}
		if err != nil {
			return err
		}
		r.Discard()
		base, pending, rest = end, 0, o.from(end)
	}
	return nil
}

// from are the records from an offset on.
func (p *trial) from(offset int64) []*cdc.Record {
	i, _ := slices.BinarySearchFunc(p.records, offset, func(r *cdc.Record, at int64) int { return int(r.Offset - at) })
	return p.records[i:]
}

// collect appends records to a range and returns where it ends.
func (o *ownership) collect(ctx context.Context, r sink.Range, rest []*cdc.Record, pending int64) (end int64, err error) {
	for len(rest) > 0 {
		if err := o.crash(40); err != nil {
			return 0, err
		}
		batch := rest[:1+o.rng.IntN(min(20, len(rest)))]
		if pending > 0 {
			batch = slices.DeleteFunc(slices.Clone(batch), func(r *cdc.Record) bool { return r.Offset >= pending })
			if len(batch) == 0 {
				return pending, nil
			}
		} else {
			n := r.Fit(o.now(), batch)
			if r.Records() == 0 {
				n = max(n, 1)
			}
			if n == 0 {
				return rest[0].Offset, nil
			}
			batch = batch[:n]
		}
		if err := r.Append(batch); err != nil {
			return 0, err
		}
		if err := o.again(ctx, r.Advance); err != nil {
			return 0, err
		}
		end, rest = batch[len(batch)-1].Offset+1, rest[len(batch):]
	}
	return max(end, pending), nil
}

// finish commits the intent, publishes, and commits the end. Sometimes the owner
// falls asleep in between, and goes on when another has long taken over.
func (o *ownership) finish(ctx context.Context, r sink.Range, base, end int64, instant time.Time) error {
	if r.Files() {
		if !o.ledger.commit(o.number, base, end, instant) {
			return errors.New("the owner was taken for a zombie")
		}
		if err := o.crash(6); err != nil {
			if o.rng.IntN(3) > 0 {
				o.sleepwalk(ctx, r, end)
			}
			return err
		}
		if err := o.again(ctx, func(ctx context.Context) error { return r.Complete(ctx, end) }); err != nil {
			return err
		}
		if err := o.crash(8); err != nil {
			return err
		}
	}
	o.ledger.commit(o.number, end, 0, time.Time{})
	return nil
}

// sleepwalk publishes a range after its owner has lost the partition.
func (o *ownership) sleepwalk(ctx context.Context, r sink.Range, end int64) {
	wait := time.Duration(o.rng.IntN(400)) * time.Millisecond
	o.zombies.Go(func() {
		time.Sleep(wait)
		for range 20 {
			err := r.Complete(ctx, end)
			if err == nil || errors.Is(err, sink.ErrRenderAgain) {
				break
			}
		}
		r.Discard()
	})
}

// audit reads all files and compares them with the records.
func (p *trial) audit(objects map[string][]byte) {
	found := map[int64]string{}
	for name, body := range objects {
		rows, err := parquet.Read[chaosRow](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			p.t.Errorf("%s is no whole file: %v", name, err)
			continue
		}
		for _, row := range rows {
			if other, twice := found[row.Offset]; twice {
				p.t.Errorf("offset %d is in %s and in %s", row.Offset, other, name)
			}
			if row.ID != nil && *row.ID != row.Offset {
				p.t.Errorf("%s has row %d at offset %d", name, *row.ID, row.Offset)
			}
			found[row.Offset] = name
		}
	}
	for offset := range p.rows {
		if found[offset] == "" {
			p.t.Errorf("offset %d is in no file", offset)
		}
		delete(found, offset)
	}
	for offset, name := range found {
		p.t.Errorf("%s has offset %d, which is no row", name, offset)
	}
}

type chaosRow struct {
	ID     *int64 `parquet:"id,optional"`
	Offset int64  `parquet:"__offset,optional"`
}

// readAll counts rows and offsets of all files with DuckDB and pyarrow.
func (p *trial) readAll(objects map[string][]byte) {
	root := p.t.TempDir()
	for name, body := range objects {
		path := filepath.Join(root, strings.ReplaceAll(name, "/", "~"))
		if err := os.WriteFile(path, body, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	script := `
import sys, glob, duckdb, pyarrow.parquet as pq
files = glob.glob(sys.argv[1] + "/*.parquet")
n, d, s = duckdb.connect().execute("SELECT count(*), count(DISTINCT __offset), sum(__offset) FROM read_parquet(?, union_by_name=true, hive_partitioning=false)", [files]).fetchone()
print(n, d, s, sum(pq.ParquetFile(f).read().num_rows for f in files))`
	sum := int64(0)
	for offset := range p.rows {
		sum += offset
	}
	want := fmt.Sprint(len(p.rows), len(p.rows), sum, len(p.rows))
	if got := strings.TrimSpace(string(readers(p.t).Run(p.t, script, root))); got != want {
		p.t.Errorf("DuckDB and pyarrow read %s, want %s", got, want)
	}
}

// settled waits for late requests and has what never ended swept away.
func (p *trial) settled(ctx context.Context, proxy *faults.HTTP, client *s3.Client, bucket string) {
	proxy.SetRule(nil)
	if err := proxy.Quiet(ctx); err != nil {
		p.t.Fatal(err)
	}
	l := newLake(p.t, p.properties...)
	if err := l.swept(ctx, shopOrders); err != nil {
		p.t.Fatal(err)
	}
	left, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(left.Uploads) > 0 {
		p.t.Errorf("%d uploads are left behind, %v", len(left.Uploads), err)
	}
}

// TestFilesExactlyOnceThroughAFailingNetwork: whatever becomes of the requests
// to S3 and of those who make them, each record is in one file that can be read.
// SEEDS=n plays more, SEED=n one of them.
func TestFilesExactlyOnceThroughAFailingNetwork(t *testing.T) {
	first, seeds := uint64(1), uint64(4)
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		seeds = v
	}
	if v, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		first, seeds = v, 1
	}
	y := &tally{seen: map[string]int{}}
	store := servers.S3(t)
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			p, bucket := newTrial(t, seed, y), store.Bucket(t)
			proxy := faults.NewHTTP(store.Endpoint, p.rule(seed))
			defer proxy.Close()
			p.properties = append(p.properties, "store.url="+proxy.URL, "s3.bucket.name="+bucket, "s3.region="+store.Region,
				"aws.access.key.id="+store.AccessKey, "aws.secret.access.key="+store.SecretKey, "s3.retry.backoff.ms=1", "s3.part.retries=1")
			p.run(ctx)
			p.settled(ctx, proxy, store.Client(), bucket)
			objects, err := objectsOf(ctx, store.Client(), bucket)
			if err != nil {
				t.Fatal(err)
			}
			p.audit(objects)
			if seed == first {
				p.readAll(objects)
			}
			t.Logf("%d owners, %d files", p.ledger.owner, len(objects))
		})
	}
	y.check(t, seeds)
}

// check sees to it that there was trouble, and over many trials every kind of it
// for every kind of request.
func (y *tally) check(t *testing.T, seeds uint64) {
	total := 0
	for _, n := range y.seen {
		total += n
	}
	if total == 0 {
		t.Error("there was no trouble")
	}
	if seeds < 60 {
		return
	}
	for _, op := range []string{"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "HeadObject", "ListMultipartUploads", "ListObjectsV2"} {
		met := 0
		for kind := range trouble {
			met += y.seen[op+": "+kind]
		}
		if met == 0 {
			t.Errorf("%s never met with trouble", op)
		}
		for kind := range special[op] {
			if y.seen[op+": "+kind] == 0 {
				t.Errorf("%s never met with: %s", op, kind)
			}
		}
	}
}

// TestHalfAnswersAreDoubted: an answer that lacks what it is to say, or says
// something else, ends with the whole object, or with the word that the range has
// to be rendered again and no object, whatever the server has done.
func TestHalfAnswersAreDoubted(t *testing.T) {
	store := servers.S3(t)
	for op, kinds := range special {
		for kind, fault := range kinds {
			t.Run(op+"/"+kind, func(t *testing.T) {
				bucket, body, done := store.Bucket(t), noise(partSize+100), false
				var mu sync.Mutex
				proxy := faults.NewHTTP(store.Endpoint, func(r *faults.Request) faults.Fault {
					mu.Lock()
					defer mu.Unlock()
					if done || operation(r.Request) != op {
						return faults.Fault{}
					}
					done = true
					return fault
				})
				defer proxy.Close()
				l := newLake(t, "store.url="+proxy.URL, "s3.bucket.name="+bucket, "s3.region="+store.Region,
					"aws.access.key.id="+store.AccessKey, "aws.secret.access.key="+store.SecretKey, "s3.retry.backoff.ms=1", "s3.part.retries=0")
				u := l.store.upload("a.parquet")
				sent, err := op == "PutObject", errors.New("not yet")
				if sent {
					body = body[:100]
				}
				for try := 0; err != nil && !errors.Is(err, sink.ErrRenderAgain); try++ {
					if try == 20 {
						t.Fatalf("no end of it: %v", err)
					}
					if !sent {
						err = u.part(t.Context(), body[:partSize])
						if sent = err == nil; !sent {
							continue
						}
					}
					err = u.commit(t.Context(), body[max(0, len(body)-100):], false)
				}
				if !done {
					t.Error("there was no such request")
				}
				got := objectOf(t, store.Client(), bucket, "a.parquet")
				if err == nil && !bytes.Equal(got, body) || err != nil && got != nil {
					t.Errorf("%d bytes are there, %v", len(got), err)
				}
				if again := kind == "another ETag" && op == "UploadPart" || kind == "a conflict"; again != (err != nil) {
					t.Errorf("it ended with %v", err)
				}
			})
		}
	}
}
