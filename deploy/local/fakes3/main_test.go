package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

func TestObjectsAreFiles(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "lake", "objects")
	handler, err := newHandler(folder, "shop-lake")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	client := servers.ObjectStore{Endpoint: server.URL, AccessKey: "any", SecretKey: "any", Region: "us-east-1"}.Client()
	bucket, key := "shop-lake", "topics/orders/2026/orders+0+0000000000+00000000.snappy.parquet"
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("rows")}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, key)); err != nil || string(text) != "rows" {
		t.Errorf("the file has %q, %v", text, err)
	}
	prefix := "topics/"
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != key {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestTheServerEndsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-listen", "127.0.0.1:0", "-folder", filepath.Join(t.TempDir(), "x", "y"), "-bucket", "b-1"}); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	if err := run(t.Context(), []string{"-folder", "", "-bucket", "b-1"}); err == nil {
		t.Error("no folder is no error")
	}
}
