package compare

import (
	"encoding/json"
	"fmt"
)

// look shows a document to whoever wants to see it.
func look(at func(string, []byte) error, name string, document []byte) error {
	if at == nil {
		return nil
	}
	if err := at(name, document); err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	return nil
}

// document reads a JSON object that holds a row, and that is called name.
// Members that are no columns do not matter. The row is valid until the next one.
func (b *builder) document(name string, text []byte) *Row {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(text, &members) != nil {
		return b.foreign(name)
	}
	b.reset()
	for i := range b.table.Columns {
		b.member(i, members[b.table.Columns[i].Name])
	}
	return b.build()
}

func (b *builder) member(i int, raw json.RawMessage) {
	c := &b.table.Columns[i]
	if raw == nil {
		b.lack(i)
		return
	}
	v := cellOf(raw)
	if c.objects && c.kind == kindJSON && v.kind != cellNull {
		v = cell{kind: cellJSON, text: raw}
	}
	b.take(i, v)
}

// hash reads the fields of a Redis hash, all texts, in which a NULL is a field
// that is not there.
func (b *builder) hash(fields map[string]string) *Row {
	b.reset()
	for i := range b.table.Columns {
		text, ok := fields[b.table.Columns[i].Name]
		switch {
		case ok:
			b.take(i, cell{kind: cellText, text: []byte(text)})
		case b.table.Columns[i].Nullable:
			b.take(i, cell{})
		default:
			b.lack(i)
		}
	}
	return b.build()
}

// foreign is what stands for a thing in the target that holds no row at all.
func (b *builder) foreign(name string) *Row {
	b.reset()
	b.row.Key, b.row.Values = appendValue(b.row.Key[:0], value{text: []byte(name)}), b.row.Values[:0]
	b.row.Foreign = true
	return &b.row
}

// place notes where the row is, if that is not where its key says.
func (b *builder) place(where string, prefix string) {
	if want, ok := b.keyText(); ok && !b.row.Foreign && where != prefix+want {
		b.row.Misplaced = fmt.Sprintf("under %q, not %q", where, prefix+want)
	}
}
