package config

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func TestPropertiesFile(t *testing.T) {
	for text, want := range map[string][]pair{
		"a=b":                         {{"a", "b", 1}},
		" \t a \t = \t b ":            {{"a", "b ", 1}},
		"a:b=c":                       {{"a", "b=c", 1}},
		"a b c":                       {{"a", "b c", 1}},
		"a":                           {{"a", "", 1}},
		"=b":                          {{"", "b", 1}},
		"a==b":                        {{"a", "=b", 1}},
		"#a=b\n !c\n\nd=e":            {{"d", "e", 4}},
		"a=b\\\n   # c\nd=e":          {{"a", "b# c", 1}, {"d", "e", 3}},
		"a=b\\\\\nc=d":                {{"a", `b\`, 1}, {"c", "d", 2}},
		"a=b\\\\\\\nc":                {{"a", `b\c`, 1}},
		"a=b\\":                       {{"a", "b", 1}},
		`a\ b\=c\:d=e`:                {{"a b=c:d", "e", 1}},
		`a=\t\n\r\f\q\"\\`:            {{"a", "\t\n\r\fq\"\\", 1}},
		`regex=orders\\.([^.]+)`:      {{"regex", `orders\.([^.]+)`, 1}},
		`a=\u00e9\uD83D\uDE00\u0021x`: {{"a", "é😀!x", 1}},
		"a=é😀":                        {{"a", "é😀", 1}},
		"a=\xe9":                      {{"a", "é", 1}},
		"a=1\r\nb=2\rc=3":             {{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}},
	} {
		got, err := parseProperties([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(pair{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestMatchClass(t *testing.T) {
	known := []string{"io.debezium.transforms.Filter", "org.apache.kafka.connect.transforms.Filter", "com.company.debezium.LookupTransform",
		"org.apache.kafka.connect.transforms.InsertField$Value"}
	for class, want := range map[string]string{
		"org.apache.kafka.connect.transforms.Filter": known[1],
		"org.apache.kafka.connect.Filter":            "",
		"com.acme.LookupTransform":                   known[2],
		"LookupTransform":                            known[2],
		"com.acme.InsertField$Value":                 known[3],
		"com.acme.InsertField$Key":                   "",
		"Filter":                                     known[0],
		"":                                           "",
	} {
		if got, ok := MatchClass(class, known); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v", class, got, ok)
		}
	}
}

func TestRegexLists(t *testing.T) {
	for _, c := range []struct {
		list, text string
		want       bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "A.B", true},
		{"a.b", "a.bc", false},
		{"a.b", "xa.b", false},
		{`x, shop\.(orders|items)`, "shop.items", true},
		{`a|b`, "ab", false},
		{`a\,b`, "a,b", true},
		{`a\,b`, "a", false},
		{`\Qa.b\E`, "a.b", true},
		{`(?!a).*`, "b", true},
		{`(?!a).*`, "a", false},
		{`(?!x)\d`, "٣", false},
		{`(.)\1`, "aa", true},
		{`(?!b)a|c`, "cx", false},
		{"", "", false},
		{" , ", "", false},
	} {
		list, err := compileRegexes(c.list)
		if err != nil {
			t.Errorf("%s: %v", c.list, err)
			continue
		}
		if got := list.Match(c.text); got != c.want {
			t.Errorf("%s matches %s: %v", c.list, c.text, got)
		}
	}
	for _, wrong := range []string{"(", "a++", "[a-z&&[^b]]", `\p{Alpha}`, "a,["} {
		if list, err := compileRegexes(wrong); err == nil {
			t.Errorf("%s: %v", wrong, list)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"database.hostname", "database.port", "topics", "name"}
	for name, want := range map[string]string{
		"databse.hostanme": "database.hostname",
		"topic":            "topics",
		"naem":             "name",
		"Database.Port":    "database.port",
		"heartbeat":        "",
		"":                 "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	for _, text := range []string{`{"name": "n", "config": {"a": [1, {"b": null}], "c.d": {"e": true}}}`, "a: &x [1, {b: ~}]\nc: {<<: *x}\n", "a=b\\\n c\\u0041\n# d\ne : f"} {
		for format := range uint8(3) {
			f.Add(format, text)
		}
	}
	names := []string{"a.json", "a.yaml", "a.properties"}
	f.Fuzz(func(t *testing.T, format uint8, text string) {
		name := names[int(format)%len(names)]
		settings, _, err := parseFile(name, "", []byte(text))
		if err != nil && len(settings) > 0 {
			t.Errorf("settings beside the error %v", err)
		}
		// What was read can be checked, whatever it is.
		var l loading
		l.take(0, settings, nil, err)
		check(newIndex([]Table{shop}), l.settings, newResolver(nil), "", &l)
		for _, err := range l.errs {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
		}
	})
}

func FuzzProperties(f *testing.F) {
	f.Add("a.b", "c d\\e\n\tf")
	f.Add("", "é😀 = :")
	f.Fuzz(func(t *testing.T, name, text string) {
		written := escapeForTest(name) + "=" + escapeForTest(text)
		got, err := parseProperties([]byte(written))
		if err != nil {
			t.Fatalf("%q: %v", written, err)
		}
		want := []pair{{string([]rune(name)), string([]rune(text)), 1}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(pair{})); diff != "" {
			t.Errorf("%q: %s", written, diff)
		}
	})
}

// FuzzResolve replaces references: what one gives is not looked at again, so that
// no text goes in circles, and secrets are in no error.
func FuzzResolve(f *testing.F) {
	for _, text := range []string{"${env:A}${env:B}", "${env:C}", "${file:f:k}", "${dir:/:..}", "${${env:A}}", "${env:", "$(date:x)${a}", "${vault:x:y}"} {
		f.Add(text, "${env:A}")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if strings.Contains(text, "${file:") || strings.Contains(text, "${dir:") && !strings.Contains(text, "${dir:/:") {
			return // no file of the machine is a seed's
		}
		r := newResolver([]string{"A=" + value, "B=hunter2hunter2", "C=${env:C}"})
		out, err := r.resolve(text)
		if err != nil && strings.Contains(err.Error(), "hunter2hunter2") && !strings.Contains(text, "hunter2hunter2") {
			t.Errorf("the secret is in %v", err)
		}
		if most := (len(text)+1)*(len(value)+len("hunter2hunter2")+1) + len(text); len(out) > most {
			t.Errorf("%q became %d bytes", text, len(out))
		}
	})
}

// FuzzRegexes compiles lists of expressions and matches by them.
func FuzzRegexes(f *testing.F) {
	for _, text := range []string{`shop\.(orders|items),shop\..*`, `a(?=b)b,(a)\1`, `[a-z&&[^b]]`, `a\,b,,c`, `(?<x>a)\k<x>`, `[`} {
		f.Add(text, "shop.orders")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		list, err := compileRegexes(text)
		if err != nil {
			return
		}
		for _, r := range list {
			if r.slow == nil { // what goes back and forth may take its time
				r.Match(name)
			}
		}
		if len(list) > strings.Count(text, ",")+1 {
			t.Errorf("%q became %d expressions", text, len(list))
		}
	})
}

// escapeForTest writes text so that java.util.Properties reads it back: every
// character as \uXXXX, those beyond the first plane as two.
func escapeForTest(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04X`, unit)
	}
	return b.String()
}
