package routing

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// operationRouter routes changes by what they do. An operation without a topic
// of its own, and a record that is no change, stay where they are.
type operationRouter struct {
	insert, read, update, remove, truncate string
}

func newOperationRouter(o *transform.Options) transform.Transform {
	t := &operationRouter{
		insert: o.Text("insert.topic", ""), update: o.Text("update.topic", ""), remove: o.Text("delete.topic", ""),
		truncate: o.Text("truncate.topic", ""),
	}
	if t.read = o.Text("read.topic", t.insert); *t == (operationRouter{}) {
		o.Fail("insert.topic", "a topic; without it, update.topic, delete.topic, read.topic or truncate.topic")
	}
	return t
}

// Apply routes r. A tombstone goes where deletes go, since it is part of one.
func (t *operationRouter) Apply(r *cdc.Record) (bool, error) {
	to := ""
	switch op := operationOf(r); {
	case op == cdc.OpDelete || r.Tombstone:
		to = t.remove
	case op == cdc.OpCreate:
		to = t.insert
	case op == cdc.OpRead:
		to = t.read
	case op == cdc.OpUpdate:
		to = t.update
	case op == cdc.OpTruncate:
		to = t.truncate
	}
	if to != "" {
		r.Route = to
	}
	return true, nil
}

// operationOf is the record's operation: that of its envelope, or what a row
// that was unwrapped before it came has of it.
func operationOf(r *cdc.Record) cdc.Op {
	if r.Op != cdc.OpNone || r.Value == nil {
		return r.Op
	}
	if v := r.Value.Value("__deleted"); v != nil && string(v.Bytes()) == "true" {
		return cdc.OpDelete
	}
	if v := r.Value.Value("__op"); v != nil && v.Kind() == cdc.KindString && len(v.Bytes()) == 1 {
		return cdc.Op(v.Bytes()[0])
	}
	return cdc.OpNone
}
