package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisRecipe runs a Redis that writes nothing to disk. Port: clients.
func redisRecipe(l *Local, extra ...string) recipe {
	var program string
	var env []string
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			program, env, err = l.redis(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			args := []string{
				"--port", strconv.Itoa(n.ports[0]), "--bind", loopback, "--dir", n.dir, "--save", "", "--appendonly", "no",
				"--daemonize", "no",
			}
			named := strings.NewReplacer("{port}", strconv.Itoa(n.ports[0]), "{bus}", strconv.Itoa(n.bus()))
			for _, arg := range append(slices.Clone(extra), n.args...) {
				args = append(args, named.Replace(arg))
			}
			cmd := exec.CommandContext(ctx, program, args...)
			cmd.Env, cmd.Dir = env, n.dir
			return cmd, nil
		},
		probe: l.probeRedis,
	}
}

// redis finds Redis 6.2 or newer on PATH or fetches the distribution's (7.0 on Debian 12).
func (l *Local) redis(ctx context.Context) (program string, env []string, err error) {
	if path, ok := lookPath("redis-server"); ok {
		if _, version := versionOf(ctx, path, "--version"); atLeast(version, 6, 2) {
			return path, os.Environ(), nil
		}
	}
	prefix, err := l.fetchOnce(ctx, "redis", "redis-server with apt-get", func(ctx context.Context, dir string) error {
		return l.stableState().unpack(ctx, dir, "redis-server")
	})
	if err != nil {
		return "", nil, err
	}
	env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(prefix, "usr/lib", libraryFolder()))
	return filepath.Join(prefix, "usr/bin/redis-server"), env, nil
}

// probeRedis returns nil when the server answers, in clear or by TLS; that it wants a password is an answer, too.
func (l *Local) probeRedis(ctx context.Context, n *node) error {
	plainly := pingRedis(ctx, &redis.Options{Addr: address(n.ports[0])})
	if plainly == nil || !slices.Contains(n.args, "--tls-port") {
		return plainly
	}
	files, err := l.Certificates(ctx)
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return err
	}
	// Whether the certificate is the right one is what tests find out; here it matters that something answers.
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}}
	return pingRedis(ctx, &redis.Options{Addr: address(n.ports[0]), TLSConfig: config})
}

func pingRedis(ctx context.Context, options *redis.Options) error {
	options.MaxRetries, options.PoolSize, options.DisableIdentity = -1, 1, true
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	err := client.Ping(ctx).Err()
	if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
		return nil
	}
	return err
}

// bus is the port at which a cluster's nodes reach this one: the second, if it has one.
func (n *node) bus() int {
	if len(n.ports) > 1 {
		return n.ports[1]
	}
	return n.ports[0] + 10_000
}

func clusterArguments(more ...string) []string {
	return append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"}, more...)
}

// redisClusterNodes are three masters. Their buses listen 10000 ports above the clients'.
func (l *Local) redisClusterNodes() []*node {
	nodes := make([]*node, 3)
	for i := range nodes {
		recipe := redisRecipe(l, clusterArguments()...)
		nodes[i] = l.shared("redis-cluster-"+strconv.Itoa(i+1), recipe, 17001+i)
	}
	return nodes
}

// joinCluster makes one cluster of the nodes, unless they are one already, and returns when every node sees it whole.
// The first ones are the masters that have slots.
func joinCluster(ctx context.Context, nodes []*node, masters int) error {
	unlock, err := lockFile(ctx, nodes[0].dir+".join.lock", nil)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients := make([]*redis.Client, len(nodes))
	for i, n := range nodes {
		clients[i] = redis.NewClient(&redis.Options{Addr: address(n.ports[0]), PoolSize: 1, DisableIdentity: true})
		defer func() { _ = clients[i].Close() }()
	}
	if whole(ctx, clients, masters) == nil {
		return nil
	}
	if err := spreadSlots(ctx, clients, nodes, masters); err != nil {
		return fmt.Errorf("joining the Redis cluster: %w", err)
	}
	for {
		err := whole(ctx, clients, masters)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the Redis cluster: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// spreadSlots forgets what the nodes knew, divides the slots among the masters and lets the first meet the others.
func spreadSlots(ctx context.Context, clients []*redis.Client, nodes []*node, masters int) error {
	const slots = 16384
	for i, client := range clients {
		if err := errors.Join(client.FlushAll(ctx).Err(), client.ClusterResetHard(ctx).Err()); err != nil {
			return err
		}
		// Epochs that differ spare the nodes a quarrel about who owns what.
		if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		if i >= masters {
			continue
		}
		first, last := slots*i/masters, slots*(i+1)/masters-1
		if err := client.ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
			return err
		}
	}
	for _, n := range nodes[1:] {
		if err := clients[0].Do(ctx, "CLUSTER", "MEET", loopback, n.ports[0], n.bus()).Err(); err != nil {
			return err
		}
	}
	return nil
}

// whole returns nil when every node sees all nodes and slots.
func whole(ctx context.Context, clients []*redis.Client, masters int) error {
	for _, client := range clients {
		info, err := client.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", masters)) ||
			!strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(clients))) {
			return fmt.Errorf("not whole yet: %q", info)
		}
	}
	return nil
}
