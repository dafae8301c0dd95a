package mysql

import (
	"slices"
	"testing"
)

func TestPosition(t *testing.T) {
	p := position{File: "binlog.000042", Pos: 1 << 40, GTIDs: uuidA + ":1-5", ServerUUID: uuidA, Prepared: &position{File: "binlog.000041", Pos: 4}}
	back, err := parsePosition(p.marshal())
	if err != nil || back.compare(&p) != 0 || back.GTIDs != p.GTIDs || *back.Prepared != *p.Prepared {
		t.Errorf("%+v: %v", back, err)
	}
	for _, text := range []string{"", "{}", "[]", `{"file":1}`} {
		if p, err := parsePosition([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %+v", text, p)
		}
	}
}

func TestComparePositions(t *testing.T) {
	ordered := []position{
		{File: "binlog.000009", Pos: 99}, {File: "binlog.000010", Pos: 4}, {File: "binlog.000010", Pos: 5}, {File: "binlog.000010", Pos: 5, Event: 1},
		{File: "binlog.000010", Pos: 5, Event: 1, Row: 3}, {File: "binlog.999999", Pos: 4}, {File: "binlog.1000000", Pos: 4}, {File: "c"}, {File: "d.x.000001"},
	}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, func(a, b position) int { return a.compare(&b) })
	if !slices.Equal(shuffled, ordered) {
		t.Errorf("%+v", shuffled)
	}
}
