package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
)

// servers asks the servers of a fleet, and changes nothing on them.
type servers struct {
	d      *Doctor
	report *Report
	// kafka are the connections by member, nil where the brokers do not answer.
	kafka map[*member]*kgo.Client
	// tables are those of each capture's databases, captured or not.
	tables map[*member][]*capture.Table
	mu     sync.Mutex // of report
}

// pingTimeout is how long one server may take to answer at all.
const pingTimeout = 10 * time.Second

// openServers connects to the brokers of all members, once a cluster.
func openServers(ctx context.Context, d *Doctor) *servers {
	s := &servers{d: d, report: &d.report, kafka: map[*member]*kgo.Client{}, tables: map[*member][]*capture.Table{}}
	known := map[string]*kgo.Client{}
	for _, m := range d.members {
		if len(m.errs) > 0 && m.brokers().Bootstrap == nil {
			continue
		}
		at := strings.Join(m.brokers().Bootstrap, ",")
		client, asked := known[at]
		if !asked {
			client = s.connect(ctx, m, at)
			known[at] = client
		}
		s.kafka[m] = client
	}
	return s
}

// brokers is the connection to Kafka that a member reads or writes with.
func (m *member) brokers() kafka.Config {
	if m.isSink() {
		return m.runtime.Source
	}
	return m.source.Kafka
}

// connect connects to the brokers of a member, or reports that they do not
// answer.
func (s *servers) connect(ctx context.Context, m *member, at string) *kgo.Client {
	options, err := m.brokers().Options()
	if err != nil {
		return nil // the component says so, too
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		s.unreachable(m, "bootstrap.servers", "Kafka at "+at, err)
		return nil
	}
	return client
}

func (s *servers) close() {
	closed := map[*kgo.Client]bool{}
	for _, client := range s.kafka {
		if client != nil && !closed[client] {
			client.Close()
			closed[client] = true
		}
	}
}

func (s *servers) find(m *member, severity Severity, f Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.find(m, severity, f)
}

// unreachable reports a server that does not answer, or refuses to.
func (s *servers) unreachable(m *member, property, what string, err error) {
	f := Finding{Code: "unreachable", Property: property, What: fmt.Sprintf("%s does not answer: %s", what, cause(err)),
		Why: "nothing is read from or written to it", Do: "start it, open the way to it, or write where it is"}
	if !isUnreachable(err) {
		f.Code, f.What, f.Why, f.Do = "server-refuses", fmt.Sprintf("%s refuses: %s", what, cause(err)), "the component does not work", "mend what it says, there or in the file"
	}
	s.find(m, Failure, f)
}

// isUnreachable reports whether an error is of the way to a server, not of what
// it answered.
func isUnreachable(err error) bool {
	var operation *net.OpError
	var name *net.DNSError
	return errors.As(err, &operation) || errors.As(err, &name) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, capture.ErrUnavailable) || errors.Is(err, syscall.ECONNREFUSED)
}

// cause is an error in one line.
func cause(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// examine asks what the files cannot say.
func (s *servers) examine(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range s.d.sinks() {
		all.Go(func() {
			s.target(ctx, m)
			if client := s.kafka[m]; client != nil {
				s.groupInUse(ctx, m, client)
				s.retention(ctx, m, client)
				s.movesLost(ctx, m, client)
			}
		})
	}
	all.Wait()
	s.mappings(ctx)
}

// place is the property that says where a component's target is, and what to
// call it.
func (m *member) place() (property, name string) {
	switch m.program.Name {
	case elasticsearchName:
		return "connection.url", "Elasticsearch"
	case redisName:
		return "redis.hosts", "Redis"
	}
	return "s3.bucket.name", "the bucket " + m.values.String("s3.bucket.name")
}

// target asks a sink's target, as the sink does with --validate.
func (s *servers) target(ctx context.Context, m *member) {
	if m.main == nil {
		return
	}
	property, name := m.place()
	for _, err := range config.Errors(m.main.Check(ctx)) {
		if strings.HasPrefix(err.Error(), "reaching Kafka") || errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // found before; topics come with their first change
		}
		s.unreachable(m, property, name, err)
	}
}

// quiet is the log of what is asked in passing.
var quiet = zap.NewNop()
