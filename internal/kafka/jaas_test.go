package kafka

import (
	"maps"
	"strings"
	"testing"
)

// TestJAAS reads entries as Kafka's JaasConfig does.
func TestJAAS(t *testing.T) {
	plain := map[string]string{"username": "alice", "password": "s3cret"}
	for _, c := range []struct {
		name, text string
		want       map[string]string
		fails      string
	}{
		{"usual", `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="s3cret";`, plain, ""},
		{"lines", "  a.b.PlainLoginModule\n REQUIRED\n  username='alice'\n  password=\"s3cret\" ;\n", plain, ""},
		{"bare words", `PlainLoginModule required username=alice password="s3cret";`, plain, ""},
		{"escapes", `M required password="a\"b\\c\101\n;=" ;`, map[string]string{"password": "a\"b\\cA\n;="}, ""},
		{"comments", "M required /* not this; */ username=\"alice\" // nor this\n password=\"s3cret\";", plain, ""},
		{"blanks around =", `M required username = "alice" password = "s3cret";`, plain, ""},
		{"empty value", `M required username="";`, map[string]string{"username": ""}, ""},
		{"no options", `M optional;`, map[string]string{}, ""},
		{"umlaut", `M required password="päß\"wörd";`, map[string]string{"password": "päß\"wörd"}, ""},
		{"no semicolon", `M required username="alice"`, nil, "semicolon"},
		{"no flag", `M username="alice";`, nil, "control flag"},
		{"nothing", ``, nil, "login module"},
		{"two modules", `M required; N required;`, nil, "exactly one"},
		{"no value", `M required username= ;`, nil, "no value for option username"},
		{"bare number", `M required password=12345;`, nil, "quote values"},
		{"value without name", `M required ="x";`, nil, "where an option's name should be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseJAAS(c.text)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("error %v, want one about %q", err, c.fails)
				}
				return
			}
			if err != nil || !maps.Equal(got.options, c.want) {
				t.Fatalf("got %v, %v; want %v", got.options, err, c.want)
			}
		})
	}
}

// FuzzJAAS must end and never repeat the text, which holds a password.
func FuzzJAAS(f *testing.F) {
	f.Add(`M required a="b\"" /*;*/ c='d' ;`)
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseJAAS(`M required password="hunter2hunter2" ` + text)
		if err != nil && strings.Contains(err.Error(), "hunter2hunter2") {
			t.Fatalf("the password is in the error: %v", err)
		}
	})
}
