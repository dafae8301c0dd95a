package capture

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// A record that the broker does not take stops the capture, with its topic, its
// key and what to do; when the topic takes it, the capture goes on with it.
func TestRecordLargerThanTheBrokerTakes(t *testing.T) {
	t.Parallel()
	r := newRig(t, servers.MySQL(t), servers.Kafka(t), map[string]string{"snapshot.mode": "no_data", "topic.creation.default.max.message.bytes": "200000", "errors.max.retries": "-1"})
	r.exec("CREATE TABLE a (id INT PRIMARY KEY, n BIGINT NOT NULL, pad LONGTEXT)")
	capture := r.launch("capture", "")
	capture.settle() // what follows is in the stream
	r.exec("INSERT INTO a VALUES (1, 1, '')")
	capture.settle()
	random := make([]byte, 400_000) // which no codec makes smaller than the topic takes
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"[rand.IntN(64)]
	}
	if _, err := r.db.ExecContext(t.Context(), "INSERT INTO a VALUES (2, 1, ?)", string(random)); err != nil {
		t.Fatal(err)
	}
	r.exec("UPDATE a SET n = n + 1 WHERE id = 1")
	if why := capture.failed(); !strings.Contains(why, "exit status 1") {
		t.Errorf("it ended with %s", why)
	}
	for _, text := range []string{r.topic("a"), `{\"id\":2}`, "max.request.size", "max.message.bytes"} {
		if !capture.says(text) {
			t.Errorf("the log does not say %s", text)
		}
	}
	if capture.says(string(random[:100])) {
		t.Error("the log shows the row")
	}
	if n := len(r.read(r.topic("a"))); n != 1 {
		t.Errorf("%d records are published", n)
	}
	limit := "1000000"
	if _, err := kadm.NewClient(r.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &limit}}, r.topic("a")); err != nil {
		t.Fatal(err)
	}
	capture.again("")
	capture.settle()
	got, changes := r.counted("a", "at the end")
	r.same("a", got, r.table("SELECT id, n FROM a"))
	if changes != 3 {
		t.Errorf("%d changes", changes)
	}
}
