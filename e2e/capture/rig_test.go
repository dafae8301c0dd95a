// Package capture kills, pauses and cuts off real captures on real servers. The
// binary is built with the tag failpoint, so that it can be told to die at any
// step of its work. What a read-committed consumer sees is checked change by
// change: the tables have a counter that every change of a row moves on by one,
// so that a change that is lost, doubled or out of order shows.
package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-cdc/weir/deploy/local/processes"
	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/failpoint"
)

// folder is where the binary is built into.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "weir-capture-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// build builds weir-capture with its failpoints, once for all tests of a run.
var build = processes.Once(func() string { return folder }, "-tags=failpoint", "./cmd/weir-capture")

const (
	// patience bounds every wait for something that is certain to come.
	patience = 4 * time.Minute
	// stopping is how long a capture may take to stop.
	stopping = 30 * time.Second
)

// rig is a database and the captures of it.
type rig struct {
	t      *testing.T
	db     *sql.DB
	name   string // of the database
	prefix string
	kafka  string // address of the broker, as the test reaches it
	client *kgo.Client
	config map[string]string
	dir    string
}

// newRig makes a database on a server for captures that reach MySQL and Kafka at
// the addresses given, with more properties.
func newRig(t *testing.T, server servers.SQL, kafka string, set map[string]string) *rig {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, prefix: servers.Unique(t, "rig"), kafka: kafka, dir: t.TempDir()}
	r.name = server.Database(t)
	r.db = server.Open(t, r.name)
	var err error
	if r.client, err = kgo.NewClient(kgo.SeedBrokers(kafka)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	r.config = map[string]string{
		"connector.class": "io.debezium.connector.mysql.MySqlConnector", "topic.prefix": r.prefix, "bootstrap.servers": kafka,
		"database.hostname": server.Host, "database.port": strconv.Itoa(server.Port), "database.user": server.User, "database.password": server.Password,
		"database.server.id": "5400", "database.include.list": r.name, "offset.storage.topic": r.prefix + "-offsets",
		"topic.creation.default.partitions": "2", "topic.creation.default.replication.factor": "1",
		"snapshot.chunk.size": "100", "snapshot.max.threads": "2", "max.queue.size": "200",
		"provide.transaction.metadata": "true", "offset.flush.interval.ms": "300",
		"errors.retry.delay.initial.ms": "50", "errors.retry.delay.max.ms": "500",
	}
	maps.Copy(r.config, set)
	t.Cleanup(r.removeTopics)
	return r
}

// removeTopics removes what the test left in a shared broker.
func (r *rig) removeTopics() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	admin := kadm.NewClient(r.client)
	if topics, err := admin.ListTopics(ctx); err == nil {
		for _, name := range topics.Names() {
			if strings.HasPrefix(name, r.prefix) {
				_, _ = admin.DeleteTopics(ctx, name) // the broker is there for tests only
			}
		}
	}
}

// exec runs statements.
func (r *rig) exec(statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		if _, err := r.db.ExecContext(r.t.Context(), s); err != nil {
			r.t.Fatalf("%s: %v", s, err)
		}
	}
}

// instance is one process of the capture, and how it is run again.
type instance struct {
	*processes.Component
	rig   *rig
	group *processes.Group
}

// launch starts a capture that is to die, or stop, at a failpoint; "" for none.
func (r *rig) launch(name, at string) *instance {
	r.t.Helper()
	group, err := processes.NewGroup(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	i := &instance{rig: r, group: group}
	r.t.Cleanup(i.end)
	connector := processes.Connector{Name: r.prefix, Config: maps.Clone(r.config)}
	i.Component, err = group.StartComponent(r.t.Context(), filepath.Join(folder, "weir-capture"), connector, variable(at))
	if i.Component == nil {
		r.t.Fatal(err)
	}
	if at == "" {
		i.answers()
	}
	return i
}

func variable(at string) string { return "WEIR_FAILPOINT=" + at }

// again starts the capture again after its end.
func (i *instance) again(at string) {
	i.rig.t.Helper()
	i.Env = []string{variable(at)}
	if err := i.Start(); err != nil {
		i.rig.t.Fatal(err)
	}
	if at == "" {
		i.answers()
	}
}

// answers waits until the capture serves its HTTP port.
func (i *instance) answers() {
	i.rig.t.Helper()
	ctx, cancel := context.WithTimeout(i.rig.t.Context(), patience)
	defer cancel()
	err := i.Until(ctx, func(ctx context.Context) error {
		_, err := i.Status(ctx)
		return err
	})
	if err != nil {
		i.rig.t.Fatal(err)
	}
}

// end stops the capture, and shows the log of a test that failed.
func (i *instance) end() {
	if err := i.Stop(stopping); err != nil && !i.rig.t.Failed() {
		i.rig.t.Error(err)
	}
	if i.rig.t.Failed() {
		i.rig.t.Log(i.LogTail())
	}
}

// waitFor waits until something is true.
func (r *rig) waitFor(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}

// died waits until the capture has killed itself at a failpoint, and takes its
// membership away at once: the broker would wait for the end of its session.
// Meanwhile provoke, if there is one, is called now and then.
func (i *instance) died(at string, provoke func()) {
	i.rig.t.Helper()
	next := time.Now()
	i.rig.waitFor("death at "+at, func() bool {
		if i.Ended() != nil {
			return true
		}
		if provoke != nil && time.Now().After(next) {
			provoke()
			next = time.Now().Add(time.Second)
		}
		return false
	})
	i.forget(at, "kill")
	i.rig.expel()
}

// forget takes note of an end that was asked for, by a failpoint.
func (i *instance) forget(at, how string) {
	i.rig.t.Helper()
	if !i.says("failpoint: " + at + ": " + how) {
		i.rig.t.Fatalf("it ended otherwise: %v", i.Ended())
	}
	_ = i.Kill() // it has ended already, which is the error
}

// says reports whether the log has a text.
func (i *instance) says(text string) bool {
	log, err := os.ReadFile(i.Log())
	return err == nil && strings.Contains(string(log), text)
}

// expel removes all members of the leaders' group.
func (r *rig) expel() {
	r.t.Helper()
	group := "weir-capture-" + r.prefix
	described, err := kadm.NewClient(r.client).DescribeGroups(r.t.Context(), group)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range described[group].Members {
		request := kmsg.NewPtrLeaveGroupRequest()
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		request.Group, request.MemberID, request.Members = group, m.MemberID, []kmsg.LeaveGroupRequestMember{member}
		if _, err := request.RequestWith(r.t.Context(), r.client); err != nil {
			r.t.Fatal(err)
		}
	}
}

// settle waits until the capture has stored the end of the database's log.
func (i *instance) settle() {
	i.rig.t.Helper()
	ctx, cancel := context.WithTimeout(i.rig.t.Context(), patience)
	defer cancel()
	p := processes.Pipeline{Source: i.rig.db, Captures: []*processes.Component{i.Component}, Kafka: kadm.NewClient(i.rig.client), Group: i.group,
		Topics: func(topic string) bool { return strings.HasPrefix(topic, i.rig.topic("")) }}
	if err := p.Settle(ctx, func(string) {}); err != nil {
		i.rig.t.Fatal(err)
	}
}

// stopped waits until the capture has stopped itself with SIGSTOP.
func (i *instance) stopped(at string) {
	i.rig.t.Helper()
	i.rig.waitFor("the stop at "+at, func() bool {
		if err := i.Ended(); err != nil {
			i.rig.t.Fatal(err)
		}
		return i.says("failpoint: " + at + ": stop")
	})
}

// topic is that of a table.
func (r *rig) topic(table string) string { return r.prefix + "." + r.name + "." + table }

// at is a failpoint's text for the n-th passage.
func at(name failpoint.Name, n int) string { return fmt.Sprintf("%s:%d", name, n) }

// failed waits until the capture has given up, and returns why.
func (i *instance) failed() string {
	i.rig.t.Helper()
	var why string
	i.rig.waitFor("the capture to give up", func() bool {
		if ended := i.Ended(); ended != nil {
			why = errors.Join(ended).Error()
			return true
		}
		return false
	})
	_ = i.Kill() // it has ended already, which is the error
	return why
}
