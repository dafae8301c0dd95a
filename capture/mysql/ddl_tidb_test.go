package mysql

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tidb "github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	tidbtypes "github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver"
)

// TestAgainstTiDB compares with what TiDB's parser reads in every statement of
// the corpora and of Debezium's histories that it understands: what the
// statement does, to which tables, and each column's name, type and attributes.
func TestAgainstTiDB(t *testing.T) {
	parser := tidb.New()
	compared, columns := 0, 0
	for _, text := range tidbCorpus(t) {
		nodes, _, err := parser.ParseSQL(text)
		if err != nil || len(nodes) != 1 {
			continue // TiDB lacks what is particular to MySQL 8 and MariaDB
		}
		node, ok := nodes[0].(ast.DDLNode)
		if !ok {
			continue
		}
		st := parseDDL(text, ddlSession{database: "db"})
		want := tidbSummary(node)
		if want == "" {
			continue
		}
		compared++
		if got := kindNames[st.kind] + " " + st.tableNames(); got != want {
			t.Errorf("%s\nis %q, TiDB has %q (%s)", text, got, want, st.problem)
			continue
		}
		columns += compareColumns(t, text, st, node)
	}
	if compared < 150 || columns < 400 {
		t.Errorf("only %d statements and %d columns were compared", compared, columns)
	}
}

// tidbCorpus are all statements that the tests have.
func tidbCorpus(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"common.sql", "mysql.sql", "mysql-log.sql"} {
		for _, s := range ddlCorpus(t, name) {
			out = append(out, strings.ReplaceAll(s.text, "{db}", "db"))
		}
	}
	files, err := filepath.Glob(filepath.Join(goldenFolder(), "*", "schema_history.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no schema histories in %s: %v", goldenFolder(), err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var record struct{ Value string }
			var value struct {
				DDL string `json:"ddl"`
			}
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(record.Value), &value); err != nil {
				t.Fatal(err)
			}
			out = append(out, value.DDL)
		}
	}
	return out
}

func tidbName(n *ast.TableName) string {
	if n.Schema.O == "" {
		return "db." + n.Name.O
	}
	return n.Schema.O + "." + n.Name.O
}

// tidbSummary is what a statement does and to which tables; "" is of what is
// not compared.
func tidbSummary(node ast.DDLNode) string {
	switch n := node.(type) {
	case *ast.CreateTableStmt:
		if n.TemporaryKeyword != ast.TemporaryNone {
			return "other "
		}
		return "create " + tidbName(n.Table)
	case *ast.AlterTableStmt:
		return "alter " + tidbName(n.Table)
	case *ast.DropTableStmt:
		if n.IsView || n.TemporaryKeyword != ast.TemporaryNone {
			return "other "
		}
		var names []string
		for _, t := range n.Tables {
			names = append(names, tidbName(t))
		}
		return "drop " + strings.Join(names, " ")
	case *ast.RenameTableStmt:
		var names []string
		for _, t := range n.TableToTables {
			names = append(names, tidbName(t.OldTable)+">"+tidbName(t.NewTable))
		}
		return "rename " + strings.Join(names, " ")
	case *ast.TruncateTableStmt:
		return "truncate " + tidbName(n.Table)
	case *ast.CreateIndexStmt:
		return "create index " + tidbName(n.Table)
	case *ast.DropIndexStmt:
		return "drop index " + tidbName(n.Table)
	case *ast.CreateDatabaseStmt:
		return "create database "
	case *ast.AlterDatabaseStmt:
		return "alter database "
	case *ast.DropDatabaseStmt:
		return "drop database "
	case *ast.CreateViewStmt:
		return "other "
	}
	return ""
}

// compareColumns compares the columns that a statement declares, and the parts
// of ALTER TABLE that have names.
func compareColumns(t *testing.T, text string, st *ddlStatement, node ast.DDLNode) int {
	t.Helper()
	var want []*ast.ColumnDef
	var got []ddlColumn
	switch n := node.(type) {
	case *ast.CreateTableStmt:
		if st.kind != ddlCreateTable {
			return 0
		}
		want, got = n.Cols, st.create.columns
	case *ast.AlterTableStmt:
		for _, s := range n.Specs {
			want = append(want, s.NewColumns...)
		}
		want = slices.DeleteFunc(want, func(c *ast.ColumnDef) bool { return c.Tp == nil || c.Tp.GetType() == 0 })
		for _, s := range st.alter {
			if s.op == specAddColumns || s.op == specChange {
				got = append(got, s.columns...)
			}
		}
		if names := alterNames(st); names != tidbAlterNames(n) {
			t.Errorf("%s\ndoes %q, with TiDB %q", text, names, tidbAlterNames(n))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s\nhas %d columns, with TiDB %d", text, len(got), len(want))
		return 0
	}
	for i := range got {
		if g, w := describe(&got[i]), tidbDescribe(want[i]); g != w {
			t.Errorf("%s\ncolumn %q, with TiDB %q", text, g, w)
		}
	}
	return len(got)
}

// alterNames are the drops and renames of ALTER TABLE.
func alterNames(st *ddlStatement) string {
	var out []string
	for _, s := range st.alter {
		switch s.op {
		case specDropColumn:
			out = append(out, "drop "+s.name)
		case specRenameColumn:
			out = append(out, "rename "+s.name+" "+s.to)
		case specDropKey:
			out = append(out, "drop key "+s.name)
		case specRenameKey:
			out = append(out, "rename key "+s.name+" "+s.to)
		case specRenameTable:
			out = append(out, "to "+s.table.String())
		case specDropPrimary:
			out = append(out, "drop primary")
		case specChange:
			out = append(out, "change "+s.name+" "+s.columns[0].Name)
		}
	}
	return strings.Join(out, ", ")
}

func tidbAlterNames(n *ast.AlterTableStmt) string {
	var out []string
	for _, s := range n.Specs {
		switch s.Tp {
		case ast.AlterTableDropColumn:
			out = append(out, "drop "+s.OldColumnName.Name.O)
		case ast.AlterTableRenameColumn:
			out = append(out, "rename "+s.OldColumnName.Name.O+" "+s.NewColumnName.Name.O)
		case ast.AlterTableDropIndex:
			out = append(out, "drop key "+s.Name)
		case ast.AlterTableRenameIndex:
			out = append(out, "rename key "+s.FromKey.O+" "+s.ToKey.O)
		case ast.AlterTableRenameTable:
			out = append(out, "to "+tidbName(s.NewTable))
		case ast.AlterTableDropPrimaryKey:
			out = append(out, "drop primary")
		case ast.AlterTableModifyColumn:
			out = append(out, "change "+s.NewColumns[0].Name.Name.O+" "+s.NewColumns[0].Name.Name.O)
		case ast.AlterTableChangeColumn:
			out = append(out, "change "+s.OldColumnName.Name.O+" "+s.NewColumns[0].Name.Name.O)
		}
	}
	return strings.Join(out, ", ")
}

// describe is what both parsers say of a column.
func describe(c *ddlColumn) string {
	var attributes []string
	add := func(yes bool, name string) {
		if yes {
			attributes = append(attributes, name)
		}
	}
	add(c.null == nullNo || c.serial, "not null")
	add(c.null == nullYes, "null")
	add(c.primary, "primary")
	add(c.unique || c.serial, "unique")
	add(c.AutoIncrement || c.serial, "auto")
	add(c.Generated, "generated")
	add(c.HasDefault, "default")
	size := ""
	switch c.Type {
	case "DECIMAL":
		size = fmt.Sprintf("(%d,%d)", c.Length, c.Scale)
	case "TIME", "DATETIME", "TIMESTAMP":
		size = fmt.Sprintf("(%d)", max(c.Length, 0))
	case "CHAR", "VARCHAR", "BINARY", "VARBINARY", "BIT":
		size = fmt.Sprintf("(%d)", max(c.Length, 1))
	}
	told := c.Column
	told.trimChoices() // TiDB does in ENUMs of bytes, too
	values := strings.Join(told.Values, "|")
	return fmt.Sprintf("%s %s%s%s {%s} %s", c.Name, tidbFamily(c.Type), size, unsigned(c.Unsigned), values, strings.Join(attributes, ","))
}

func unsigned(yes bool) string {
	if yes {
		return " unsigned"
	}
	return ""
}

// tidbFamily leaves out what TiDB does not tell: the sizes of texts, and text
// from bytes, which depends on the character set.
func tidbFamily(typ string) string {
	switch typ {
	case "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		return "BLOB"
	case "BINARY":
		return "CHAR"
	case "VARBINARY":
		return "VARCHAR"
	}
	return typ
}

var tidbTypes = map[byte]string{
	tidbtypes.TypeTiny: "TINYINT", tidbtypes.TypeShort: "SMALLINT", tidbtypes.TypeInt24: "MEDIUMINT", tidbtypes.TypeLong: "INT",
	tidbtypes.TypeLonglong: "BIGINT", tidbtypes.TypeFloat: "FLOAT", tidbtypes.TypeDouble: "DOUBLE", tidbtypes.TypeNewDecimal: "DECIMAL",
	tidbtypes.TypeTimestamp: "TIMESTAMP", tidbtypes.TypeDate: "DATE", tidbtypes.TypeDuration: "TIME", tidbtypes.TypeDatetime: "DATETIME",
	tidbtypes.TypeYear: "YEAR", tidbtypes.TypeVarchar: "VARCHAR", tidbtypes.TypeString: "CHAR", tidbtypes.TypeBit: "BIT",
	tidbtypes.TypeJSON: "JSON", tidbtypes.TypeEnum: "ENUM", tidbtypes.TypeSet: "SET", tidbtypes.TypeTinyBlob: "BLOB",
	tidbtypes.TypeBlob: "BLOB", tidbtypes.TypeMediumBlob: "BLOB", tidbtypes.TypeLongBlob: "BLOB", tidbtypes.TypeTiDBVectorFloat32: "VECTOR",
}

func tidbDescribe(c *ast.ColumnDef) string {
	tp := c.Tp
	typ := tidbTypes[tp.GetType()]
	size := ""
	switch typ {
	case "DECIMAL":
		flen, scale := tp.GetFlen(), tp.GetDecimal()
		if flen < 0 || flen == 0 && scale <= 0 { // the servers make DECIMAL(10,0) of DECIMAL(0)
			flen = 10
		}
		size = fmt.Sprintf("(%d,%d)", flen, max(scale, 0))
	case "TIME", "DATETIME", "TIMESTAMP":
		size = fmt.Sprintf("(%d)", max(tp.GetDecimal(), 0))
	case "CHAR", "VARCHAR", "BIT":
		size = fmt.Sprintf("(%d)", max(tp.GetFlen(), 1))
	}
	has := map[ast.ColumnOptionType]bool{}
	for _, o := range c.Options {
		has[o.Tp] = true
	}
	var attributes []string
	for _, o := range []struct {
		tp   ast.ColumnOptionType
		name string
	}{
		{ast.ColumnOptionNotNull, "not null"}, {ast.ColumnOptionNull, "null"}, {ast.ColumnOptionPrimaryKey, "primary"},
		{ast.ColumnOptionUniqKey, "unique"}, {ast.ColumnOptionAutoIncrement, "auto"}, {ast.ColumnOptionGenerated, "generated"},
		{ast.ColumnOptionDefaultValue, "default"},
	} {
		if has[o.tp] {
			attributes = append(attributes, o.name)
		}
	}
	values := strings.Join(tp.GetElems(), "|")
	return fmt.Sprintf("%s %s%s%s {%s} %s", c.Name.Name.O, typ, size, unsigned(tidbtypes.HasUnsignedFlag(tp.GetFlag())), values, strings.Join(attributes, ","))
}
