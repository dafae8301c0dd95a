package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// startPatience is how long an embedded server may take to answer.
const startPatience = 20 * time.Second

// startBroker runs kfake.
func (d *demo) startBroker(ctx context.Context) error {
	began := time.Now()
	port, err := processes.FreePort(ctx)
	if err != nil {
		return err
	}
	d.at.kafka = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p, err := d.group.Start(processes.Command{Name: "kfake", Program: d.binary("kfake"), Args: []string{"-port", strconv.Itoa(port)}})
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(d.at.kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := p.Until(ctx, client.Ping); err != nil {
		return err
	}
	d.line("kafka (embedded)", "started", fmt.Sprintf("%-16s %s", d.at.kafka, seconds(began)))
	return nil
}

// startStore runs gofakes3.
func (d *demo) startStore(ctx context.Context) error {
	began := time.Now()
	port, err := processes.FreePort(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	d.at.objects = filepath.Join(d.data, "lake")
	d.at.s3 = servers.ObjectStore{Endpoint: "http://" + address, AccessKey: "shop", SecretKey: "shop-secret", Region: "us-east-1"}
	p, err := d.group.Start(processes.Command{Name: "fakes3", Program: d.binary("fakes3"),
		Args: []string{"-listen", address, "-folder", d.at.objects, "-bucket", bucket}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	name, client := bucket, d.at.s3.Client()
	err = p.Until(ctx, func(ctx context.Context) error {
		_, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
		return err
	})
	if err == nil {
		err = d.readyUploads(ctx, client)
	}
	if err != nil {
		return err
	}
	d.line("s3 (embedded)", "started", fmt.Sprintf("%-16s %s", address, seconds(began)))
	return nil
}

// readyUploads begins an upload and drops it: gofakes3 refuses to list a bucket's
// uploads before there was one.
func (d *demo) readyUploads(ctx context.Context, client *s3.Client) error {
	name, key := bucket, "none"
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &name, Key: &key})
	if err == nil {
		_, err = client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &name, Key: &key, UploadId: upload.UploadId})
	}
	if err != nil {
		return fmt.Errorf("preparing the S3 server: %w", err)
	}
	return nil
}

// openReal creates the bucket in the real S3 server.
func (d *demo) openReal(ctx context.Context) error {
	name := bucket
	if _, err := d.at.s3.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		return fmt.Errorf("creating bucket %s: %w", bucket, err)
	}
	d.at.objects = filepath.Join(d.data, "shared", "s3", "objects", bucket)
	return nil
}
