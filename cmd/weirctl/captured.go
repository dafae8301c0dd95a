package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/internal/compare"
	"github.com/weir-cdc/weir/internal/config"
)

// captured is the source as a capture's configuration sees it.
type captured struct {
	config capture.Config
	db     *sql.DB
}

// openCaptured connects to the source's database with the capture's account.
func openCaptured(v *config.Values) (*captured, error) {
	cfg, errCapture := capture.NewConfig(v)
	connection, errConnection := mysql.NewConnection(v, cfg.Prefix)
	if err := v.Complete(nil, errors.Join(errCapture, errConnection)); err != nil {
		return nil, err
	}
	if err := checkTransforms("weir-capture", v); err != nil {
		return nil, err
	}
	options := mysqldriver.NewConfig()
	options.User, options.Passwd, options.Net, options.Addr = connection.User, connection.Password.Reveal(), "tcp", connection.Address()
	options.TLS, options.AllowFallbackToPlaintext, options.Timeout = connection.TLS, connection.Preferred, connection.ConnectTimeout
	connector, err := mysqldriver.NewConnector(options)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return &captured{cfg, sql.OpenDB(connector)}, nil
}

// system are databases that are never captured.
var system = []string{"information_schema", "mysql", "performance_schema", "sys"}

// tables are the captured tables, all of only if that is not empty.
func (c *captured) tables(ctx context.Context, only []string) ([][2]string, error) {
	rows, err := c.db.QueryContext(ctx, "SELECT schema_name FROM information_schema.schemata ORDER BY schema_name")
	if err != nil {
		return nil, fmt.Errorf("listing databases: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	var databases []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("listing databases: %w", err)
		}
		if !slices.Contains(system, name) && c.config.Filter.Database(name) {
			databases = append(databases, name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing databases: %w", err)
	}
	all, err := compare.Tables(ctx, c.db, databases...)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t [2]string) bool { return !c.config.Filter.Table(t[0], t[1]) })
	for _, name := range only {
		if !slices.ContainsFunc(all, func(t [2]string) bool { return t[0]+"."+t[1] == name }) {
			return nil, fmt.Errorf("%w: --table %s is not a captured table; want database.table", errUsage, name)
		}
	}
	if len(only) > 0 {
		all = slices.DeleteFunc(all, func(t [2]string) bool { return !slices.Contains(only, t[0]+"."+t[1]) })
	}
	return all, nil
}

// topic is the topic that a table's changes are in, behind the capture's
// transforms.
func (c *captured) topic(table [2]string) (string, error) {
	names := mysql.SchemaOptions{Prefix: c.config.Prefix, Delimiter: c.config.Delimiter}
	topic := names.TopicName(table[0], table[1])
	to, ok := c.config.Transforms.Route(topic)
	if !ok {
		return "", fmt.Errorf("%w: the capture's transforms do not say where the records of %s go", errUsage, topic)
	}
	return to, nil
}

// key is the columns of message.key.columns, nil where the table's own key
// counts.
func (c *captured) key(table [2]string) []string {
	columns, _ := c.config.Filter.KeyColumns(table[0], table[1])
	return columns
}

// excludes names a column that the capture leaves out, "" if there is none.
func (c *captured) excludes(columns []compare.Column, table [2]string) string {
	for _, column := range columns {
		if !c.config.Filter.Column(table[0], table[1], column.Name) {
			return column.Name
		}
	}
	return ""
}
