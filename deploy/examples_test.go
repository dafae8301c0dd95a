package deploy

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// connector is a connector file as Kafka Connect takes it.
type connector struct {
	Name   string
	Config map[string]string
}

func readExample(t *testing.T, name string) connector {
	t.Helper()
	var file connector
	if err := json.Unmarshal(read(t, filepath.Join("examples/shop", name+".json")), &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return file
}

// shopTables are the tables of the shop and the columns of their keys.
var shopTables = map[string]string{
	"ecommerce.customers": "id", "ecommerce.products": "id", "ecommerce.orders": "id",
	"ecommerce.order_items": "order_id,line_no", "inventory.warehouses": "id",
	"inventory.inventory": "warehouse_id,product_id", "inventory.stock_movements": "id",
}

func TestShopRunsOnMySQLAndMariaDB(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) servers.SQL{
		"mysql": servers.NewMySQL, "mariadb": servers.NewMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			db := start(t).Open(t, "")
			for _, file := range []string{"schema", "seed", "users"} {
				runScript(t, db, filepath.Join("examples/shop", file+".sql"))
			}
			for table, key := range shopTables {
				checkTable(t, db, table, key)
			}
			var account string
			if err := db.QueryRow("SELECT user FROM mysql.user WHERE user = 'weir_capture' AND host = '%'").Scan(&account); err != nil {
				t.Errorf("the capture's account: %v", err)
			}
		})
	}
}

// runScript runs a file's statements on one connection.
func runScript(t *testing.T, db *sql.DB, path string) {
	t.Helper()
	connection, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	for statement := range strings.SplitSeq(string(read(t, path)), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := connection.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v in\n%s", path, err, statement)
		}
	}
}

// checkTable wants rows in a table, and its key.
func checkTable(t *testing.T, db *sql.DB, table, key string) {
	t.Helper()
	var rows int
	if err := db.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&rows); err != nil || rows == 0 {
		t.Errorf("%s: %d rows, %v", table, rows, err)
	}
	schema, name, _ := strings.Cut(table, ".")
	var got string
	err := db.QueryRow("SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics"+
		" WHERE index_name = 'PRIMARY' AND table_schema = ? AND table_name = ?", schema, name).Scan(&got)
	if err != nil || got != key {
		t.Errorf("%s: key %s, %v; want %s", table, got, err, key)
	}
}

func TestCaptureExampleTakesTheShop(t *testing.T) {
	config := readExample(t, "capture").Config
	databases := "," + config["database.include.list"] + ","
	for table := range shopTables {
		if database, _, _ := strings.Cut(table, "."); !strings.Contains(databases, ","+database+",") {
			t.Errorf("%s is not in database.include.list %s", table, config["database.include.list"])
		}
	}
	if config["topic.prefix"] != "shop" {
		t.Errorf("topic.prefix is %s", config["topic.prefix"])
	}
}

func TestSinkExamplesTakeEveryTableAndRouteItToItsName(t *testing.T) {
	for _, name := range []string{"elasticsearch", "redis", "lake"} {
		config := readExample(t, name).Config
		topics := whole(t, config["topics.regex"])
		route := whole(t, config["transforms.route.regex"])
		for table := range shopTables {
			topic := "shop." + table
			_, want, _ := strings.Cut(table, ".")
			if !topics.MatchString(topic) {
				t.Errorf("%s does not read %s", name, topic)
			}
			if got := route.ReplaceAllString(topic, config["transforms.route.replacement"]); got != want {
				t.Errorf("%s routes %s to %s, want %s", name, topic, got, want)
			}
		}
		for _, other := range []string{"shop", "shop.transaction", "__debezium-heartbeat.shop", "shop.weir-schemas"} {
			if topics.MatchString(other) {
				t.Errorf("%s reads %s, which holds no rows", name, other)
			}
		}
	}
}

// whole compiles an expression that matches whole texts only, as Java's matches does.
func whole(t *testing.T, expression string) *regexp.Regexp {
	t.Helper()
	compiled, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}
