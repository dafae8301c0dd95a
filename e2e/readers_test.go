package e2e

import "testing"

// TestReadersNotice shows the readers what is right and what is not.
func TestReadersNotice(t *testing.T) {
	row := where{"orders", "1"}
	seen := func(version uint64, content string) sight {
		return sight{version: version, there: true, content: content}
	}
	gone := func(version uint64) sight { return sight{version: version, content: "none"} }
	for _, c := range []struct {
		what    string
		strict  bool // Redis, which keeps the versions of deleted rows
		sights  []sight
		deleted history
		wrong   bool
	}{
		{"newer", false, []sight{seen(1, "a"), seen(2, "b"), seen(2, "b")}, nil, false},
		{"older", false, []sight{seen(2, "b"), seen(1, "a")}, nil, true},
		{"older, deleted before that", false, []sight{seen(2, "b"), seen(1, "a")}, history{row: {2}}, true},
		{"older by a replay that has not come to the delete", false, []sight{seen(2, "b"), seen(1, "a"), seen(2, "b")}, history{row: {3}}, false},
		{"gone", false, []sight{seen(1, "a"), gone(0)}, nil, true},
		{"deleted", false, []sight{seen(1, "a"), gone(0), gone(0)}, history{row: {2}}, false},
		{"deleted, and back for ever as it was", false, []sight{seen(1, "a"), gone(0), seen(1, "a")}, history{row: {2}}, false},
		{"gone, and older when it is back", false, []sight{seen(5, "a"), gone(0), seen(1, "a")}, history{row: {5}}, true},
		{"two contents of a version", false, []sight{seen(1, "a"), seen(1, "b")}, nil, true},
		{"newer in Redis", true, []sight{seen(1, "a"), gone(2), seen(3, "c")}, history{row: {2}}, false},
		{"older in Redis", true, []sight{seen(2, "b"), seen(1, "a")}, history{row: {3}}, true},
		{"back in Redis", true, []sight{seen(1, "a"), gone(2), seen(1, "a")}, history{row: {2}}, true},
		{"back in Redis under the delete's version", true, []sight{gone(2), seen(2, "a")}, history{row: {2}}, true},
		{"the version is lost in Redis", true, []sight{gone(2), gone(0)}, history{row: {2}}, true},
	} {
		s := &sights{last: map[where]sight{}}
		for _, now := range c.sights {
			s.saw(row, now, c.strict)
		}
		s.judge(c.deleted)
		if (len(s.wrong) > 0) != c.wrong {
			t.Errorf("%s: %q", c.what, s.wrong)
		}
	}
}

func TestKeysAreNamedAsSinksNameThem(t *testing.T) {
	for key, want := range map[string]string{
		`{"id":17}`:                            "17",
		`{"name":"a|b\\c"}`:                    `a|b\c`,
		`{"area":1,"code":"x|\\y","since":-3}`: `1|x\|\\y|1969-12-29`,
		`{"schema":{"type":"struct"},"payload":{"id":18446744073709551615}}`: "18446744073709551615",
	} {
		if got, err := keyText("parts", []byte(key)); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", key, got, err, want)
		}
	}
}
