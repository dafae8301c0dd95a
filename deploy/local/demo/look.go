package main

import (
	"fmt"
	"strings"
)

// look says what there is to look at.
func (d *demo) look() {
	d.step("To look at, while it runs")
	if !d.keep {
		d.print("It stops now; `task demo -- --keep` leaves all running until Ctrl-C. The files stay.\n")
	}
	var configs []string
	for _, c := range d.fleet.components() {
		configs = append(configs, "-c "+c.Config)
	}
	_, port, _ := strings.Cut(d.at.redis, ":")
	sqlPort := d.at.mysql.Port
	for _, line := range [][2]string{
		{"the fleet", fmt.Sprintf("%s status %s", d.binary("weirctl"), strings.Join(configs, " "))},
		{"one component", fmt.Sprintf("curl -s %s/status; curl -s %[1]s/metrics", d.fleet.capture.URL)},
		{"the source", fmt.Sprintf("mysql -h127.0.0.1 -P%d -u%s -p%s -e \"UPDATE ecommerce.orders SET note = 'seen it' WHERE id = 1\"", sqlPort, d.at.mysql.User, d.at.mysql.Password)},
		{"the index", fmt.Sprintf("curl -s '%s/orders/_doc/1?pretty'", d.at.elasticsearch)},
		{"the cache", fmt.Sprintf("redis-cli -p %s GET orders:1", port)},
		{"the lake", fmt.Sprintf("duckdb -c \"SELECT __op, count(*) FROM read_parquet('%s/topics/orders/**/*.parquet') GROUP BY ALL\"", d.at.objects)},
		{"logs and settings", d.data + "/run"},
	} {
		d.print("  %-18s %s\n", line[0], line[1])
	}
}
