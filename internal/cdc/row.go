package cdc

// Row is one state of one record: the values of its schema's fields, in order.
// Rows are reused: Reset keeps the memory. The zero Row is empty; a Row must
// not be copied while its values are in use, for copies share the memory.
type Row struct {
	Schema *Schema
	Values []Value

	arena []byte
	lists []Value
}

// Reset makes r an empty row of schema s, all values null.
func (r *Row) Reset(s *Schema) {
	r.Schema = s
	if cap(r.Values) < len(s.Fields) {
		r.Values = make([]Value, len(s.Fields))
	}
	r.Values = r.Values[:len(s.Fields)]
	clear(r.Values)
	r.arena = r.arena[:0]
	r.lists = r.lists[:0]
}

// Value is the value of the named field, or nil if the schema has none.
func (r *Row) Value(name string) *Value {
	if i, ok := r.Schema.index[name]; ok {
		return &r.Values[i]
	}
	return nil
}

// Absent returns the first field whose value the source did not send, or nil.
// Such a value cannot be written to a target without losing what is there.
func (r *Row) Absent() *Field {
	for i := range r.Values {
		if r.Values[i].kind == KindAbsent {
			return &r.Schema.Fields[i]
		}
	}
	return nil
}

// Alloc returns n bytes that live as long as the row. Growing abandons the old
// arena to the Values that point into it; it settles at the largest row.
func (r *Row) Alloc(n int) []byte {
	if len(r.arena)+n > cap(r.arena) {
		r.arena = make([]byte, 0, max(256, 2*cap(r.arena), 2*n))
	}
	at := len(r.arena)
	r.arena = r.arena[:at+n]
	return r.arena[at : at+n : at+n]
}

// AllocList returns n null Values that live as long as the row, for the
// members of a struct or the elements of an array.
func (r *Row) AllocList(n int) []Value {
	if len(r.lists)+n > cap(r.lists) {
		r.lists = make([]Value, 0, max(8, 2*cap(r.lists), n))
	}
	at := len(r.lists)
	r.lists = r.lists[:at+n]
	out := r.lists[at : at+n : at+n]
	clear(out)
	return out
}

// Tail returns the arena's free end, of atLeast bytes, to append to; Keep then
// takes what was appended.
func (r *Row) Tail(atLeast int) []byte {
	if len(r.arena)+atLeast > cap(r.arena) {
		r.arena = make([]byte, 0, max(256, 2*cap(r.arena), 2*atLeast))
	}
	return r.arena[len(r.arena):len(r.arena):cap(r.arena)]
}

// Keep makes b, which was appended to Tail's result, part of the arena. Nothing
// else may be allocated between the two.
func (r *Row) Keep(b []byte) []byte {
	if cap(b) == cap(r.arena)-len(r.arena) { // still in place
		r.arena = r.arena[:len(r.arena)+len(b)]
		return b[:len(b):len(b)]
	}
	r.arena = b // append moved it: go on behind it
	return b[:len(b):len(b)]
}

// CopyFrom makes r a copy of src that shares no memory with it. Values beyond
// the schema's fields are copied too.
func (r *Row) CopyFrom(src *Row) {
	r.Reset(src.Schema)
	for len(r.Values) < len(src.Values) {
		r.Values = append(r.Values, Value{})
	}
	for i := range src.Values {
		r.Values[i] = r.Copy(src.Values[i])
	}
}

// Copy returns v with its content in r's own memory.
func (r *Row) Copy(v Value) Value {
	switch v.kind {
	case KindString, KindBytes, KindBigDecimal, KindNumber, KindJSON:
		b := r.Alloc(int(v.len))
		copy(b, v.Bytes())
		return bytesValue(v.kind, b, v.n)
	case KindList:
		from := v.List()
		to := r.AllocList(len(from))
		for i := range from {
			to[i] = r.Copy(from[i])
		}
		return List(to)
	}
	return v
}

// Size is about how many bytes of memory the row's contents take.
func (r *Row) Size() int {
	n := 24 * (len(r.Values) + len(r.lists))
	for i := range r.Values {
		if v := &r.Values[i]; v.kind != KindList {
			n += int(v.len)
		}
	}
	return n
}
