package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// lake measures weir-lake: hourly Parquet files with snappy. The bare loader is
// parquet-go encoding the rows of these files into memory.
func (b *bench) lake(ctx context.Context, t *topic) error {
	if err := b.local.Up(ctx, servers.KindS3); err != nil {
		return err
	}
	store, err := b.local.S3(ctx)
	if err != nil {
		return err
	}
	bucket := files{client: store.Client(), bucket: b.id}
	if _, err := bucket.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.id}); err != nil {
		return fmt.Errorf("making a bucket: %w", err)
	}
	r := result{name: "lake", bareName: "parquet-go, same rows, into memory"}
	// A range ends with its hour, and the last one by its count.
	r.sink, err = b.runSink(ctx, t, sinkRun{"weir-lake", b.id + "-lake", map[string]string{
		"connector.class": "io.confluent.connect.s3.S3SinkConnector", "store.url": store.Endpoint, "s3.bucket.name": b.id, "s3.region": store.Region,
		"aws.access.key.id": store.AccessKey, "aws.secret.access.key": store.SecretKey,
		"partitioner.class": "io.confluent.connect.storage.partitioner.HourlyPartitioner", "flush.size": fmt.Sprint(t.each / hours),
		"parquet.codec": "snappy", "behavior.on.null.values": "write",
	}})
	if err != nil {
		return err
	}
	b.say("encoding the same rows with parquet-go")
	rows, spent, err := bucket.encodeAgain(ctx)
	if err != nil {
		return err
	}
	if rows != t.records {
		return fmt.Errorf("the lake has %d rows of %d records", rows, t.records)
	}
	r.bare = cost{records: rows, wall: spent}
	b.results = append(b.results, r)
	return nil
}

// files are what a run leaves in its bucket.
type files struct {
	client *s3.Client
	bucket string
}

// encodeAgain reads every file, removes it, and encodes its rows into memory:
// how many, and how long the encoding alone took.
func (f files) encodeAgain(ctx context.Context) (rows int, spent time.Duration, err error) {
	pages := s3.NewListObjectsV2Paginator(f.client, &s3.ListObjectsV2Input{Bucket: &f.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, 0, fmt.Errorf("listing files: %w", err)
		}
		for _, object := range page.Contents {
			if !strings.HasSuffix(aws.ToString(object.Key), ".parquet") {
				continue
			}
			n, took, err := f.encodeFile(ctx, object.Key)
			if err != nil {
				return 0, 0, fmt.Errorf("encoding %s again: %w", aws.ToString(object.Key), err)
			}
			rows, spent = rows+n, spent+took
		}
	}
	_, err = f.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &f.bucket})
	if err != nil {
		return 0, 0, fmt.Errorf("removing the bucket: %w", err)
	}
	return rows, spent, nil
}

func (f files) encodeFile(ctx context.Context, key *string) (int, time.Duration, error) {
	object, err := f.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.bucket, Key: key})
	if err != nil {
		return 0, 0, err
	}
	text, err := io.ReadAll(object.Body)
	_ = object.Body.Close() // read to its end
	if err != nil {
		return 0, 0, err
	}
	file, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return 0, 0, err
	}
	rows, err := rowsOf(file)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	w := parquet.NewGenericWriter[any](&bytes.Buffer{}, file.Schema(), parquet.Compression(&parquet.Snappy))
	if _, err := w.WriteRows(rows); err != nil {
		return 0, 0, err
	}
	if err := w.Close(); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	_, err = f.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.bucket, Key: key})
	return len(rows), took, err
}

// rowsOf are the rows of a file, with memory of their own.
func rowsOf(file *parquet.File) (out []parquet.Row, err error) {
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		buffer := make([]parquet.Row, 500)
		for {
			n, err := rows.ReadRows(buffer)
			for _, row := range buffer[:n] {
				out = append(out, row.Clone())
			}
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
