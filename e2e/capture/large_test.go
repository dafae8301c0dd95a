package capture

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-cdc/weir/deploy/local/servers"
	fp "github.com/weir-cdc/weir/internal/failpoint"
)

// largeRows is how many rows the large transaction changes: ROWS, else a tenth
// of what the long run has.
func largeRows(t *testing.T) int {
	text := os.Getenv("ROWS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ROWS=%s: %v", text, err)
	}
	return n
}

// mostMemory is how much the capture may keep in memory whatever a transaction's
// size: the budget of a stream, RSS in bytes.
const mostMemory = 100 << 20

// ◆ "a huge source transaction may span several [Kafka transactions], the offset
// then counts rows": one source transaction of many rows, over two tables, goes
// through many Kafka transactions; the capture dies in it several times and goes
// on in its middle, and never holds it in memory.
func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	rows := largeRows(t)
	r := newRig(t, servers.NewMySQL(t, "--max-binlog-size=1G"), servers.Kafka(t), map[string]string{"snapshot.mode": "no_data", "max.queue.size": "4000"})
	r.exec("CREATE TABLE a (id INT PRIMARY KEY, n BIGINT NOT NULL, pad VARCHAR(300))", "CREATE TABLE b (id INT PRIMARY KEY, n BIGINT NOT NULL, pad VARCHAR(300))")
	capture := r.launch("capture", "")
	capture.settle() // what follows is in the stream
	r.exec("INSERT INTO a VALUES (0, 1, '')")
	capture.settle()
	if err := capture.Stop(stopping); err != nil {
		t.Fatal(err)
	}
	tx, err := r.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const part = 50_000
	for from := 0; from < rows; from += part {
		n := min(part, rows-from)
		if _, err := tx.ExecContext(t.Context(), "SET SESSION cte_max_recursion_depth = 1000000"); err != nil {
			t.Fatal(err)
		}
		statement := fmt.Sprintf("INSERT INTO %s WITH RECURSIVE s (i) AS (SELECT %d UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i, 1, REPEAT('x', 100) FROM s", small[(from/part)%2], from+1, from+n)
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, n := range []int{6, 9} {
		capture.again(at(fp.PublisherEnded, n))
		capture.died(at(fp.PublisherEnded, n), nil)
	}
	capture.again("")
	capture.settle()
	took := time.Since(began)
	peak, err := capture.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range small {
		got, changes := r.counted(table, "at the end")
		r.same(table, got, r.table("SELECT id, n FROM "+table))
		if changes != len(got) {
			t.Errorf("table %s: %d changes of %d rows", table, changes, len(got))
		}
	}
	if peak > mostMemory {
		t.Errorf("the capture had %d KiB in memory", peak>>10)
	}
	t.Logf("%d rows in %s, two deaths included; at most %d MiB in memory", rows, took.Round(100*time.Millisecond), peak>>20)
}

// A source transaction that stays open holds nothing up, and comes when it
// commits, behind those that committed meanwhile.
func TestHangingSourceTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t, servers.MySQL(t), servers.Kafka(t), map[string]string{"snapshot.mode": "no_data"})
	r.exec("CREATE TABLE a (id INT PRIMARY KEY, n BIGINT)")
	capture := r.launch("capture", "")
	capture.settle() // what follows is in the stream
	r.exec("INSERT INTO a VALUES (1, 1), (2, 1)")
	capture.settle()
	hanging, err := r.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hanging.ExecContext(t.Context(), "UPDATE a SET n = n + 1 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r.exec("UPDATE a SET n = n + 1 WHERE id = 2")
	}
	capture.settle()
	if got, _ := r.counted("a", "while a transaction is open"); got[1] != 1 || got[2] != 21 {
		t.Errorf("published: %v", got)
	}
	if err := hanging.Commit(); err != nil {
		t.Fatal(err)
	}
	capture.settle()
	got, _ := r.counted("a", "when it committed")
	r.same("a", got, r.table("SELECT id, n FROM a"))
	records := r.read(r.topic("a"))
	newest := records[0]
	for _, record := range records {
		if version(record) > version(newest) {
			newest = record
		}
	}
	if key := keyOf(newest); key != `{"id":1}` {
		t.Errorf("the newest version is that of %s", key)
	}
}

func keyOf(record *kgo.Record) string { return string(record.Key) }
