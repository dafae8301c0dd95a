package cdc

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"unsafe"
)

func TestValueSize(t *testing.T) {
	if n := unsafe.Sizeof(Value{}); n != 24 {
		t.Errorf("%d bytes", n)
	}
}

func TestValues(t *testing.T) {
	list := []Value{Int(1), {}}
	for i, c := range []struct {
		v    Value
		kind Kind
		ok   bool
	}{
		{Value{}, KindNull, true}, {Absent(), KindAbsent, true},
		{Bool(true), KindBool, new(Bool(true)).Bool() && !new(Bool(false)).Bool()},
		{Int(-5), KindInt, new(Int(-5)).Int() == -5},
		{Uint(math.MaxUint64), KindUint, new(Uint(math.MaxUint64)).Uint() == math.MaxUint64},
		{Float32(0.1), KindFloat32, float32(new(Float32(0.1)).Float()) == 0.1},
		{Float64(0.1), KindFloat64, new(Float64(0.1)).Float() == 0.1},
		{String([]byte("é")), KindString, string(new(String([]byte("é"))).Bytes()) == "é"},
		{Choice([]byte("a"), 3), KindString, new(Choice([]byte("a"), 3)).Uint() == 3},
		{Bytes(nil), KindBytes, len(new(Bytes(nil)).Bytes()) == 0},
		{SmallDecimal(math.MinInt64), KindDecimal, new(SmallDecimal(math.MinInt64)).Int() == math.MinInt64},
		{BigDecimal([]byte{1}), KindBigDecimal, new(BigDecimal([]byte{1})).Bytes()[0] == 1},
		{Micros(-1), KindMicros, new(Micros(-1)).Int() == -1},
		{Number([]byte("1.0")), KindNumber, true}, {RawJSON([]byte("{}")), KindJSON, true},
		{List(list), KindList, len(new(List(list)).List()) == 2 && new(List(list)).Bytes() == nil},
		{List(nil), KindList, new(List(nil)).List() == nil},
	} {
		if c.v.Kind() != c.kind || !c.ok || c.v.IsNull() != (c.kind <= KindAbsent) {
			t.Errorf("%d: %v", i, c.v)
		}
	}
	if new(Int(1)).List() != nil {
		t.Error("no list")
	}
}

func TestEqual(t *testing.T) {
	nan := Float64(math.NaN())
	values := []Value{{}, Absent(), Bool(false), Bool(true), Int(0), Int(1), Uint(1), Float64(1), Float32(2), nan, String([]byte("a")), String([]byte("b")), Bytes([]byte("a")),
		SmallDecimal(1), BigDecimal([]byte{1}), Micros(1), Number([]byte("1")), RawJSON([]byte("{}")), List(nil), List([]Value{Int(1)}), List([]Value{Int(2)}), List([]Value{Int(1), Int(2)})}
	for i := range values {
		for j := range values {
			if got := values[i].Equal(&values[j]); got != (i == j) {
				t.Errorf("%v = %v: %v", values[i], values[j], got)
			}
			if i != j && values[i].String() == values[j].String() {
				t.Errorf("%v is written like %v", values[i], values[j])
			}
		}
	}
	if !new(Choice([]byte("a"), 1)).Equal(new(String([]byte("a")))) {
		t.Error("a choice is its text")
	}
}

func TestRowReset(t *testing.T) {
	s, wide := NewSchema("s", Field{Name: "a", Type: Int8}), NewSchema("w", Field{Name: "a", Type: Int8}, Field{Name: "b", Type: Int8})
	var r Row
	r.Reset(wide)
	r.Values[1] = Int(1)
	r.Reset(s)
	r.Reset(wide)
	if len(r.Values) != 2 || !r.Values[1].IsNull() || r.Value("b") != &r.Values[1] || r.Value("c") != nil {
		t.Error("values of before")
	}
	if r.Absent() != nil {
		t.Error("nothing is absent")
	}
	if r.Values[1] = Absent(); r.Absent() == nil || r.Absent().Name != "b" {
		t.Error("b is absent")
	}
}

// TestArena: what was allocated stays while more is, also when memory moves.
func TestArena(t *testing.T) {
	s := NewSchema("s", Field{Name: "a", Type: Text})
	var r Row
	for round := range 3 {
		r.Reset(s)
		var kept [][]byte
		var lists [][]Value
		for i := range 200 {
			text := fmt.Sprintf("%d/%d", round, i)
			if i%2 == 0 {
				kept = append(kept, r.Keep(append(r.Tail(4), text...)))
			} else {
				b := r.Alloc(len(text))
				copy(b, text)
				kept = append(kept, b)
			}
			list := r.AllocList(2)
			if !list[0].IsNull() {
				t.Fatal("a list that is not empty")
			}
			list[0], list[1] = String(kept[i]), Int(int64(i))
			lists = append(lists, list)
		}
		runtime.GC()
		for i := range kept {
			want := fmt.Sprintf("%d/%d", round, i)
			if string(kept[i]) != want || string(lists[i][0].Bytes()) != want || lists[i][1].Int() != int64(i) {
				t.Fatalf("%q, want %q", kept[i], want)
			}
			if cap(kept[i]) != len(kept[i]) {
				t.Fatal("appending to one would overwrite the next")
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		r.Reset(s)
		for range 100 {
			r.Alloc(5)
			r.AllocList(1)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCopyFrom: the copy shares nothing with its source.
func TestCopyFrom(t *testing.T) {
	s := NewSchema("s", Field{Name: "a", Type: Text}, Field{Name: "l", Type: Array, Element: &Field{Type: Text}}, Field{Name: "n", Type: Int8})
	var src, dst Row
	src.Reset(s)
	text, inner := []byte("text"), []byte("inner")
	src.Values[0] = Choice(text, 2)
	src.Values[1] = List([]Value{String(inner), List([]Value{Int(7)})})
	src.Values[2] = Int(1)
	dst.CopyFrom(&src)
	if dst.Size() < src.Size() {
		t.Error("size")
	}
	copy(text, "xxxx")
	copy(inner, "xxxxx")
	src.Values[1].List()[1].List()[0] = Int(8)
	list := dst.Values[1].List()
	if string(dst.Values[0].Bytes()) != "text" || dst.Values[0].Uint() != 2 || string(list[0].Bytes()) != "inner" || list[1].List()[0].Int() != 7 || dst.Schema != s {
		t.Errorf("%v", dst.Values)
	}
}
