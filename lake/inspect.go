package lake

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Client connects to the bucket of S3.Bucket as the sink does, for tools that
// read; Directory is for those of a lake in a directory.
func (c *Config) Client(ctx context.Context) (*s3.Client, error) {
	b, err := newS3(ctx, c.S3)
	if err != nil {
		return nil, err
	}
	return b.client, nil
}

// ColumnNames are the names of the added columns by what they hold: op, deleted,
// version, ts_ms, topic, partition, offset. Those that are not added are missing.
func (c *Config) ColumnNames() map[string]string {
	names := make(map[string]string, len(c.Columns))
	for _, column := range c.Columns {
		names[additionNames[column.what]] = column.Name
	}
	return names
}
