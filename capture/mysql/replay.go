package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
)

// Recording is a piece of a server's log with what was known when it began.
type Recording struct {
	// Files are its log files, in order; each is read from its start.
	Files []string
	// GTIDs are the transactions before it, in the server's form; none where
	// the server writes none.
	GTIDs string
	// MariaDB says which kind of server it is of, Version which version.
	MariaDB bool
	Version string
	// Caseless says that names are compared without case (lower_case_table_names).
	Caseless bool
	// Charset and Collation are the server's defaults.
	Charset, Collation string
	// Databases are those there were, by name.
	Databases map[string]RecordedDatabase
}

// RecordedDatabase is a database with its defaults.
type RecordedDatabase struct {
	Charset, Collation string
	// Tables are SHOW CREATE TABLE of every table, by name.
	Tables map[string]string
}

// Replay returns a function that opens a recording as a Source without a
// server: for comparing what is made of a log with what others made of it. It
// reads no tables, and its log ends by being drained for ever.
func Replay(r Recording, settings Settings, log *zap.Logger) capture.OpenSource {
	return func(_ context.Context, scope capture.Scope) (capture.Source, error) {
		if len(r.Files) == 0 {
			return nil, errors.New("opening a recording: it has no log files")
		}
		r.GTIDs = oneLine(r.GTIDs)
		srv := &server{version: r.Version, mariadb: r.MariaDB, gtid: r.GTIDs != "", uuid: "recording", caseless: r.Caseless}
		s := newSource(Connection{}, settings, scope, srv, log)
		s.recorded = true
		p := &replay{Source: s, recording: r}
		return p, p.load()
	}
}

// replay is a Source that reads a recording.
type replay struct {
	*Source
	recording Recording
}

// load makes the recording's definitions what is known.
func (p *replay) load() error {
	s := p.Source
	s.ddl = &ddlServer{
		ddlDialect: ddlDialect{mariadb: p.recording.MariaDB, version: commentVersion(p.recording.Version)},
		locale:     ddlLocale{canonicalCharset(p.recording.Charset), canonicalCollation(p.recording.Collation)},
		caseless:   p.recording.Caseless,
	}
	at := position{File: filepath.Base(p.recording.Files[0]), Pos: fileHeaderSize, GTIDs: p.recording.GTIDs, ServerUUID: s.uuid}
	if err := s.moveTo(&at); err != nil {
		return fmt.Errorf("reading the recording's GTIDs: %w", err)
	}
	s.creates, s.databases = map[tableName]string{}, map[string]ddlLocale{}
	var tables []*Definition
	for database, r := range p.recording.Databases {
		s.databases[database] = ddlLocale{canonicalCharset(r.Charset), canonicalCollation(r.Collation)}
		for name, create := range r.Tables {
			t := tableName{database, name}
			d, _, err := s.ddl.readDefinition(context.Background(), shown{name, create}, t, s.databases[database])
			if err != nil {
				return err
			}
			if d != nil {
				tables = append(tables, d)
				s.creates[t] = create
			}
		}
	}
	s.history.load(at.marshal(), 0, s.ddl.locale, s.databases, tables)
	return nil
}

// shown answers SHOW CREATE TABLE.
type shown struct{ name, create string }

func (s shown) query(context.Context, string) ([][]string, error) {
	return [][]string{{s.name, s.create}}, nil
}

// Check finds nothing: there is no server.
func (p *replay) Check(context.Context) error { return nil }

// Restore takes a first start only.
func (p *replay) Restore(_ context.Context, stored *capture.Stored) error {
	if stored != nil {
		return errors.New("a recording is read from its start")
	}
	return nil
}

// Begin stays at the recording's start.
func (p *replay) Begin(context.Context) error { return nil }

// Reader fails: a recording has no tables to read.
func (p *replay) Reader(context.Context) (capture.Reader, error) {
	return nil, errors.New("a recording has no tables to read")
}

// Stream reports the recording, and then that it is drained.
func (p *replay) Stream(ctx context.Context, wake <-chan struct{}, out capture.Stream) error {
	r := p.newRun(ctx, true, wake, out)
	for _, name := range p.recording.Files {
		if err := p.file(r, name); err != nil {
			return err
		}
	}
	full, free := make(chan *block, 1), make(chan *block, 1)
	full <- &block{drained: true}
	return r.loop(ctx, full, free)
}

// file reports one log file.
func (p *replay) file(r *run, name string) error {
	f, err := openFile(name)
	if err != nil {
		return err
	}
	defer f.close()
	p.Source.file, p.pos = filepath.Base(name), fileHeaderSize
	r.parser.seek(fileHeaderSize)
	for {
		raw, err := f.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.event(raw); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(filepath.Base(name), "/"), err)
		}
	}
}
