package e2e

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// duckTable is what DuckDB finds in the files of a table.
type duckTable struct {
	Rows   int // in all files
	Events int // different records of Kafka among them
	Live   int // keys whose newest row is no delete
}

// readScript reads a lake's folder: arguments are the folder, and for each table
// its name and key. Of orders it prints the newest rows, too.
const readScript = `
import sys, json, duckdb
c = duckdb.connect(); c.execute("SET TimeZone='UTC'")
tables, orders = {}, []
for name, key in zip(sys.argv[2::2], sys.argv[3::2]):
    c.execute(f"CREATE VIEW v AS SELECT * FROM read_parquet('{sys.argv[1]}/{name}/**/*.parquet', union_by_name=true, hive_partitioning=false)")
    c.execute(f"CREATE VIEW newest AS SELECT * FROM v QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY __version DESC) = 1")
    rows, events = c.execute("SELECT count(*), count(DISTINCT (__topic, __partition, __offset)) FROM v").fetchone()
    live, = c.execute("SELECT count(*) FROM newest WHERE NOT __deleted").fetchone()
    tables[name] = {"Rows": rows, "Events": events, "Live": live}
    if name.endswith("-orders"):
        orders = c.execute("SELECT id, status, total::VARCHAR, note, epoch_ms(ordered_at), epoch_us(updated_at), channel FROM newest WHERE NOT __deleted ORDER BY id").fetchall()
    c.execute("DROP VIEW newest; DROP VIEW v")
json.dump({"Tables": tables, "Orders": orders}, sys.stdout)
`

// order is a row of orders as DuckDB and the source are asked for it.
type order struct {
	ID      int64
	Status  string
	Total   string
	Note    *string
	Ordered int64  // ms
	Updated *int64 // µs
	Channel *string
}

// UnmarshalJSON reads an array of the fields.
func (o *order) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&o.ID, &o.Status, &o.Total, &o.Note, &o.Ordered, &o.Updated, &o.Channel})
}

// checkWithDuckDB reads the lake with an engine that is not ours: no event is
// there twice, as many keys live as the table has, and of one table all values
// are the source's.
func (f *fleet) checkWithDuckDB(w *workload) {
	f.t.Helper()
	folder := f.download()
	arguments := []string{filepath.Join(folder, "topics")}
	for _, t := range w.tables {
		key := t.columns[0].name
		for _, c := range t.columns[1:t.keys] {
			key += ", " + c.name
		}
		arguments = append(arguments, f.route(t.name), key)
	}
	var found struct {
		Tables map[string]duckTable
		Orders []order
	}
	python := servers.PythonWith(f.t, "duckdb==2.0.0", "pyarrow==26.0.1", "pytz")
	f.must(json.Unmarshal(python.Run(f.t, readScript, arguments...), &found))
	for _, t := range w.tables {
		var rows int
		f.must(f.db.QueryRowContext(f.t.Context(), "SELECT COUNT(*) FROM "+t.name).Scan(&rows))
		if got := found.Tables[f.route(t.name)]; got.Live != rows || got.Events != got.Rows || got.Rows < rows {
			f.t.Errorf("%s has %d rows; DuckDB finds %+v", t.name, rows, got)
		}
	}
	f.compareOrders(found.Orders)
}

// compareOrders compares the orders that DuckDB read with the source's.
func (f *fleet) compareOrders(found []order) {
	f.t.Helper()
	rows, err := f.db.QueryContext(f.t.Context(), `SELECT id, status, total, note, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ordered_at) DIV 1000,
		CAST(UNIX_TIMESTAMP(updated_at) * 1000000 AS SIGNED), channel FROM orders ORDER BY id`)
	f.must(err)
	defer rows.Close()
	n, wrong := 0, 0
	for ; rows.Next(); n++ {
		var want order
		f.must(rows.Scan(&want.ID, &want.Status, &want.Total, &want.Note, &want.Ordered, &want.Updated, &want.Channel))
		if n < len(found) && !reflect.DeepEqual(found[n], want) && wrong < 5 {
			wrong++
			f.t.Errorf("DuckDB read the order %+v, the source has %+v", found[n], want)
		}
	}
	f.must(rows.Err())
	if n != len(found) {
		f.t.Errorf("DuckDB finds %d orders, the source has %d", len(found), n)
	}
}

// download copies the lake's files.
func (f *fleet) download() string {
	f.t.Helper()
	folder := f.t.TempDir()
	f.must(f.bucket.List(f.t.Context(), "", func(name string) error {
		return f.copyObject(f.t.Context(), name, filepath.Join(folder, filepath.FromSlash(name)))
	}))
	return folder
}

func (f *fleet) copyObject(ctx context.Context, name, path string) error {
	object, err := f.bucket.Open(ctx, name)
	if err != nil {
		return err
	}
	defer object.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if _, err := object.Seek(0, io.SeekStart); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, object); err != nil {
		return err
	}
	return file.Close()
}
