package mysql_test

import (
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestCreateTableSelect: CREATE TABLE … SELECT is one transaction, the statement
// with its rows. The statement does not end it: the rows are of its GTID and of
// its thread.
func TestCreateTableSelect(t *testing.T) {
	f := newFixture(t, servers.MySQL(t), false, map[string]string{"snapshot.mode": "no_data", "provide.transaction.metadata": "true", "include.schema.changes": "true", "topic.creation.default.partitions": "1"})
	f.run(t, "CREATE TABLE src (id INT PRIMARY KEY, v INT)", "INSERT INTO src VALUES (1, 10), (2, 20), (3, 30)")
	f.start(t)
	f.run(t, "CREATE TABLE copy (PRIMARY KEY (id)) SELECT id, v FROM src", "INSERT INTO copy VALUES (4, 40)")
	events := f.events(t, "copy")
	if len(events) != 4 {
		t.Fatalf("got %d events, want 4: %v", len(events), events)
	}
	gtid := events[0].source["gtid"]
	for _, e := range events[:3] {
		if e.op != "c" || e.source["gtid"] != gtid || gtid == nil || e.source["thread"] == nil {
			t.Errorf("got %s of %v, want an insert of one transaction with its thread", e.op, e.source)
		}
	}
	if events[3].source["gtid"] == gtid {
		t.Errorf("the insert behind it is of the same transaction: %v", events[3].source)
	}
}
