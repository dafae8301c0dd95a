package consumers

import (
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	c, notices, err := configure(t, map[string]string{"name": "orders", "topics": "a, b"})
	if err != nil || len(notices) != 0 {
		t.Fatal(notices, err)
	}
	if c.Group != "weir-orders" || c.Reset != Earliest || c.Tolerate || c.DeadLetter.Topic != "orders-dlq" || c.Source.ClientID != "weir-orders" ||
		c.Backoff != 100*time.Millisecond || c.MaxBackoff != time.Minute || c.RetryTimeout >= 0 || c.Horizon >= 0 || c.KeyText || c.Versions != VersionAuto {
		t.Errorf("%+v", c)
	}
}

func TestConfigOverrides(t *testing.T) {
	c, notices, err := configure(t, map[string]string{
		"name": "orders", "topics": "a", "group.id": "g1", "consumer.override.group.id": "g2", "consumer.override.auto.offset.reset": "latest",
		"consumer.override.fetch.max.bytes": "12345678", "consumer.override.max.poll.records": "500", "key.converter": "StringConverter",
		"key.converter.schemas.enable": "false", "errors.tolerance": "all", "client.id": "mine", "producer.override.compression.type": "LZ4",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Group != "g2" || c.Reset != Latest || c.Fetch.MaxBytes != 12345678 || !c.KeyText || !c.Tolerate || c.Source.ClientID != "mine" || c.DeadLetter.Compression != "lz4" {
		t.Errorf("%+v", c)
	}
	var all []string
	for _, n := range notices {
		all = append(all, n.String())
	}
	for _, want := range []string{"consumer.override.max.poll.records", "key.converter.schemas.enable", "orders-dlq"} {
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("no notice about %s in %q", want, all)
		}
	}
}

// TestConfigErrorsComeTogether names every property at once.
func TestConfigErrorsComeTogether(t *testing.T) {
	for _, c := range []struct {
		set  map[string]string
		want []string
	}{
		{map[string]string{}, []string{"topics is not set"}},
		{map[string]string{"topics": "a", "topics.regex": "b"}, []string{"topics.regex", "either topics or topics.regex"}},
		{map[string]string{"topics.regex": "a(?=b)", "errors.tolerance": "some", "value.converter": "io.confluent.connect.avro.AvroConverter", "key.converter": "x.Y"},
			[]string{"topics.regex", "look-around", "errors.tolerance", "none, all", "Avro comes in a later version", "StringConverter"}},
		{map[string]string{"topics": "a", "consumer.override.isolation.level": "read_uncommitted", "producer.override.comprssion.type": "lz4", "security.protocol": "SASL_SSL"},
			[]string{"consumer.override.isolation.level", "read_committed", "producer.override.compression.type", "sasl.mechanism"}},
		{map[string]string{"topics": "a", "consumer.override.heartbeat.interval.ms": "20000"}, []string{"consumer.override.heartbeat.interval.ms", "a third of session.timeout.ms"}},
	} {
		c.set["name"] = "orders"
		_, _, err := configure(t, c.set)
		if err == nil {
			t.Errorf("%v: no error", c.set)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v:\n%v\nlacks %q", c.set, err, want)
			}
		}
	}
}
