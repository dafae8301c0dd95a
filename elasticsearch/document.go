package elasticsearch

import (
	"errors"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// document appends the documents of one schema.
type document struct {
	form *json.Document
	bare bool
}

var errBare = errors.New("the value is no object, and a document has to be one")

// absentError says that a record lacks a column that the document would need.
func absentError(column string) error {
	return fmt.Errorf("the column %s was not in the row image (binlog_row_image is not FULL), and its placeholder must not replace the value: set binlog_row_image=FULL at the source", column)
}

// document is that of a schema, compiled when it is first seen.
func (b *batch) document(s *Sink, schema *cdc.Schema) *document {
	d := b.documents[schema]
	if d == nil {
		d = &document{bare: schema.IsBare(), form: json.NewDocument(schema, json.DocumentOptions{NestJSON: s.config.JSONObjects, ISO: s.config.ISO})}
		b.documents[schema] = d
	}
	return d
}

// append appends the document of row and a line's end; key is kept in it where
// the id is a hash of it.
func (d *document) append(dst []byte, row *cdc.Row, key []byte) ([]byte, error) {
	if d.bare {
		return dst, errBare
	}
	if f := row.Absent(); f != nil {
		return dst, absentError(f.Name)
	}
	dst = d.form.Append(dst, row)
	if key != nil {
		lead := `,"` + keyField + `":`
		if len(row.Values) == 0 {
			lead = lead[1:]
		}
		dst = append(json.AppendString(append(dst[:len(dst)-1], lead...), key), '}')
	}
	return append(dst, '\n'), nil
}
