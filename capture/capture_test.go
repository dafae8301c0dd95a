package capture

import (
	"testing"
)

// A first start reads the table and goes on with the log; all of it arrives once.
func TestCaptureReadsThenStreams(t *testing.T) {
	_, at := broker(t)
	db := newFakeDB(newFakeTable("first", "a", true))
	db.fill("a", 100)
	r := launch(t, newConfig(t, at, "first"), db.open)
	r.reached(t, db)
	db.write(func(tx *fakeTx) { tx.put("a", 1, "new"); tx.del("a", 2); tx.put("a", 200, "more") })
	r.reached(t, db)
	events := readEvents(t, at, "first.db.a")
	sameRows(t, state(t, events), db.rows("a"))
	sameChanges(t, streamed(events), db.logged("a", 0))
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}
