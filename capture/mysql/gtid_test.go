package mysql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	uuidA = "0a0a0a0a-0000-0000-0000-000000000001"
	uuidB = "fd00e986-e6ca-11f1-912a-02fc00000001"
)

func gtids(t *testing.T, text string) *gtidSet {
	t.Helper()
	s, err := parseGTIDSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func header(t *testing.T, uuid, tag string, number int64) *gtidHeader {
	t.Helper()
	u, err := parseUUID(uuid)
	if err != nil {
		t.Fatal(err)
	}
	return &gtidHeader{uuid: u, tag: []byte(tag), number: number}
}

func TestGTIDSetText(t *testing.T) {
	for text, want := range map[string]string{
		"":             "",
		uuidB + ":1-5": uuidB + ":1-5",
		strings.ToUpper(uuidB) + " : 7 ,\n" + uuidA + ":3-4:1-2:9": uuidA + ":1-4:9," + uuidB + ":7",
		uuidB + ":1-2:tag_b:4:a_tag:1-3":                           uuidB + ":1-2:a_tag:1-3:tag_b:4",
		uuidB + ":5:1-4," + uuidB + ":6":                           uuidB + ":1-6",
		uuidB + ":Tag:1":                                           uuidB + ":tag:1",
	} {
		if got := gtids(t, text).String(); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"x:1", uuidA, uuidA + ":", uuidA + ":0", uuidA + ":5-4", uuidA + ":1-9223372036854775807", uuidA + ":tag", uuidA + ":1:tag", uuidA + ":1--2"} {
		if s, err := parseGTIDSet(text); err == nil {
			t.Errorf("%q is accepted as %s", text, s)
		}
	}
}

// TestGTIDSetAlgebra compares every operation with one over plain sets.
func TestGTIDSetAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	for range 400 {
		a, setA := randomSet(t, r)
		b, setB := randomSet(t, r)
		var both, either, only, subset = map[string]bool{}, map[string]bool{}, map[string]bool{}, true
		for g := range setA {
			either[g] = true
			if setB[g] {
				both[g] = true
			} else {
				only[g] = true
			}
		}
		for g := range setB {
			either[g] = true
			subset = subset && setA[g]
		}
		union := a.clone()
		union.union(b)
		for name, c := range map[string]struct {
			got  *gtidSet
			want map[string]bool
		}{"union": {union, either}, "intersection": {a.intersection(b), both}, "difference": {a.difference(b), only}} {
			if want := build(t, c.want); !c.got.equal(want) || c.got.String() != want.String() {
				t.Fatalf("%s of %s and %s is %s, want %s", name, a, b, c.got, want)
			}
		}
		if a.contains(b) != subset || !union.contains(a) || a.empty() != (len(setA) == 0) {
			t.Fatalf("%s contains %s: %v", a, b, a.contains(b))
		}
		again, err := parsePreviousGTIDs(a.appendBinary(nil))
		if err != nil || again.String() != a.String() || gtids(t, a.String()).String() != a.String() {
			t.Fatalf("%s came back as %s: %v", a, again, err)
		}
	}
}

func randomSet(t *testing.T, r *rand.Rand) (*gtidSet, map[string]bool) {
	members := map[string]bool{}
	for range r.IntN(30) {
		members[fmt.Sprintf("%s %s %d", []string{uuidA, uuidB}[r.IntN(2)], []string{"", "a", "b"}[r.IntN(3)], 1+r.IntN(12))] = true
	}
	return build(t, members), members
}

// build adds one transaction after the other.
func build(t *testing.T, members map[string]bool) *gtidSet {
	s := &gtidSet{}
	for m := range members {
		f := strings.Split(m, " ")
		var number int64
		if _, err := fmt.Sscan(f[2], &number); err != nil {
			t.Fatal(err)
		}
		h := header(t, f[0], f[1], number)
		s.add(h)
		s.add(h)
		if !s.has(h) {
			t.Fatalf("%s lacks %s", s, m)
		}
	}
	return s
}

// TestGTIDAddAllocates nothing for a server that the set knows.
func TestGTIDAddAllocates(t *testing.T) {
	s := gtids(t, uuidA+":1-5,"+uuidB+":1-9:tag:1")
	h := header(t, uuidB, "", 9)
	if n := testing.AllocsPerRun(100, func() { h.number++; s.add(h) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if !strings.HasSuffix(s.String(), uuidB+fmt.Sprintf(":1-%d:tag:1", h.number)) {
		t.Error(s)
	}
}

func TestGTIDHeaderKeep(t *testing.T) {
	h := header(t, uuidA, "tag", 5)
	h.xa = []byte("X'67',X'',1")
	kept := h.keep(gtidHeader{})
	h.tag[0], h.xa[0] = 'x', 'y'
	if got := string(kept.appendText(nil)); got != uuidA+":tag:5" || string(kept.xa) != "X'67',X'',1" {
		t.Errorf("%s %s", got, kept.xa)
	}
}

func TestMariaDBGTIDs(t *testing.T) {
	l, err := parseMariaDBGTIDs(" 7-1-5, 0-11-30,")
	if err != nil || l.String() != "0-11-30,7-1-5" {
		t.Fatal(l, err)
	}
	before, _ := parseMariaDBGTIDs("0-12-29")
	if !l.contains(before) || before.contains(l) || !l.contains(nil) {
		t.Error("order")
	}
	l.add(&gtidHeader{mariadb: true, domain: 0, server: 12, sequence: 31})
	l.add(&gtidHeader{mariadb: true, domain: 3, server: 12, sequence: 1})
	if l.String() != "0-12-31,3-12-1,7-1-5" {
		t.Error(l)
	}
	if !l.has(&gtidHeader{mariadb: true, domain: 0, sequence: 31}) || l.has(&gtidHeader{mariadb: true, domain: 0, sequence: 32}) || l.has(&gtidHeader{mariadb: true, domain: 9}) {
		t.Error("has")
	}
	for _, text := range []string{"1-2", "a-1-2", "1-2-3-4", "4294967296-1-1", "1-1--1"} {
		if l, err := parseMariaDBGTIDs(text); err == nil {
			t.Errorf("%q is accepted as %s", text, l)
		}
	}
}
