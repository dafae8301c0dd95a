package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// demo is one run.
type demo struct {
	options
	*screen
	local *servers.Local

	root  string // of the module
	group *processes.Group
	at    addresses
	db    *sql.DB
	kafka *kgo.Client
	fleet fleet
}

// addresses are where the servers are.
type addresses struct {
	mysql         servers.SQL
	elasticsearch string
	redis         string
	kafka         string
	s3            servers.ObjectStore
	objects       string // the folder that the bucket's objects are files in
}

// fleet is what is shown: our processes.
type fleet struct {
	capture *processes.Component
	sinks   []*processes.Component
}

// components are all of them.
func (f *fleet) components() []*processes.Component {
	return append([]*processes.Component{f.capture}, f.sinks...)
}

// The shop's bucket, and what is embedded in which program.
const (
	bucket   = "shop-lake"
	embedded = "Made of Go, each a process of its own: the Kafka broker (franz-go's kfake) and the S3 server (gofakes3).\nWith `task demo -- --real` they are Apache Kafka and versitygw."
	genuine  = "Everything is real: Apache Kafka and versitygw, too."
)

// patience is how long our processes may take to stop: what they promise, and a
// little.
const patience = 12 * time.Second

// run runs all of it. An error says that something could not be done, or that a
// target differs from the source.
func (d *demo) run(ctx context.Context) error {
	about := embedded
	if d.real {
		about = genuine
	}
	d.print("Weir keeps a search index, a cache and a data lake in step with a shop's MySQL.\n%s\n", about)
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.createShop(ctx); err != nil {
		return err
	}
	if err := d.startFleet(ctx); err != nil {
		return err
	}
	if err := d.work(ctx); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	compared := d.compare(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.look()
	if d.keep {
		d.print("\nAll of it goes on until you press Ctrl-C.\n")
		<-ctx.Done()
	}
	return compared
}

// prepare ends what an earlier demo left behind, starts the servers and builds
// the binaries.
func (d *demo) prepare(ctx context.Context) (err error) {
	d.step("Servers and binaries")
	if d.root, err = processes.Root(ctx); err != nil {
		return err
	}
	if err := errors.Join(d.local.Down(ctx), d.local.Purge(), os.RemoveAll(filepath.Join(d.data, "lake"))); err != nil {
		return fmt.Errorf("removing what an earlier demo left: %w", err)
	}
	if d.group, err = processes.NewGroup(filepath.Join(d.data, "run")); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error { return d.build(ctx) })
	g.Go(func() (err error) { d.at.mysql, err = d.local.MySQL(ctx); return err })
	g.Go(func() (err error) { d.at.elasticsearch, err = d.local.Elasticsearch(ctx); return err })
	g.Go(func() (err error) { d.at.redis, err = d.local.Redis(ctx); return err })
	if d.real {
		g.Go(func() (err error) { d.at.kafka, err = d.local.Kafka(ctx); return err })
		g.Go(func() (err error) { d.at.s3, err = d.local.S3(ctx); return err })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if d.real {
		err = d.openReal(ctx)
	} else {
		err = errors.Join(d.startBroker(ctx), d.startStore(ctx))
	}
	if err != nil {
		return err
	}
	d.kafka, err = kgo.NewClient(kgo.SeedBrokers(d.at.kafka))
	return err
}

// built are the commands that the demo runs.
var built = []string{"./cmd/weir-capture", "./cmd/weir-elasticsearch", "./cmd/weir-redis", "./cmd/weir-lake", "./cmd/weirctl",
	"./deploy/local/kfake", "./deploy/local/fakes3"}

func (d *demo) build(ctx context.Context) error {
	began := time.Now()
	if err := processes.Build(ctx, d.root, filepath.Join(d.data, "bin"), built...); err != nil {
		return err
	}
	d.line("binaries", "built", fmt.Sprintf("%-16s %s", fmt.Sprint(len(built)), seconds(began)))
	return nil
}

// binary is the path of a built command.
func (d *demo) binary(name string) string { return filepath.Join(d.data, "bin", name) }

// createShop makes the databases of the shop, their first rows, and the
// account of the capture.
func (d *demo) createShop(ctx context.Context) error {
	d.step("The shop")
	config, err := mysql.ParseDSN(d.at.mysql.DSN(""))
	if err != nil {
		return fmt.Errorf("opening MySQL: %w", err)
	}
	config.MultiStatements = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("opening MySQL: %w", err)
	}
	d.db = sql.OpenDB(connector)
	for _, name := range []string{"schema.sql", "seed.sql", "users.sql"} {
		text, err := os.ReadFile(filepath.Join(d.root, "deploy/examples/shop", name))
		if err != nil {
			return fmt.Errorf("reading the shop: %w", err)
		}
		if _, err := d.db.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("creating the shop (%s): %w", name, err)
		}
	}
	var tables, rows int
	err = d.db.QueryRowContext(ctx, `SELECT COUNT(*), (SELECT COUNT(*) FROM ecommerce.orders) + (SELECT COUNT(*) FROM ecommerce.order_items)
		+ (SELECT COUNT(*) FROM inventory.inventory) + (SELECT COUNT(*) FROM inventory.stock_movements)
		FROM information_schema.tables WHERE table_schema IN ('ecommerce', 'inventory')`).Scan(&tables, &rows)
	if err != nil {
		return fmt.Errorf("counting the shop: %w", err)
	}
	d.line("ecommerce, inventory", "created", fmt.Sprintf("%d tables, %d rows to begin with", tables, rows))
	return nil
}

// startFleet starts the capture and the sinks with the examples'
// configurations and the servers' addresses.
func (d *demo) startFleet(ctx context.Context) error {
	d.step("The fleet")
	host, port, _ := strings.Cut(hostPort(d.at.mysql), ":")
	for _, c := range []struct {
		binary, example string
		over            map[string]string
	}{
		{"weir-capture", "capture", map[string]string{"database.hostname": host, "database.port": port, "database.password": "shop"}},
		{"weir-elasticsearch", "elasticsearch", map[string]string{"connection.url": d.at.elasticsearch}},
		{"weir-redis", "redis", map[string]string{"redis.hosts": d.at.redis}},
		{"weir-lake", "lake", map[string]string{"store.url": d.at.s3.Endpoint, "s3.bucket.name": bucket,
			"aws.access.key.id": d.at.s3.AccessKey, "aws.secret.access.key": d.at.s3.SecretKey, "rotate.schedule.interval.ms": "5000"}},
	} {
		c.over["bootstrap.servers"] = d.at.kafka
		connector, err := processes.ReadConnector(filepath.Join(d.root, "deploy/examples/shop", c.example+".json"), c.over)
		if err != nil {
			return err
		}
		component, err := d.group.StartComponent(ctx, d.binary(c.binary), connector)
		if err != nil {
			return err
		}
		if d.fleet.capture == nil {
			d.fleet.capture = component
		} else {
			d.fleet.sinks = append(d.fleet.sinks, component)
		}
		d.line(c.binary, "started", component.URL)
	}
	return nil
}

func hostPort(s servers.SQL) string { return fmt.Sprintf("%s:%d", s.Host, s.Port) }

// settle waits until everything is delivered.
func (d *demo) settle(ctx context.Context) error {
	began := time.Now()
	p := processes.Pipeline{
		Source: d.db, Captures: []*processes.Component{d.fleet.capture}, Kafka: kadm.NewClient(d.kafka), Group: d.group,
		Topics: func(topic string) bool {
			return strings.HasPrefix(topic, "shop.ecommerce.") || strings.HasPrefix(topic, "shop.inventory.")
		},
	}
	for _, sink := range d.fleet.sinks {
		p.Sinks = append(p.Sinks, []*processes.Component{sink})
	}
	if err := p.Settle(ctx, func(string) {}); err != nil {
		return err
	}
	d.line("zero lag", "reached", seconds(began)+" after the last change")
	return nil
}

// compare runs weirctl verify, whose table ends the demo.
func (d *demo) compare(ctx context.Context) error {
	d.step("Every row of every table, compared with every target (weirctl verify)")
	began := time.Now()
	verify := exec.CommandContext(ctx, d.binary("weirctl"), d.verifyArgs()...)
	verify.Stdout, verify.Stderr = d.out, os.Stderr
	err := verify.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return errors.New("the targets differ from the source")
	case err != nil:
		return fmt.Errorf("comparing: %w", err)
	}
	d.print("0 differences, found in %s; all of the demo took %s\n", seconds(began), seconds(d.began))
	return nil
}

func (d *demo) verifyArgs() []string {
	args := []string{"verify", "--events", "--rounds", "0"}
	for _, c := range d.fleet.components() {
		args = append(args, "--config", c.Config)
	}
	return args
}

// stop ends everything.
func (d *demo) stop() {
	if d.group == nil {
		return
	}
	d.step("Stopping")
	if d.kafka != nil {
		d.kafka.Close()
	}
	if d.db != nil {
		_ = d.db.Close() // nothing is being written
	}
	if err := d.group.Stop(patience); err != nil {
		d.print("%v\n", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.local.Down(ctx); err != nil {
		d.print("%v\n", err)
	}
}
