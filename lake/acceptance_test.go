package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/consumers/sinktest"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// parquetRow is what the suite compares of a file.
type parquetRow struct {
	ID        int64   `parquet:"id,optional"`
	Name      *string `parquet:"name,optional"`
	Qty       *int32  `parquet:"qty,optional"`
	Deleted   bool    `parquet:"__deleted,optional"`
	Partition int32   `parquet:"__partition,optional"`
	Offset    int64   `parquet:"__offset,optional"`
}

// rowsOf reads a file of the suite.
func rowsOf(body []byte) ([]sinktest.RangeRow, error) {
	rows, err := parquet.Read[parquetRow](bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, err
	}
	var out []sinktest.RangeRow
	for _, r := range rows {
		row := sinktest.RangeRow{Partition: r.Partition, Offset: r.Offset, Deleted: r.Deleted, ID: r.ID}
		if r.Name != nil {
			row.Name = *r.Name
		}
		if r.Qty != nil {
			row.Qty = *r.Qty
		}
		out = append(out, row)
	}
	return out, nil
}

// badItem makes a record one that can never be rendered.
func badItem(r *cdc.Record) { r.Value.Values[3] = cdc.Absent() }

// TestRangesInADirectory runs the acceptance suite.
func TestRangesInADirectory(t *testing.T) {
	sinktest.TestRangeWriter(t, func(t *testing.T) sinktest.RangeFixture {
		root := t.TempDir()
		return sinktest.RangeFixture{
			Topic: "items",
			New: func() (sink.RangeWriter, func(), error) {
				l, err := tryLake(t, "store.url=file://"+root, "rotate.interval.ms=3600000")
				return l, nil, err
			},
			Read: func() (map[string][]sinktest.RangeRow, error) { return directoryRows(root) },
			Bad:  badItem,
			Faults: []sinktest.Fault{{Name: "a file in the way", Begin: func() (func(), error) {
				if err := os.MkdirAll(filepath.Join(root, "topics"), 0o755); err != nil {
					return nil, err
				}
				was, way := filepath.Join(root, "topics"), filepath.Join(root, "moved")
				if err := os.Rename(was, way); err != nil {
					return nil, err
				}
				return func() { _ = os.Remove(was); _ = os.Rename(way, was) }, os.WriteFile(was, nil, 0o644)
			}}},
		}
	})
}

func directoryRows(root string) (map[string][]sinktest.RangeRow, error) {
	out := map[string][]sinktest.RangeRow{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		body, err := os.ReadFile(path)
		if err == nil {
			out[path], err = rowsOf(body)
		}
		return err
	})
	return out, err
}

// gateway passes requests on to the S3 server, and makes trouble when told.
type gateway struct {
	*httptest.Server
	refuse atomic.Bool // answer 503
	mute   atomic.Bool // pass on, and cut the connection instead of answering
	muted  atomic.Int32
	only   atomic.Value // of requests whose method and query this func picks
}

func newGateway(t testing.TB, target string) *gateway {
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = u.Scheme, u.Host // the Host header is signed
		r.Out.Host = r.In.Host
	}}
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pick, _ := g.only.Load().(func(*http.Request) bool)
		chosen := pick == nil || pick(r)
		switch {
		case chosen && g.refuse.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case chosen && g.mute.Load():
			g.muted.Add(1)
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// bucketOf is a fresh bucket behind a gateway, with the properties to reach it.
func bucketOf(t testing.TB) (client *s3.Client, name string, g *gateway, properties []string) {
	t.Helper()
	server := servers.S3(t)
	name = server.Bucket(t)
	g = newGateway(t, server.Endpoint)
	properties = []string{
		"store.url=" + g.URL, "s3.bucket.name=" + name, "s3.region=" + server.Region,
		"aws.access.key.id=" + server.AccessKey, "aws.secret.access.key=" + server.SecretKey, "s3.retry.backoff.ms=5", "s3.part.retries=1",
	}
	return server.Client(), name, g, properties
}

func objectsOf(ctx context.Context, client *s3.Client, name string) (map[string][]byte, error) {
	out := map[string][]byte{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: o.Key})
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(got.Body)
			if err := errors.Join(err, got.Body.Close()); err != nil {
				return nil, err
			}
			out[*o.Key] = body
		}
	}
	return out, nil
}

// TestRangesInABucket runs the acceptance suite over a real S3 server.
func TestRangesInABucket(t *testing.T) {
	sinktest.TestRangeWriter(t, func(t *testing.T) sinktest.RangeFixture {
		client, name, g, properties := bucketOf(t)
		trouble := func(what string, flag *atomic.Bool) sinktest.Fault {
			return sinktest.Fault{Name: what, Begin: func() (func(), error) {
				flag.Store(true)
				return func() { flag.Store(false) }, nil
			}}
		}
		return sinktest.RangeFixture{
			Topic: "items",
			New: func() (sink.RangeWriter, func(), error) {
				l, err := tryLake(t, append(properties, "rotate.interval.ms=3600000")...)
				return l, nil, err
			},
			Read: func() (map[string][]sinktest.RangeRow, error) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				objects, err := objectsOf(ctx, client, name)
				if err != nil {
					return nil, err
				}
				out := map[string][]sinktest.RangeRow{}
				for key, body := range objects {
					if out[key], err = rowsOf(body); err != nil {
						return nil, fmt.Errorf("%s: %w", key, err)
					}
				}
				return out, nil
			},
			Bad:    badItem,
			Faults: []sinktest.Fault{trouble("the server refuses", &g.refuse), trouble("answers are lost", &g.mute)},
		}
	})
}
