package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/weir-cdc/weir/deploy/local/processes"
)

// openDatabase makes a database with the table.
func (b *bench) openDatabase(ctx context.Context, name string) (*sql.DB, error) {
	db, err := sql.Open("mysql", b.mysql.DSN(""))
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, errors.Join(fmt.Errorf("making database %s: %w", name, err), db.Close())
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	if db, err = sql.Open("mysql", b.mysql.DSN(name)); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return nil, errors.Join(fmt.Errorf("making the table: %w", err), db.Close())
	}
	return db, nil
}

// drop drops the benchmark's database; what is left of it is said.
func (b *bench) drop(db *sql.DB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := db.ExecContext(ctx, "DROP DATABASE "+name); err != nil {
		b.say("dropping database %s: %v", name, err)
	}
}

// cost is what a run took.
type cost struct {
	cpu, wall time.Duration
	rss       int64 // peak, bytes
}

func (c cost) print(name string, events int) {
	fmt.Printf("%-10s %12d %12.0f %14.2f %7d MB %10.1f\n", name, events, float64(events)/c.wall.Seconds(),
		float64(c.cpu.Microseconds())/float64(events), c.rss>>20, c.wall.Seconds())
}

// stopPatience is how long a capture may take to end.
const stopPatience = 30 * time.Second

// measure runs weir-capture over a database until reached has no objection, and says
// what it took, start and stop included; prefix names its topics and offsets.
func (b *bench) measure(ctx context.Context, database, prefix, mode string, reached func(context.Context, *processes.Component) error) (cost, error) {
	began := time.Now()
	c, err := b.group.StartComponent(ctx, filepath.Join(b.dir, "weir-capture"), processes.Connector{Name: prefix, Config: map[string]string{
		"connector.class":   "io.debezium.connector.mysql.MySqlConnector",
		"database.hostname": b.mysql.Host, "database.port": fmt.Sprint(b.mysql.Port), "database.user": b.mysql.User, "database.password": b.mysql.Password,
		"topic.prefix": prefix, "database.include.list": database, "bootstrap.servers": b.kafka, "snapshot.mode": mode,
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": fmt.Sprint(b.schemas),
		"producer.override.compression.type": b.compression, "offset.storage.topic": prefix + "-offsets", "topic.creation.default.partitions": "1",
	}})
	if err != nil {
		return cost{}, err
	}
	if err := c.Until(ctx, func(ctx context.Context) error { return reached(ctx, c) }); err != nil {
		return cost{}, err
	}
	took := cost{wall: time.Since(began)}
	if took.rss, err = c.PeakRSS(); err != nil {
		return cost{}, err
	}
	err = c.Stop(stopPatience)
	took.cpu = c.CPU()
	return took, err
}

// hasPosition is that the capture has stored where it is in the log.
func hasPosition(ctx context.Context, c *processes.Component) error {
	s, err := c.Status(ctx)
	if err == nil && s.Position == "" {
		err = errors.New("it has no position yet")
	}
	return err
}

// hasRead is that the snapshot has come to its end.
func hasRead(ctx context.Context, c *processes.Component) error {
	s, err := c.Status(ctx)
	if err == nil && (s.Snapshot == nil || s.Snapshot.State != "COMPLETED") {
		err = errors.New("the snapshot is not complete")
	}
	return err
}

// hasWritten is that so many records are committed to Kafka.
func hasWritten(records int) func(context.Context, *processes.Component) error {
	return func(ctx context.Context, c *processes.Component) error {
		all, err := c.Metrics(ctx)
		if n := all["weir_capture_records_total"]; err == nil && n < float64(records) {
			err = fmt.Errorf("%.0f of %d records are written", n, records)
		}
		return err
	}
}
