package servers

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ObjectStore is a running S3 server and the account to use. Buckets are addressed by path.
type ObjectStore struct {
	Endpoint  string // URL
	AccessKey string
	SecretKey string
	Region    string
}

// S3 returns the shared S3 server.
func S3(tb testing.TB) ObjectStore {
	tb.Helper()
	_, nodes := running(tb, KindS3)
	return objectStoreOf(nodes[0])
}

func objectStoreOf(n *node) ObjectStore {
	return ObjectStore{
		Endpoint: "http://" + address(n.ports[0]), AccessKey: s3AccessKey, SecretKey: s3SecretKey, Region: s3Region,
	}
}

// Client returns a client of the store.
func (o ObjectStore) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(o.Endpoint), Region: o.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, ""),
	})
}

// Bucket creates an empty bucket with a name of its own and removes it with all objects when the test ends.
func (o ObjectStore) Bucket(tb testing.TB) string {
	tb.Helper()
	name, client := Unique(tb, "t"), o.Client()
	if _, err := client.CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		tb.Fatalf("creating bucket %s: %v", name, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := removeBucket(ctx, client, name); err != nil {
			tb.Logf("removing bucket %s: %v", name, err)
		}
	})
	return name
}

// removeBucket removes a bucket with all objects in it.
func removeBucket(ctx context.Context, client *s3.Client, name string) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: object.Key}); err != nil {
				return err
			}
		}
	}
	_, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name})
	return err
}
