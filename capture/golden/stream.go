package golden

import (
	"context"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture/mysql"
)

// CompareStream replays the case's log and compares what comes of it with
// Debezium's events of the stream, in report.
func (c *Case) CompareStream(ctx context.Context, log *zap.Logger, report *Report) error {
	if c.Properties["snapshot.mode"] == "initial_only" {
		return nil // there is none
	}
	defer func(start time.Time) { report.Took += time.Since(start) }(time.Now())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	recording, err := c.recording()
	if err != nil {
		return err
	}
	r, err := newRun(c, map[string]string{"snapshot.mode": "no_data"}, log)
	if err != nil {
		return err
	}
	defer r.close()
	got, err := r.publish(ctx, mysql.Replay(recording, r.settings, log))
	if err != nil {
		return err
	}
	k := &comparison{c: c, part: PartStream, topics: r.topics(), report: report, failed: r.failed}
	k.run(k.ofPart(c.Records, got), k.ours(got))
	return nil
}

// recording is what is known of the server at the start of the stream.
func (c *Case) recording() (mysql.Recording, error) {
	r := mysql.Recording{
		GTIDs: c.Meta.StreamStart.MySQL + c.Meta.StreamStart.MariaDB, MariaDB: c.MariaDB(), Version: c.Meta.Server.Version,
		Charset: c.Meta.Server.Charset, Collation: c.Meta.Server.Collation, Caseless: c.Meta.Server.Caseless != "0",
		Databases: map[string]mysql.RecordedDatabase{},
	}
	for _, name := range c.Meta.BinlogFiles {
		r.Files = append(r.Files, filepath.Join(c.Dir, "binlog", name))
	}
	databases, err := c.databases()
	for name, d := range databases {
		r.Databases[name] = mysql.RecordedDatabase{Charset: d.charset, Collation: d.collation, Tables: d.tables}
	}
	return r, err
}
