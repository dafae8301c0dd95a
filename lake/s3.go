package lake

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// bucket is a store in an S3 bucket. A small file is one PUT, a large one a
// multipart upload; both make it visible whole, and both may be sent again when
// the answer was lost.
type bucket struct {
	client *s3.Client
	name   string
	config S3
}

// newS3 prepares the client of a bucket. It reads credentials and certificates
// but does not connect.
func newS3(ctx context.Context, c S3) (*bucket, error) {
	transport, err := httpClient(c)
	if err != nil {
		return nil, err
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(c.Region), awsconfig.WithHTTPClient(transport),
		awsconfig.WithRetryer(func() aws.Retryer { return retryer(c) }),
	}
	if c.AccessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.Secret.Reveal(), c.Session.Reveal())))
	}
	if c.Endpoint != "" { // not every S3 server knows the newer checksums
		options = append(options,
			awsconfig.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
			awsconfig.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})
	return &bucket{client: client, name: c.Bucket, config: c}, nil
}

// answerTimeout is how long a server may take to begin its answer.
const answerTimeout = time.Minute

// silence is how long nothing may move on a connection while a request or its
// answer is under way. An upload may take as long as it needs, if only something
// arrives. It is longer than answerTimeout: while the server puts the parts of a
// large file together, S3 sends a space now and then.
const silence = 2 * time.Minute

// patientConn ends when nothing moves on it for so long, in either direction: what
// is written proves the connection to whoever waits to read, as while a body is sent.
type patientConn struct {
	net.Conn
	patience time.Duration
}

func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// writeAtOnce bounds what has to be taken within the patience.
const writeAtOnce = 64 << 10

func (c *patientConn) Write(b []byte) (n int, err error) {
	for more := true; more && err == nil; more = n < len(b) {
		if err = c.SetDeadline(time.Now().Add(c.patience)); err == nil {
			var written int
			written, err = c.Conn.Write(b[n:min(len(b), n+writeAtOnce)])
			n += written
		}
	}
	return n, err
}

func httpClient(c S3) (*awshttp.BuildableClient, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading store.ssl.ca.location: %w", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading store.ssl.ca.location: %s holds no PEM certificate", c.CAFile)
		}
	}
	proxy, err := url.Parse(c.Proxy)
	if err != nil {
		return nil, fmt.Errorf("reading s3.proxy.url: %w", err)
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = tlsConfig
		t.ResponseHeaderTimeout = answerTimeout
		t.MaxIdleConnsPerHost = 16
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &patientConn{connection, c.patience}, nil
		}
		if c.Proxy != "" {
			t.Proxy = http.ProxyURL(proxy)
		}
	}), nil
}

// maxBackoff is the longest pause between the quick attempts of one request.
const maxBackoff = 10 * time.Second

// retryer makes s3.part.retries quick attempts; after them the runtime waits.
func retryer(c S3) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = c.Retries + 1
		o.MaxBackoff = maxBackoff
		backoff := retry.NewExponentialJitterBackoff(maxBackoff)
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			d, err := backoff.BackoffDelay(attempt, err)
			return min(max(d, c.Backoff), c.Backoff<<min(attempt, 16)), err
		})
	})
}

func (b *bucket) upload(name string) upload { return &objectUpload{bucket: b, name: name} }

func (b *bucket) probe(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	return err
}

func (b *bucket) exists(ctx context.Context, name string) (bool, error) {
	_, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &name})
	if answered(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (b *bucket) list(ctx context.Context, prefix string, each func(name string)) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for i := range page.Contents {
			each(aws.ToString(page.Contents[i].Key))
		}
	}
	return nil
}

func (b *bucket) remove(ctx context.Context, name string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &name})
	return err
}

func (b *bucket) sweep(ctx context.Context, prefix string, match func(name string) bool) error {
	var errs []error
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for i := range page.Uploads {
			if u := &page.Uploads[i]; match(aws.ToString(u.Key)) {
				errs = append(errs, b.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId)))
			}
		}
	}
	return errors.Join(errs...)
}

func (b *bucket) abort(ctx context.Context, name, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &name, UploadId: &id})
	if errorCode(err) == "NoSuchUpload" || answered(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// answered reports whether err is an answer with that status.
func answered(err error, status int) bool {
	var response *awshttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() == status
}

// errorCode is the code of S3's answer, or "".
func errorCode(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// contentType is that of Parquet files.
const contentType = "application/vnd.apache.parquet"

// objectUpload is one object on its way.
type objectUpload struct {
	*bucket
	name  string
	id    string // of the multipart upload
	parts []types.CompletedPart
	tail  bool // the last part was sent
	done  bool
}

func (u *objectUpload) part(ctx context.Context, body []byte) error {
	if u.id == "" {
		begun, err := u.client.CreateMultipartUpload(ctx, u.create())
		if err != nil {
			return err
		}
		if u.id = aws.ToString(begun.UploadId); u.id == "" { // without it a part would be an object
			return errors.New("the answer to the beginning of an upload names none")
		}
	}
	number := int32(len(u.parts) + 1)
	sent, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.bucket.name, Key: &u.name, UploadId: &u.id, PartNumber: &number, Body: bytes.NewReader(body),
	})
	if errorCode(err) == "NoSuchUpload" {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if err != nil {
		return err
	}
	if aws.ToString(sent.ETag) == "" {
		return fmt.Errorf("the answer to part %d has no ETag", number)
	}
	u.parts = append(u.parts, types.CompletedPart{ETag: sent.ETag, PartNumber: &number})
	return nil
}

func (u *objectUpload) commit(ctx context.Context, rest []byte, keep bool) error {
	if u.done {
		return nil
	}
	var err error
	if u.id == "" {
		err = u.put(ctx, rest, keep)
	} else {
		err = u.complete(ctx, rest, keep)
	}
	u.done = err == nil
	return err
}

// put sends the whole object.
func (u *objectUpload) put(ctx context.Context, body []byte, keep bool) error {
	request := u.putRequest(body)
	if keep {
		request.IfNoneMatch = aws.String("*")
	}
	_, err := u.client.PutObject(ctx, request)
	if keep && answered(err, http.StatusPreconditionFailed) {
		return nil // it is there, and stays
	}
	if keep && answered(err, http.StatusNotImplemented) {
		return u.putUnlessThere(ctx, body)
	}
	return err
}

// putUnlessThere is for servers without conditional writes.
func (u *objectUpload) putUnlessThere(ctx context.Context, body []byte) error {
	there, err := u.exists(ctx, u.name)
	if err != nil || there {
		return err
	}
	_, err = u.client.PutObject(ctx, u.putRequest(body))
	return err
}

// complete sends the last part and puts the object together.
func (u *objectUpload) complete(ctx context.Context, rest []byte, keep bool) error {
	if !u.tail && len(rest) > 0 {
		if err := u.part(ctx, rest); err != nil {
			return u.lost(ctx, err)
		}
	}
	u.tail = true
	request := &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket.name, Key: &u.name, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	if keep {
		request.IfNoneMatch = aws.String("*")
	}
	answer, err := u.client.CompleteMultipartUpload(ctx, request)
	switch {
	case err == nil && aws.ToString(answer.ETag) == "": // it began with 200, and ended before it said more
		return errors.New("the answer to the completion of an upload is empty")
	case err == nil:
		return nil
	case keep && answered(err, http.StatusPreconditionFailed):
		return u.bucket.abort(ctx, u.name, u.id)
	case keep && answered(err, http.StatusNotImplemented):
		request.IfNoneMatch = nil
		_, err = u.client.CompleteMultipartUpload(ctx, request)
	}
	if spoilt[errorCode(err)] {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return u.lost(ctx, err)
}

// spoilt are answers to a completion that no attempt with the same parts will
// change: the server knows other parts than it said, or another write of the name
// came between, after which S3 wants a new upload.
var spoilt = map[string]bool{"InvalidPart": true, "InvalidPartOrder": true, "ConditionalRequestConflict": true}

// lost tells an upload that is gone from one that was completed before, whose
// answer did not arrive. Whoever completed it, the object is right: its name
// belongs to this range alone, and only the renderings of an accepted intent are
// ever completed.
func (u *objectUpload) lost(ctx context.Context, err error) error {
	if errorCode(err) != "NoSuchUpload" {
		return err
	}
	there, look := u.exists(ctx, u.name)
	switch {
	case look != nil:
		return look
	case there:
		return nil
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

func (u *objectUpload) abort(ctx context.Context) {
	if u.id != "" && !u.done {
		_ = u.bucket.abort(ctx, u.name, u.id) // what stays behind is swept later
	}
}

func (u *objectUpload) create() *s3.CreateMultipartUploadInput {
	c := &u.config
	in := &s3.CreateMultipartUploadInput{
		Bucket: &u.bucket.name, Key: &u.name, ContentType: aws.String(contentType),
		ServerSideEncryption: types.ServerSideEncryption(c.Encryption), ACL: types.ObjectCannedACL(c.ACL), StorageClass: types.StorageClass(c.StorageClass),
	}
	if c.KMSKey != "" {
		in.SSEKMSKeyId = &c.KMSKey
	}
	return in
}

func (u *objectUpload) putRequest(body []byte) *s3.PutObjectInput {
	c := &u.config
	in := &s3.PutObjectInput{
		Bucket: &u.bucket.name, Key: &u.name, ContentType: aws.String(contentType), Body: bytes.NewReader(body),
		ServerSideEncryption: types.ServerSideEncryption(c.Encryption), ACL: types.ObjectCannedACL(c.ACL), StorageClass: types.StorageClass(c.StorageClass),
	}
	if c.KMSKey != "" {
		in.SSEKMSKeyId = &c.KMSKey
	}
	return in
}
