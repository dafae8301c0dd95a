package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options says where a Local keeps its servers and tells what it does.
type Options struct {
	Cache    string    // folder of fetched servers; empty: $WEIR_CACHE, else the user's cache folder
	Data     string    // folder of what servers write; empty: $WEIR_DATA, else a folder in the cache
	Progress io.Writer // where progress lines go; nil: standard error
}

// Local is a set of servers on this machine that share a data folder. Two Locals with the same data folder, in one
// process or several, see the same servers; another data folder means servers of its own, on other ports.
type Local struct {
	cache, data string
	progress    *progress
}

// Open returns the set of servers in the folders that options name, creating the folders. It starts nothing.
func Open(options Options) (*Local, error) {
	var err error
	if options.Cache == "" {
		if options.Cache, err = cacheFolder(); err != nil {
			return nil, fmt.Errorf("choosing the cache folder: %w", err)
		}
	}
	if options.Data == "" {
		if options.Data, err = dataFolder(options.Cache); err != nil {
			return nil, fmt.Errorf("choosing the data folder: %w", err)
		}
	}
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	local := &Local{cache: options.Cache, data: options.Data, progress: &progress{out: options.Progress}}
	return local, errors.Join(makeFolder(local.cache), makeFolder(local.data))
}

// Data is the folder that holds everything the servers write.
func (l *Local) Data() string { return l.data }

// Kind names a shared server.
type Kind string

// The servers that a Local can start. RedisCluster is three Redis masters, KafkaSecure a broker with TLS and SASL.
const (
	KindMySQL         Kind = "mysql"
	KindMariaDB       Kind = "mariadb"
	KindKafka         Kind = "kafka"
	KindKafkaSecure   Kind = "kafka-secure"
	KindElasticsearch Kind = "elasticsearch"
	KindRedis         Kind = "redis"
	KindRedisCluster  Kind = "redis-cluster"
	KindS3            Kind = "s3"
)

// Kinds is every kind of shared server, in the order in which they are listed.
func Kinds() []Kind {
	return []Kind{KindMySQL, KindMariaDB, KindKafka, KindKafkaSecure, KindElasticsearch, KindRedis, KindRedisCluster, KindS3}
}

// nodes are the processes of a shared server.
func (l *Local) nodes(kind Kind) ([]*node, error) {
	switch kind {
	case KindMySQL:
		return []*node{l.shared("mysql", mysqlRecipe(l, 512), 23306)}, nil
	case KindMariaDB:
		return []*node{l.shared("mariadb", mariadbRecipe(l, 256), 23307)}, nil
	case KindKafka:
		return []*node{l.shared("kafka", kafkaRecipe(l), 29092, 29093)}, nil
	case KindKafkaSecure:
		return []*node{l.shared("kafka-secure", kafkaSecureRecipe(l), 29192, 29193, 29194, 29195, 29196)}, nil
	case KindElasticsearch:
		return []*node{l.shared("elasticsearch", elasticsearchRecipe(l), 29200, 29300)}, nil
	case KindRedis:
		return []*node{l.shared("redis", redisRecipe(l), 26379)}, nil
	case KindRedisCluster:
		return l.redisClusterNodes(), nil
	case KindS3:
		return []*node{l.shared("s3", s3Recipe(l), 27070)}, nil
	}
	return nil, fmt.Errorf("server %q: want one of %v", kind, Kinds())
}

// shared is the node of a shared server; ports are the preferred ones.
func (l *Local) shared(name string, recipe recipe, ports ...int) *node {
	return &node{local: l, name: name, dir: filepath.Join(l.data, "shared", name), preferred: ports, recipe: recipe}
}

// Up starts the servers that do not run yet, fetching what is missing, all at the same time; without kinds, all of
// them. It returns when every one of them answers, or with the errors of those that do not.
func (l *Local) Up(ctx context.Context, kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	l.sweep()
	errs := make([]error, len(kinds))
	var group errgroup.Group
	for i, kind := range kinds {
		group.Go(func() error {
			_, errs[i] = l.up(ctx, kind)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// up starts one shared server and returns its running nodes.
func (l *Local) up(ctx context.Context, kind Kind) ([]*node, error) {
	nodes, err := l.nodes(kind)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if err := n.ensure(ctx); err != nil {
			return nil, fmt.Errorf("starting %s: %w", n.name, err)
		}
	}
	if kind == KindRedisCluster {
		return nodes, joinCluster(ctx, nodes, len(nodes))
	}
	return nodes, nil
}

// Down stops the servers that run, cleanly, all at the same time; without kinds, all of them. Their data stay.
func (l *Local) Down(ctx context.Context, kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	l.sweep()
	var group errgroup.Group
	for _, kind := range kinds {
		nodes, err := l.nodes(kind)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			group.Go(func() error { return n.down(ctx) })
		}
	}
	return group.Wait()
}

// Purge removes what the servers wrote; without kinds, all of them. Call it after Down.
func (l *Local) Purge(kinds ...Kind) error {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	var errs []error
	for _, kind := range kinds {
		nodes, err := l.nodes(kind)
		errs = append(errs, err)
		for _, n := range nodes {
			errs = append(errs, os.RemoveAll(n.dir))
		}
	}
	return errors.Join(errs...)
}

// Status describes one process of a shared server.
type Status struct {
	Name    string // as in the data folder, e.g. redis-cluster-1
	Running bool
	PID     int   // 0 when it does not run
	Ports   []int // the ports it listens on
	Folder  string
}

// Status lists the processes of all shared servers.
func (l *Local) Status() []Status {
	var all []Status
	for _, kind := range Kinds() {
		nodes, _ := l.nodes(kind) // every kind of the list has nodes
		for _, n := range nodes {
			p, running := readProcess(n.path("pid"))
			status := Status{Name: n.name, Running: running, Folder: n.dir}
			if running {
				status.PID = p.pid
				status.Ports, _ = readPorts(n.path("ports"))
			}
			all = append(all, status)
		}
	}
	return all
}

// patience is how long a server may take to start (after fetching) and to stop.
const (
	startPatience = 8 * time.Minute
	stopPatience  = 30 * time.Second
)
