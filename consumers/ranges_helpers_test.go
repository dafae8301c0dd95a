package consumers

import (
	"context"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stableEnds are the last stable offsets of a topic's partitions.
func stableEnds(t testing.TB, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	listed, err := kadm.NewClient(cl).ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// createTopic makes a topic and returns when it is there.
func createTopic(t testing.TB, brokers, topic string, partitions int32, configs ...string) {
	t.Helper()
	given := map[string]*string{}
	for i := 0; i+1 < len(configs); i += 2 {
		given[configs[i]] = &configs[i+1]
	}
	if _, err := kadm.NewClient(connect(t, brokers)).CreateTopic(context.Background(), partitions, 1, given, topic); err != nil {
		t.Fatal(err)
	}
}

func netDial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
