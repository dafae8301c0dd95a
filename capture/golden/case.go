// Package golden compares what a capture publishes with what the real Debezium
// published: the stream of changes from the same bytes of the server's log,
// without a server, and the snapshot from a server on which the same statements
// were run. A folder of cases has one folder a case: connector.json, meta.json,
// setup.sql, schema_before_stream.txt, schema_history.jsonl, binlog/ and
// events.jsonl, every record of every topic.
package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Case is one recorded case.
type Case struct {
	Name, Dir string
	// Properties are the connector's, as they were posted.
	Properties map[string]string
	Meta       Meta
	// Records are every record of every topic, by partition in offset order.
	Records []Record

	streamed map[partition]int // how many of a partition were taken for the stream's, where records do not say so
}

// Meta is what was known of the server when the case was recorded.
type Meta struct {
	Server struct {
		Version, Flavour string
		TimeZone         string `json:"time_zone"`
		SQLMode          string `json:"sql_mode"`
		Charset          string `json:"character_set_server"`
		Collation        string `json:"collation_server"`
		Caseless         string `json:"lower_case_table_names"`
	}
	StreamStart struct {
		File    string
		Pos     uint64
		MySQL   string `json:"gtid_executed"`
		MariaDB string `json:"gtid_binlog_pos"`
	} `json:"stream_start"`
	BinlogFiles []string `json:"binlog_files"`
	// Failure is why the connector died, if it did. Records that were queued
	// then are missing.
	Failure string
}

// MariaDB reports whether the case is of MariaDB.
func (c *Case) MariaDB() bool { return c.Meta.Server.Flavour == "mariadb" }

// Prefix is topic.prefix.
func (c *Case) Prefix() string { return c.Properties["topic.prefix"] }

// Load reads the case of a folder.
func Load(dir string) (*Case, error) {
	c := &Case{Name: filepath.Base(dir), Dir: dir, streamed: map[partition]int{}}
	var connector struct{ Config map[string]string }
	err := readJSON(filepath.Join(dir, "connector.json"), &connector)
	if err == nil {
		err = readJSON(filepath.Join(dir, "meta.json"), &c.Meta)
	}
	c.Properties = connector.Config
	if err == nil {
		c.Records, err = readRecords(filepath.Join(dir, "events.jsonl"))
	}
	if err != nil {
		return nil, fmt.Errorf("reading case %s: %w", c.Name, err)
	}
	return c, nil
}

func readJSON(file string, to any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}

// Folders are the folders of the named cases in folder, of all of them without
// names.
func Folders(folder string, names ...string) ([]string, error) {
	if len(names) == 0 {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, fmt.Errorf("listing cases: %w", err)
		}
		for _, e := range entries {
			if _, err := os.Stat(filepath.Join(folder, e.Name(), "connector.json")); err == nil {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("listing cases: %s has none: want folders with a connector.json", folder)
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = filepath.Join(folder, name)
	}
	return out, nil
}

// file reads one of the case's texts.
func (c *Case) file(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(c.Dir, name))
	return string(b), err
}

// database is what is known of a database when the stream starts.
type database struct {
	charset, collation string
	tables             map[string]string // SHOW CREATE TABLE by name
}

var (
	databaseHeading = regexp.MustCompile(`(?m)^-- database (.*)$`)
	tableHeading    = regexp.MustCompile(`(?m)^([^\t\n]+)\tCREATE `)
	createTable     = regexp.MustCompile("(?i)^CREATE TABLE `?([^`\\s(]+)`?")
	createSequence  = regexp.MustCompile("(?i)^CREATE SEQUENCE `?([^`\\s(]+)`?")
	systemVersioned = regexp.MustCompile("(?i)WITH SYSTEM VERSIONING")
	createDatabase  = regexp.MustCompile("(?i)CREATE DATABASE (?:IF NOT EXISTS )?`?([^`\\s;]+)`?(?: CHARACTER SET (\\w+))?(?: COLLATE (\\w+))?")
)

// databases reads the definitions of the moment when the stream starts.
func (c *Case) databases() (map[string]database, error) {
	setup, err := c.file("setup.sql")
	if err != nil {
		return nil, err
	}
	text, err := c.file("schema_before_stream.txt")
	if err != nil {
		return nil, err
	}
	out := map[string]database{}
	for _, m := range createDatabase.FindAllStringSubmatch(setup, -1) {
		d := database{charset: m[2], collation: m[3], tables: map[string]string{}}
		if d.charset == "" || d.charset == c.Meta.Server.Charset && d.collation == "" {
			d.charset, d.collation = c.Meta.Server.Charset, c.Meta.Server.Collation
		}
		out[m[1]] = d
	}
	unlisted(setup, out)
	for heading, part := range sections(text, databaseHeading) {
		d, ok := out[heading]
		if !ok {
			d = database{charset: c.Meta.Server.Charset, collation: c.Meta.Server.Collation, tables: map[string]string{}}
			out[heading] = d
		}
		for name, create := range sections(part, tableHeading) {
			if create = "CREATE " + create; !strings.HasPrefix(create, "CREATE ALGORITHM") { // a view
				d.tables[name] = strings.TrimRight(create, "\n")
			}
		}
	}
	return out, nil
}

// unlisted takes the definitions of MariaDB's system versioned tables and
// sequences from the statements that made them: where tables were listed, these
// were left out. A case that has some has one database.
func unlisted(setup string, databases map[string]database) {
	for _, statement := range statements(setup) {
		for _, d := range databases {
			if m := createTable.FindStringSubmatch(statement); m != nil && systemVersioned.MatchString(statement) {
				d.tables[m[1]] = statement
			}
			if m := createSequence.FindStringSubmatch(statement); m != nil {
				d.tables[m[1]] = fmt.Sprintf(sequence, m[1])
			}
		}
	}
}

// sequence is SHOW CREATE TABLE of one.
const sequence = "CREATE TABLE `%s` (`next_not_cached_value` bigint(21) NOT NULL, `minimum_value` bigint(21) NOT NULL, " +
	"`maximum_value` bigint(21) NOT NULL, `start_value` bigint(21) NOT NULL, `increment` bigint(21) NOT NULL, " +
	"`cache_size` bigint(21) unsigned NOT NULL, `cycle_option` tinyint(1) unsigned NOT NULL, `cycle_count` bigint(21) NOT NULL) ENGINE=InnoDB SEQUENCE=1"

// sections splits a text at headings, by the heading's first group.
func sections(text string, heading *regexp.Regexp) map[string]string {
	out := map[string]string{}
	at := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		out[text[m[2]:m[3]]] = text[m[1]:end]
	}
	return out
}

// created are the databases that setup.sql makes.
func created(setup string) []string {
	var out []string
	for _, m := range createDatabase.FindAllStringSubmatch(setup, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
