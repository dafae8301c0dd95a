package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupInUse finds members of a sink's group that are no instances of the sink,
// and a Kafka Connect that still runs the connector of that name.
func (s *servers) groupInUse(ctx context.Context, m *member, client *kgo.Client) {
	connect := "connect-" + m.connector()
	described, err := kadm.NewClient(client).DescribeGroups(ctx, m.runtime.Group, connect)
	if err != nil {
		s.unreachable(m, "bootstrap.servers", "the group "+m.runtime.Group, err)
		return
	}
	own := func(id string) bool { return id == m.runtime.Source.ClientID }
	if others := clients(described[m.runtime.Group], own); len(others) > 0 {
		property := "group.id"
		if _, _, set := m.setAs(property); !set {
			property = "name"
		}
		s.find(m, Failure, Finding{Code: "group-in-use", Property: property, What: fmt.Sprintf("the group %s is in use by %s", m.runtime.Group, strings.Join(others, ", ")),
			Why: "they take partitions from each other, and each gets a part of the records only", Do: "stop the other, or write another " + property})
	}
	if others := clients(described[connect], func(string) bool { return false }); len(others) > 0 {
		s.find(m, Failure, Finding{Code: "group-in-use", Property: "name", What: fmt.Sprintf("Kafka Connect still runs the connector %s (%s)", m.connector(), strings.Join(others, ", ")),
			Why: "both would write to one target, and Connect's writes overwrite newer ones", Do: "stop the connector there first"})
	}
}

// clients are the members of a group that are not own, as client id and host.
func clients(group kadm.DescribedGroup, own func(id string) bool) []string {
	var others []string
	for _, member := range group.Members {
		if !own(member.ClientID) {
			others = append(others, member.ClientID+" on "+strings.TrimPrefix(member.ClientHost, "/"))
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}
