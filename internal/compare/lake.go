package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Lake is the Parquet files of a topic as one side of a comparison: the newest
// row of each key, by version, that is no delete.
type Lake struct {
	Store Store
	Dir   string // topics.dir
	Topic string // after routes
	Table *Table // whose changes the rows are
	// Added are the names of the columns that the lake adds; the zero value is
	// their default.
	Added AddedColumns
	// Events, if not nil, takes note of which records of Kafka the rows are.
	Events *Events
}

// AddedColumns are names of columns that the lake adds to rows (add.columns).
type AddedColumns struct{ Deleted, Version, Topic, Partition, Offset string }

// DefaultColumns are the added columns' names unless the lake was told others.
var DefaultColumns = AddedColumns{"__deleted", "__version", "__topic", "__partition", "__offset"}

// parquetSuffix ends the names of files that are complete.
const parquetSuffix = ".parquet"

// Each reads all files of the topic.
func (l *Lake) Each(ctx context.Context, each func(*Row) error) error {
	if l.Added == (AddedColumns{}) {
		l.Added = DefaultColumns
	}
	if l.Events != nil {
		l.Events.begin()
	}
	files := 0
	prefix := path.Join(l.Dir, l.Topic) + "/"
	err := l.Store.List(ctx, prefix, func(name string) error {
		if !strings.HasSuffix(name, parquetSuffix) {
			return nil
		}
		files++
		if err := l.file(ctx, name, each); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		return nil
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("%w: a file below %s", ErrNoTarget, prefix)
	}
	return err
}

func (l *Lake) file(ctx context.Context, name string, each func(*Row) error) (err error) {
	file, err := l.Store.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return err
	}
	f := &lakeFile{lake: l, columns: columnsOf(opened.Schema()), builder: l.Table.builder(), each: each}
	if f.added, err = f.addedOf(&l.Added); err != nil {
		return err
	}
	for _, group := range opened.RowGroups() {
		if err := f.group(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// lakeFile is one file being read.
type lakeFile struct {
	lake    *Lake
	columns map[string]*parquetColumn
	added   struct{ deleted, version, topic, partition, offset *parquetColumn }
	builder *builder
	each    func(*Row) error
}

// addedOf finds the columns that the lake added.
func (f *lakeFile) addedOf(names *AddedColumns) (added struct{ deleted, version, topic, partition, offset *parquetColumn }, err error) {
	for _, c := range []struct {
		name string
		at   **parquetColumn
	}{
		{names.Deleted, &added.deleted}, {names.Version, &added.version}, {names.Topic, &added.topic},
		{names.Partition, &added.partition}, {names.Offset, &added.offset},
	} {
		if *c.at = f.columns[c.name]; *c.at == nil {
			return added, fmt.Errorf("the file has no column %s, without which its rows cannot be compared (add.columns)", c.name)
		}
	}
	return added, nil
}

const rowsAtOnce = 512

func (f *lakeFile) group(ctx context.Context, group parquet.RowGroup) (err error) {
	rows := group.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	buffer := make([]parquet.Row, rowsAtOnce)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if err := f.row(row); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// row hands one row on.
func (f *lakeFile) row(row parquet.Row) error {
	b, a := f.builder, &f.added
	b.reset()
	for i := range b.table.Columns {
		c := &b.table.Columns[i]
		column := f.columns[c.Name]
		if column == nil {
			b.lack(i)
			continue
		}
		v := column.cell(row)
		if v.kind == cellNull && !c.Nullable {
			b.lack(i) // a file's columns are those of all its rows
			continue
		}
		b.take(i, v)
	}
	r := b.build()
	offset := a.offset.cell(row)
	r.Deleted, r.Version = a.deleted.cell(row).n != 0, uint64(a.version.cell(row).integer())
	if r.Version == 0 { // a topic without versions: a key is in one partition
		r.Version = uint64(offset.integer()) + 1
	}
	if f.lake.Events != nil {
		f.lake.Events.add(string(a.topic.cell(row).text), int32(a.partition.cell(row).integer()), offset.integer())
	}
	return f.each(r)
}
