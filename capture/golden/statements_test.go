package golden

import (
	"slices"
	"testing"
)

func TestStatementsAsTheMySQLClientSplitsThem(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"several in a line", "SELECT 1; SELECT 2;\nSELECT 3", []string{"SELECT 1", "SELECT 2", "SELECT 3"}},
		{"in quotes", "SELECT 'a;b', \"c;d\", `e;f`; SELECT 'it''s;', 'x\\';y';", []string{"SELECT 'a;b', \"c;d\", `e;f`", "SELECT 'it''s;', 'x\\';y'"}},
		{"no escape in a name", "SELECT `a\\`; SELECT 2", []string{"SELECT `a\\`", "SELECT 2"}},
		{"in comments", "SELECT 1 /* a;b */; -- c;d\nSELECT 2; # e;f\nSELECT 3;", []string{"SELECT 1 /* a;b */", "-- c;d\nSELECT 2", "# e;f\nSELECT 3"}},
		{"comments alone", "-- nothing; at all\n/* or; here */;\n# end", nil},
		{"versioned comments", "/*!50100 ALTER TABLE t ADD a INT */; /*M! SELECT 1 */", []string{"/*!50100 ALTER TABLE t ADD a INT */", "/*M! SELECT 1 */"}},
		{"another delimiter", "DELIMITER //\nCREATE TRIGGER x BEGIN SELECT 1; END//\ndelimiter ;\nSELECT 2;", []string{"CREATE TRIGGER x BEGIN SELECT 1; END", "SELECT 2"}},
		{"a word that begins alike", "SELECT delimiter FROM t; SELECT 1--1;", []string{"SELECT delimiter FROM t", "SELECT 1--1"}},
		{"unfinished", "SELECT 'a;", []string{"SELECT 'a;"}},
	} {
		if got := statements(c.script); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
