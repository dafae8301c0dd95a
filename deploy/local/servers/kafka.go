package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaVersion = "4.1.0"
	kafkaHeap    = "1g" // of a broker that is alone
)

// kafkaPOM names what Maven fetches: the broker with all it needs, and a logger.
const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>weir</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
</dependencies></project>
`

// kafkaProperties configures one broker that is its own controller: %[1]s is the node's folder, %[2]d the
// controller's port. Listeners follow.
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
log.dirs=%[1]s/logs
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.ms=-1
log.cleaner.enable=true
log.cleaner.backoff.ms=1000
message.max.bytes=20971520
replica.fetch.max.bytes=20971520
auto.create.topics.enable=false
`

// kafkaLogging keeps the broker's log to what matters.
const kafkaLogging = `Configuration:
  Appenders:
    Console: {name: C, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: C}]}
`

// kafkaServer is a fetched Kafka and the Java that runs it.
type kafkaServer struct{ java, libs string }

// kafkaRecipe runs a broker without security. Ports: clients, controller.
func kafkaRecipe(l *Local) recipe { return kafkaRecipeOf(l, kafkaHeap) }

// kafkaRecipeOf is kafkaRecipe with a heap of another size.
func kafkaRecipeOf(l *Local, heap string) recipe {
	var server kafkaServer
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			server, err = l.kafka(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) {
			listeners := fmt.Sprintf(`listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
`, n.ports[0], n.ports[1])
			return server.cmd(ctx, n, listeners, heap)
		},
		probe: probeKafka,
	}
}

// kafka fetches the broker's jars.
func (l *Local) kafka(ctx context.Context) (server kafkaServer, err error) {
	server.libs, err = l.fetchOnce(ctx, "kafka-"+kafkaVersion, "Apache Kafka with Maven", func(ctx context.Context, dir string) error {
		pom := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(pom, []byte(kafkaPOM), 0o644); err != nil {
			return err
		}
		return l.maven(ctx, "-f", pom, dependencyPlugin+"copy-dependencies", "-DoutputDirectory="+dir)
	})
	if err != nil {
		return server, err
	}
	server.java, err = l.java(ctx)
	return server, err
}

// cmd writes the configuration, formats the log folder if it is empty, and returns the broker's command. Further
// arguments go to the formatter.
func (s kafkaServer) cmd(ctx context.Context, n *node, listeners, heap string, format ...string) (*exec.Cmd, error) {
	properties, logging := n.path("server.properties"), n.path("log4j2.yaml")
	text := fmt.Sprintf(kafkaProperties, n.dir, n.ports[1]) + listeners + strings.Join(n.args, "\n") + "\n"
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(logging, []byte(kafkaLogging), 0o644); err != nil {
		return nil, err
	}
	java := []string{"-cp", s.libs + "/*", "-Dlog4j2.configurationFile=" + logging, "-Djava.io.tmpdir=" + n.dir}
	if !exists(n.path("logs", "meta.properties")) {
		if err := os.RemoveAll(n.path("logs")); err != nil {
			return nil, err
		}
		args := append(append(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format",
			"-t", "d2Vpci1sb2NhbC1jbHVzdA", "-c", properties), format...)
		if err := run(exec.CommandContext(ctx, s.java, args...)); err != nil {
			return nil, fmt.Errorf("formatting the log folder: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, s.java, append(java, "-Xmx"+heap, "-Xms256m", "-XX:+UseG1GC", "kafka.Kafka", properties)...)
	cmd.Dir = n.dir
	return cmd, nil
}

// probeKafka returns nil when the broker answers a metadata request and transactions can begin.
func probeKafka(ctx context.Context, n *node) error {
	return pingKafka(ctx, kgo.SeedBrokers(address(n.ports[0])))
}

// pingKafka asks for a producer id of a transaction, for which all of the broker must be up.
func pingKafka(ctx context.Context, options ...kgo.Opt) error {
	client, err := kgo.NewClient(append(options, kgo.TransactionalID("weir-local-probe"))...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	_, _, err = client.ProducerID(ctx)
	return err
}
