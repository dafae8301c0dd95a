package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Store is where a lake's files are.
type Store interface {
	// List calls each with the name of every file whose name begins with prefix.
	List(ctx context.Context, prefix string, each func(name string) error) error
	// Open returns a file, to be read at any place and closed.
	Open(ctx context.Context, name string) (*os.File, error)
}

// Bucket is a Store in S3.
type Bucket struct {
	Client *s3.Client
	Name   string
}

// List lists objects.
func (b Bucket) List(ctx context.Context, prefix string, each func(string) error) error {
	pages := s3.NewListObjectsV2Paginator(b.Client, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing bucket %s: %w", b.Name, err)
		}
		for i := range page.Contents {
			if err := each(aws.ToString(page.Contents[i].Key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Open copies an object into a file without a name, which is gone when it is
// closed.
func (b Bucket) Open(ctx context.Context, name string) (*os.File, error) {
	object, err := b.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &name})
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Body.Close() }() // all of it was read
	file, err := os.CreateTemp("", "weir-compare-*.parquet")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(file, object.Body)
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Directory is a Store in a local folder.
type Directory string

// List lists files.
func (d Directory) List(ctx context.Context, prefix string, each func(string) error) error {
	err := filepath.WalkDir(string(d), func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(string(d), path)
		if name = filepath.ToSlash(name); err != nil || !strings.HasPrefix(name, prefix) {
			return err
		}
		return each(name)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Open opens a file.
func (d Directory) Open(_ context.Context, name string) (*os.File, error) {
	return os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
}
