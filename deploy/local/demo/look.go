package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// look says what there is to look at.
func (d *demo) look() {
	if d.keep {
		d.step("To look at")
	} else {
		d.step("To look at with `task demo -- --keep`, which leaves all of it running")
	}
	var configs []string
	for _, c := range d.fleet.components() {
		configs = append(configs, "-c "+filepath.Base(c.Config))
	}
	all := strings.Join(configs, " ")
	_, redisPort, _ := strings.Cut(d.at.redis, ":")
	sql := d.at.mysql
	for _, line := range [][2]string{
		{"settings, logs", "cd " + filepath.Dir(d.fleet.capture.Config)},
		{"the fleet", "../bin/weirctl status " + all},
		{"compare again", "../bin/weirctl verify " + all},
		{"one component", fmt.Sprintf("curl -s %s/status", d.fleet.capture.URL)},
		{"change a row", fmt.Sprintf("mysql -h%s -P%d -u%s -p%s -e \"UPDATE ecommerce.customers SET full_name = 'Grace' WHERE id = 1\"", sql.Host, sql.Port, sql.User, sql.Password)},
		{"in the index", fmt.Sprintf("curl -s '%s/customers/_doc/1?pretty'", d.at.elasticsearch)},
		{"in the cache", fmt.Sprintf("redis-cli -p %s GET customers:1", redisPort)},
		{"in the lake", fmt.Sprintf("duckdb -c \"SELECT full_name, __op, __ts_ms FROM read_parquet('%s/topics/customers/**/*.parquet') WHERE id = 1\"", d.at.objects)},
	} {
		d.print("  %-18s %s\n", line[0], line[1])
	}
}
