package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// resolveTables asks each capture's database for what the start check asks, and
// which tables there are.
func (s *servers) resolveTables(ctx context.Context) {
	for _, m := range s.d.captures() {
		s.database(ctx, m)
	}
}

func (s *servers) database(ctx context.Context, m *member) {
	if m.main == nil && m.values.String("database.hostname") == "" {
		return
	}
	source, address, err := openSource(ctx, m)
	if source == nil {
		if err != nil {
			s.unreachable(m, "database.hostname", "the database at "+address, err)
		}
		return
	}
	defer func() { _ = source.Close() }() // it holds nothing that a close could fail to write
	findings, err := source.Findings(ctx)
	for _, f := range findings {
		s.startCheck(m, f)
	}
	if err != nil {
		s.unreachable(m, "database.hostname", "the database at "+address, err)
		return
	}
	tables, err := tablesOf(ctx, source)
	if err != nil {
		if !slices.ContainsFunc(findings, func(f mysql.Finding) bool { return f.Fatal }) { // else it is what was found
			s.unreachable(m, "database.hostname", "the database at "+address, err)
		}
		return
	}
	s.tables[m] = tables
	m.existing = [][2]string{}
	var captured [][2]string
	for _, t := range tables {
		m.existing = append(m.existing, [2]string{t.Database, t.Name})
		if m.source.Filter.Table(t.Database, t.Name) {
			captured = append(captured, [2]string{t.Database, t.Name})
		}
	}
	s.missingTables(m)
	m.capture.Resolve(captured)
}

// tablesOf are the tables of a source as they are now.
func tablesOf(ctx context.Context, source *mysql.Source) ([]*capture.Table, error) {
	if err := source.Restore(ctx, nil); err != nil {
		return nil, err
	}
	if err := source.Begin(ctx); err != nil {
		return nil, err
	}
	return source.Tables(ctx)
}

// openSource opens the database of a capture with all tables of the captured
// databases in sight. Nil without an error is a configuration that is wrong.
func openSource(ctx context.Context, m *member) (source *mysql.Source, address string, err error) {
	all := m.sources
	all.Set = append(slices.Clone(all.Set), "table.include.list=", "table.exclude.list=")
	v, _ := config.LoadPart(all, config.Common, mysql.Properties, mysql.ValueProperties, capture.Properties, kafka.Properties)
	cfg, _ := capture.NewConfig(v)
	connection, errConnection := mysql.NewConnection(v, cfg.Prefix)
	settings, errSettings := mysql.NewSettings(v)
	if errConnection != nil || errSettings != nil {
		return nil, "", nil
	}
	opened, err := mysql.Open(connection, settings, quiet)(ctx, capture.Scope{Prefix: cfg.Prefix, Delimiter: cfg.Delimiter, Filter: cfg.Filter})
	if err != nil {
		return nil, connection.Address(), err
	}
	source, _ = opened.(*mysql.Source)
	return source, connection.Address(), nil
}

// startCheck reports what the capture's own start check found.
func (s *servers) startCheck(m *member, f mysql.Finding) {
	out := Finding{Code: "server-setting", Property: "database.hostname", What: f.Text, Why: "the capture does not start"}
	severity := Failure
	if !f.Fatal {
		severity, out.Why = Warning, "the capture starts, and warns of it"
	}
	switch {
	case strings.HasPrefix(f.Statement, "GRANT "):
		out.Code, out.Property = "missing-grant", "database.user"
	case strings.Contains(f.Text, "binlog") || strings.Contains(f.Text, "binary log ("):
		out.Code = "binlog-settings"
	case strings.Contains(f.Text, "keeps its binary log"):
		out.Code = "binlog-settings"
	case strings.Contains(f.Text, "database.server.id"):
		out.Code, out.Property = "server-id", "database.server.id"
	}
	if f.Statement != "" {
		out.Do = f.Statement
	}
	s.find(m, severity, out)
}

// missingTables reports tables that the file names and the database does not
// have.
func (s *servers) missingTables(m *member) {
	for i := range m.capture.Tables {
		t := &m.capture.Tables[i]
		if m.lacks(*t) {
			s.find(m, Warning, Finding{Code: "table-missing", Property: "table.include.list", What: "the database has no table " + t.ID(),
				Why: "nothing of it is captured until there is one", Do: "create it, or take it out of the list"})
		}
	}
}
