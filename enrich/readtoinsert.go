package enrich

import (
	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// readToInsert is Debezium's ReadToInsertEvent: rows of a snapshot pass for
// inserts.
type readToInsert struct{}

func newReadToInsert(*transform.Options) transform.Transform { return readToInsert{} }

// Apply makes an insert of r, if it is a row of a snapshot.
func (readToInsert) Apply(r *cdc.Record) (bool, error) {
	if e := transform.Envelope(r); e != nil && e.Op == cdc.OpRead {
		e.Op, r.Op = cdc.OpCreate, cdc.OpCreate
	}
	return true, nil
}
