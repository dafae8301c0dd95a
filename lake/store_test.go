package lake

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// stores are both, fresh, with a way to read a visible file, nil if there is none.
func stores(t *testing.T, test func(t *testing.T, s store, read func(name string) []byte)) {
	t.Run("directory", func(t *testing.T) {
		root := t.TempDir()
		test(t, &directory{root: root}, func(name string) []byte {
			b, err := os.ReadFile(filepath.Join(root, name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			return b
		})
	})
	t.Run("bucket", func(t *testing.T) {
		b, client, _ := openBucket(t)
		test(t, b, func(name string) []byte { return objectOf(t, client, b.name, name) })
	})
}

// openBucket is the store of a fresh bucket behind a gateway.
func openBucket(t *testing.T) (*bucket, *s3.Client, *gateway) {
	client, _, g, properties := bucketOf(t)
	return newLake(t, properties...).store.(*bucket), client, g
}

func objectOf(t testing.TB, client *s3.Client, bucket, name string) []byte {
	t.Helper()
	objects, err := objectsOf(t.Context(), client, bucket)
	if err != nil {
		t.Fatal(err)
	}
	return objects[name]
}

// noise is n bytes that do not compress.
func noise(n int) []byte {
	out := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(out)
	return out
}

const partSize = 5 << 20

// TestAFileAppearsWhole: parts sent ahead are not visible.
func TestAFileAppearsWhole(t *testing.T) {
	stores(t, func(t *testing.T, s store, read func(string) []byte) {
		for _, parts := range []int{0, 2} {
			name := "topics/a/" + strings.Repeat("x", parts+1) + "+0+0000000000+00000000.parquet"
			body := noise(parts*partSize + 1000)
			u := s.upload(name)
			for i := range parts {
				if err := u.part(t.Context(), body[i*partSize:(i+1)*partSize]); err != nil {
					t.Fatal(err)
				}
			}
			there, err := s.exists(t.Context(), name)
			if err != nil || there || read(name) != nil {
				t.Fatalf("%d parts: visible before it is committed: %v, %v", parts, there, err)
			}
			for range 2 { // once more is no harm
				if err := u.commit(t.Context(), body[parts*partSize:], false); err != nil {
					t.Fatal(err)
				}
			}
			u.abort(t.Context()) // nor is that
			if got := read(name); !bytes.Equal(got, body) {
				t.Errorf("%d parts: %d bytes, want %d", parts, len(got), len(body))
			}
			if there, err := s.exists(t.Context(), name); err != nil || !there {
				t.Errorf("exists: %v, %v", there, err)
			}
			var names []string
			if err := s.list(t.Context(), "topics/a/", func(n string) { names = append(names, n) }); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(names, " "), name) {
				t.Errorf("list: %v", names)
			}
		}
	})
}

// TestAFileIsRemoved, and found by what its name begins with before.
func TestAFileIsRemoved(t *testing.T) {
	stores(t, func(t *testing.T, s store, _ func(string) []byte) {
		for _, name := range []string{"topics/r/a.parquet", "topics/r/a+s1.parquet", "topics/r/b+s1.parquet"} {
			if err := s.upload(name).commit(t.Context(), []byte("x"), false); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // once more is no harm
			if err := s.remove(t.Context(), "topics/r/a.parquet"); err != nil {
				t.Fatal(err)
			}
		}
		for prefix, want := range map[string][]string{
			"topics/r/":    {"topics/r/a+s1.parquet", "topics/r/b+s1.parquet"},
			"topics/r/a+s": {"topics/r/a+s1.parquet"},
			"topics/r/c":   nil,
		} {
			var names []string
			if err := s.list(t.Context(), prefix, func(name string) { names = append(names, name) }); err != nil {
				t.Fatal(err)
			}
			if slices.Sort(names); !slices.Equal(names, want) {
				t.Errorf("below %s: %v, want %v", prefix, names, want)
			}
		}
	})
}

// TestAFileThatExistsIsKept where that is asked, and is replaced else.
func TestAFileThatExistsIsKept(t *testing.T) {
	stores(t, func(t *testing.T, s store, read func(string) []byte) {
		for _, parts := range []int{0, 1} {
			name := strings.Repeat("k", parts+1) + ".parquet"
			write := func(fill byte, keep bool) {
				t.Helper()
				u := s.upload(name)
				for range parts {
					if err := u.part(t.Context(), bytes.Repeat([]byte{fill}, partSize)); err != nil {
						t.Fatal(err)
					}
				}
				if err := u.commit(t.Context(), []byte{fill}, keep); err != nil {
					t.Fatal(err)
				}
			}
			for _, step := range []struct {
				fill byte
				keep bool
				want byte
			}{{1, true, 1}, {2, true, 1}, {3, false, 3}} {
				write(step.fill, step.keep)
				if got := read(name); len(got) != parts*partSize+1 || got[0] != step.want {
					t.Errorf("%d parts, keep %v: got %d bytes of %v, want %v", parts, step.keep, len(got), got[:1], step.want)
				}
			}
		}
	})
}

// TestSweepingRemovesWhatWasLeftBehind, and only that.
func TestSweepingRemovesWhatWasLeftBehind(t *testing.T) {
	stores(t, func(t *testing.T, s store, read func(string) []byte) {
		visible := s.upload("topics/a/seen.parquet")
		if err := visible.commit(t.Context(), []byte("x"), false); err != nil {
			t.Fatal(err)
		}
		mine, other := s.upload("topics/a/mine.parquet"), s.upload("topics/a/other.parquet")
		for _, u := range []upload{mine, other} {
			if err := u.part(t.Context(), noise(partSize)); err != nil {
				t.Fatal(err)
			}
		}
		err := s.sweep(t.Context(), "topics/", func(name string) bool { return !strings.Contains(name, "other") })
		if err != nil {
			t.Fatal(err)
		}
		if err := mine.commit(t.Context(), []byte("x"), false); !errors.Is(err, sink.ErrRenderAgain) {
			t.Errorf("committing what was swept: %v, want that it has to be rendered again", err)
		}
		if err := other.commit(t.Context(), []byte("x"), false); err != nil {
			t.Errorf("committing another's: %v", err)
		}
		if read("topics/a/seen.parquet") == nil || read("topics/a/mine.parquet") != nil || len(read("topics/a/other.parquet")) != partSize+1 {
			t.Error("the wrong files are visible")
		}
	})
}

// TestAnAbortedUploadLeavesNothing to sweep.
func TestAnAbortedUploadLeavesNothing(t *testing.T) {
	stores(t, func(t *testing.T, s store, read func(string) []byte) {
		u := s.upload("a/b.parquet")
		if err := u.part(t.Context(), noise(partSize)); err != nil {
			t.Fatal(err)
		}
		u.abort(t.Context())
		left := 0
		if err := s.sweep(t.Context(), "", func(string) bool { left++; return false }); err != nil {
			t.Fatal(err)
		}
		if left != 0 || read("a/b.parquet") != nil {
			t.Errorf("%d uploads are left", left)
		}
	})
}

// requests picks requests by method and whether the query has a key.
func requests(method string, query ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		ok := r.Method == method
		for _, key := range query {
			want, has := strings.CutPrefix(key, "!")
			ok = ok && r.URL.Query().Has(want) != has
		}
		return ok
	}
}

// TestALostAnswerIsHarmless at each request of an upload: what was asked for is
// done, its answer never comes, and the attempt is made again.
func TestALostAnswerIsHarmless(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts int
		only  func(*http.Request) bool
	}{
		{"PutObject", 0, requests("PUT", "!partNumber")},
		{"CreateMultipartUpload", 2, requests("POST", "uploads")},
		{"UploadPart", 2, requests("PUT", "partNumber")},
		{"CompleteMultipartUpload", 2, requests("POST", "uploadId")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, client, g := openBucket(t)
			g.only.Store(c.only)
			g.mute.Store(true)
			body := noise(c.parts*partSize + 100)
			u := b.upload("a.parquet")
			steps := []func() error{func() error { return u.commit(t.Context(), body[c.parts*partSize:], false) }}
			for i := c.parts - 1; i >= 0; i-- {
				steps = append([]func() error{func() error { return u.part(t.Context(), body[i*partSize:(i+1)*partSize]) }}, steps...)
			}
			failed := 0
			for _, step := range steps {
				for step() != nil {
					if failed++; failed > 20 {
						t.Fatal(step())
					}
					g.mute.Store(false)
				}
			}
			if g.muted.Load() == 0 {
				t.Error("no answer was lost")
			}
			if got := objectOf(t, client, b.name, "a.parquet"); !bytes.Equal(got, body) {
				t.Errorf("%d bytes are there, want %d", len(got), len(body))
			}
		})
	}
}

// TestALostCompletionIsFound: every answer of the completion is lost, also
// that of the attempts after, which the server answers with NoSuchUpload.
func TestALostCompletionIsFound(t *testing.T) {
	b, client, g := openBucket(t)
	body := noise(partSize + 10)
	u := b.upload("a.parquet")
	if err := u.part(t.Context(), body[:partSize]); err != nil {
		t.Fatal(err)
	}
	g.only.Store(requests("POST", "uploadId"))
	g.mute.Store(true)
	if err := u.commit(t.Context(), body[partSize:], false); err == nil {
		t.Fatal("a completion without an answer succeeded")
	}
	g.mute.Store(false)
	if err := u.commit(t.Context(), body[partSize:], false); err != nil {
		t.Fatalf("completing again: %v", err)
	}
	if got := objectOf(t, client, b.name, "a.parquet"); !bytes.Equal(got, body) {
		t.Errorf("%d bytes are there, want %d", len(got), len(body))
	}
}

// TestAServerWithoutConditions looks before it writes.
func TestAServerWithoutConditions(t *testing.T) {
	b, client, g := openBucket(t)
	plain := newGateway(t, g.URL)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		plain.Config.Handler.ServeHTTP(w, r)
	}))
	defer refusing.Close()
	c := b.config
	c.Endpoint = refusing.URL
	old, err := newS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i, parts := range []int{0, 0, 1} {
		name := []string{"a", "a", "b"}[i]
		u := old.upload(name)
		for range parts {
			if err := u.part(t.Context(), noise(partSize)); err != nil {
				t.Fatal(err)
			}
		}
		if err := u.commit(t.Context(), []byte{byte('0' + i)}, true); err != nil {
			t.Fatal(err)
		}
	}
	if got := objectOf(t, client, b.name, "a"); string(got) != "0" {
		t.Errorf("the file that was there became %q", got)
	}
	if got := objectOf(t, client, b.name, "b"); len(got) != partSize+1 {
		t.Errorf("%d bytes", len(got))
	}
}

// fakeS3 writes down the headers of the requests and answers that all is well.
func fakeS3(t *testing.T, secure bool) (*httptest.Server, *[]http.Header) {
	var seen []http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = append(seen, r.Header)
		if r.Method == "POST" {
			_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
		}
		w.Header().Set("ETag", `"e"`)
	})
	if secure {
		server := httptest.NewTLSServer(handler)
		t.Cleanup(server.Close)
		return server, &seen
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server, &seen
}

// TestObjectOptions: encryption, ACL and storage class go with every object.
func TestObjectOptions(t *testing.T) {
	server, seen := fakeS3(t, false)
	l := newLake(t, "store.url="+server.URL, "s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=s",
		"s3.ssea.name=aws:kms", "s3.sse.kms.key.id=k", "s3.acl.canned=bucket-owner-full-control", "s3.storage.class=STANDARD_IA")
	if err := l.store.upload("small").commit(t.Context(), []byte("x"), false); err != nil {
		t.Fatal(err)
	}
	if err := l.store.upload("large").part(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for i, h := range (*seen)[:2] {
		if h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != "k" ||
			h.Get("X-Amz-Acl") != "bucket-owner-full-control" || h.Get("X-Amz-Storage-Class") != "STANDARD_IA" || h.Get("Content-Type") != contentType {
			t.Errorf("request %d: %v", i, h)
		}
	}
}

// TestTLS: certificates are checked unless that is switched off by name.
func TestTLS(t *testing.T) {
	server, _ := fakeS3(t, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		extra []string
		ok    bool
	}{
		{"unknown authority", nil, false},
		{"with the authority", []string{"store.ssl.ca.location=" + ca}, true},
		{"not verified", []string{"store.ssl.verify=false"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLake(t, append([]string{"store.url=" + server.URL, "s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=s", "s3.part.retries=0"}, c.extra...)...)
			if err := l.store.probe(t.Context()); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := tryLake(t, "s3.bucket.name=b", "store.ssl.ca.location="+ca+"x"); err == nil {
		t.Error("a file that does not exist is no error")
	}
}

// TestCheck tells what is wrong with the target without changing it.
func TestCheck(t *testing.T) {
	_, _, _, properties := bucketOf(t)
	if err := newLake(t, properties...).Check(t.Context()); err != nil {
		t.Error(err)
	}
	err := newLake(t, append(properties, "s3.bucket.name=none-of-that-name")...).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "none-of-that-name") {
		t.Errorf("a bucket that does not exist: %v", err)
	}
	if err := newLake(t, "store.url=file:///none/of/that/name").Check(context.Background()); err == nil {
		t.Error("a directory that does not exist is no error")
	}
}

// slowList is a store whose list ends when it is told to.
type slowList struct {
	*memoryStore
	lists atomic.Int32
	each  func(ctx context.Context) error
}

func (s *slowList) list(ctx context.Context, _ string, _ func(string)) error {
	s.lists.Add(1)
	return s.each(ctx)
}

// TestAListServesAllPartitions that ask while it is made or soon after, however
// long it takes.
func TestAListServesAllPartitions(t *testing.T) {
	l := newLake(t)
	now := noon
	l.now = func() time.Time { return now }
	s := &slowList{memoryStore: newMemoryStore(), each: func(context.Context) error { now = now.Add(time.Hour); return nil }}
	l.store = s
	for p := range int32(10) {
		if empty, err := l.Empty(t.Context(), sink.Partition{Topic: "new", Number: p}); err != nil || !empty {
			t.Fatal(empty, err)
		}
	}
	if n := s.lists.Load(); n != 1 {
		t.Errorf("%d lists", n)
	}
	now = now.Add(listFor + 1)
	if _, err := l.Empty(t.Context(), shopOrders); err != nil || s.lists.Load() != 2 {
		t.Errorf("%d lists, with an old one", s.lists.Load())
	}
}

// TestALongListHoldsUpNobodyElse: partitions that have their offset go on, those
// that wait for the list end with their lease, and when the one that makes it
// ends, another does.
func TestALongListHoldsUpNobodyElse(t *testing.T) {
	l := newLake(t)
	listing := make(chan struct{}, 2)
	s := &slowList{memoryStore: newMemoryStore(), each: func(ctx context.Context) error {
		listing <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	l.store = s
	first, endFirst := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { _, err := l.Empty(first, sink.Partition{Topic: "new"}); ended <- err }()
	<-listing
	r := openRange(t, l)
	if err := r.Append([]*cdc.Record{at(0, 0)}); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	advanced := make(chan error, 1)
	go func() { advanced <- r.Advance(soon) }()
	select {
	case err := <-advanced:
		if err != nil {
			t.Error(err)
		}
	case <-soon.Done():
		t.Fatal("a partition that has its offset waits for the list")
	}
	brief, cancelBrief := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelBrief()
	if _, err := l.Empty(brief, sink.Partition{Topic: "new", Number: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lease ended: %v", err)
	}
	second, endSecond := context.WithCancel(t.Context())
	go func() { _, err := l.Empty(second, sink.Partition{Topic: "new", Number: 2}); ended <- err }()
	endFirst()
	<-listing
	endSecond()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// silentBucket is a bucket whose server answers as told, and how long it may be silent.
func silentBucket(t *testing.T, patience time.Duration, answer http.HandlerFunc) *bucket {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	l := newLake(t, "store.url="+server.URL, "s3.bucket.name=b", "aws.access.key.id=a", "aws.secret.access.key=b", "s3.part.retries=0")
	c := l.config.S3
	if c.patience != silence {
		t.Errorf("a server may be silent for %v", c.patience)
	}
	c.patience = patience
	b, err := newS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAServerThatFallsSilent within a request or an answer is noticed, or the
// range would wait for ever and say nothing.
func TestAServerThatFallsSilent(t *testing.T) {
	const patience, enough = 200 * time.Millisecond, 3 * time.Second
	fallSilent := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(enough): // the end of a connection is not seen behind an unread body
		}
	}
	for name, silent := range map[string]http.HandlerFunc{
		"within a request": func(w http.ResponseWriter, r *http.Request) { fallSilent(r) },
		"within an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n ") // as S3 does while it puts parts together
			_ = http.NewResponseController(w).Flush()
			fallSilent(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := silentBucket(t, patience, func(w http.ResponseWriter, r *http.Request) {
				switch op := operation(r); {
				case op == "CreateMultipartUpload":
					_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
				case op == "UploadPart" && name != "within a request":
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("ETag", `"e"`)
				default:
					silent(w, r)
				}
			}).upload("a.parquet")
			ctx, cancel := context.WithTimeout(t.Context(), enough)
			defer cancel()
			err := u.part(ctx, noise(26<<20))
			if err == nil {
				err = u.commit(ctx, noise(100), false)
			}
			if err == nil || ctx.Err() != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestASlowServerIsWaitedFor as long as it takes or gives something now and then.
func TestASlowServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	u := silentBucket(t, patience, func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 1<<20)
		for {
			if _, err := io.ReadFull(r.Body, buffer); err != nil {
				break
			}
			time.Sleep(patience / 40) // what the kernel keeps, some 16 MB, is read within the patience
		}
		w.Header().Set("ETag", `"e"`)
	}).upload("a.parquet")
	began := time.Now()
	if err := u.commit(t.Context(), noise(100<<20), false); err != nil || time.Since(began) < 2*patience {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
