package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/yaml.v3"
)

func TestSecretNeverShows(t *testing.T) {
	s := NewSecret("hunter2")
	type holder struct {
		Public SecretText
		hidden SecretText
	}
	h := holder{s, s}
	v, _, err := Parse(map[string]string{"name": "n", "database.hostname": "h", "database.password": "hunter2"}, shop)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		for _, value := range []any{s, &s, h, &h, []SecretText{s}, map[string]SecretText{"a": s}, v, *v, struct{ v *Values }{v}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	for _, value := range []any{s, h, map[string]any{"a": s}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		if text, err = yaml.Marshal(value); err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel)
	zap.New(core).Info("x", zap.Any("s", s), zap.Stringer("t", s), zap.Reflect("h", h), zap.Any("v", v))
	zap.New(core).Sugar().Infow("x", "s", s, "h", h)
	text := out.String()
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(text, leak) {
			t.Errorf("%s in %s", leak, text)
		}
	}
	if !strings.Contains(text, stars) || s.Reveal() != "hunter2" || !s.IsSet() {
		t.Error("the secret is lost")
	}
	if empty := NewSecret(""); empty.IsSet() || empty.String() != "" || empty.Reveal() != "" || empty != (SecretText{}) {
		t.Error("an empty secret is not empty")
	}
}

func TestSaltInANameIsHidden(t *testing.T) {
	e := NewError("column.mask.hash.SHA-256.with.salt.hunter2", "a.b", "a list")
	n := Notice{Property: "column.mask.hash.v2.SHA-256.with.salt.hunter2", Text: "x"}
	if text := e.Error() + n.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "with.salt.****") {
		t.Error(text)
	}
}

// TestSecretsOfTransformsAreHidden: a transform names its properties itself, so
// their names decide what a mistake shows.
func TestSecretsOfTransformsAreHidden(t *testing.T) {
	for _, property := range []string{"transforms.a.lookup.redis.pasword.password", "transforms.m.config.masking.0.key", "transforms.m.config.masking.1.salt"} {
		if text := NewError(property, "hunter2", "something else").Error(); strings.Contains(text, "hunter2") {
			t.Error(text)
		}
	}
	if text := NewError("transforms.a.lookup.key.field", "user_id", "a field").Error(); !strings.Contains(text, "user_id") {
		t.Error(text)
	}
}

// TestMisspelledSecretsAreHidden: what a name that no table has holds is not shown
// where people would call a secret so, and is where they would not.
func TestMisspelledSecretsAreHidden(t *testing.T) {
	table := Table{Properties: []Property{{Name: "redis.hosts"}, {Name: "redis.password", Type: Secret}, {Name: "connection.url"}}}
	for _, c := range []struct {
		names  []string
		hidden bool
	}{
		{[]string{"redis.pass", "redis.auth", "redis.pwd", "redis.AUTH", "sink.redis.pass", "sink_redis_auth", "redis.pasword", "redis.passwort",
			"connection.apikey", "connection.apiKey", "connection.api_key", "connection.api-key", "connection.api.keyy"}, true},
		{[]string{"redis.author", "redis.passthrough", "sink.compass.route"}, false},
	} {
		for _, name := range c.names {
			_, _, err := Parse(map[string]string{name: "hunter2"}, table)
			if err == nil || strings.Contains(err.Error(), "hunter2") == c.hidden {
				t.Errorf("hidden %t, want %t: %v", !c.hidden, c.hidden, err)
			}
		}
	}
}
