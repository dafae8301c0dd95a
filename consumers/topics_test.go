package consumers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestTopicsThatAreCreatedAfterTheStartAreRead starts a sink before its capture
// has created any topic, with the default age of metadata, five minutes.
func TestTopicsThatAreCreatedAfterTheStartAreRead(t *testing.T) {
	_, addr := fake(t)
	cl := connect(t, addr)
	s := newTarget()
	r := setup{addr: addr, writer: s, properties: map[string]string{"topics.regex": `shop\..+`, "consumer.override.metadata.max.age.ms": "300000"}}.build(t)
	start(t, r)
	time.Sleep(200 * time.Millisecond)
	for _, topic := range []string{"shop.orders", "other", "shop.items"} {
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, flat(topic, 0, 1, 1))
		time.Sleep(1200 * time.Millisecond)
	}
	caughtUp(t, r, 2)
	for _, topic := range []string{"shop.orders", "shop.items"} {
		if _, ok := s.get(topic + `/{"id":1}`); !ok {
			t.Errorf("the record of %s was not written", topic)
		}
	}
}

// TestMissingTopicsAreSaid: a topic that nobody writes, as one with a typing
// error, is named in the answer of /readyz and goes from it when it exists.
func TestMissingTopicsAreSaid(t *testing.T) {
	_, addr := fake(t)
	cl := connect(t, addr)
	r := setup{addr: addr, writer: newTarget(), properties: map[string]string{"topics": "shop.oders"}}.build(t)
	start(t, r)
	eventually(t, func() error {
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "shop.oders does not exist") {
			return fmt.Errorf("the topic is not named: %w", err)
		}
		return nil
	})
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "shop.oders"); err != nil {
		t.Fatal(err)
	}
	eventually(t, r.Ready)
	if p := r.problem.get(); p != nil {
		t.Errorf("what is said of a missing topic is said as a problem, too: %s", p.Text)
	}
}
