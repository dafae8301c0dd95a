package transform

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
)

// byStatus routes by a column, drops rows that are hidden and rejects broken
// ones.
type byStatus struct{}

func (byStatus) DependsOnRow() bool { return true }

func (byStatus) Apply(r *cdc.Record) (bool, error) {
	row := r.Envelope.After
	if row == nil {
		row = r.Envelope.Before
	}
	status := string(row.Values[1].Bytes())
	if status == "broken" {
		return false, fmt.Errorf("status %s", status)
	}
	r.Route += "-" + status
	row.Values[1] = cdc.String([]byte("changed in place"))
	return status != "hidden", nil
}

var statusRow = cdc.NewSchema("moves.Value", cdc.Field{Name: "id", Type: cdc.Int64}, cdc.Field{Name: "status", Type: cdc.Text})

func statusOf(id int64, status string) *cdc.Row {
	if status == "" {
		return nil
	}
	r := &cdc.Row{}
	r.Reset(statusRow)
	r.Values[0], r.Values[1] = cdc.Int(id), cdc.String([]byte(status))
	return r
}

// hide drops rows that are hidden, and changes no route.
type hide struct{ byStatus }

func (hide) Apply(r *cdc.Record) (bool, error) {
	return string(r.Envelope.After.Values[1].Bytes()) != "hidden", nil
}

// byKey has the column as the key, and changes no route.
type byKey struct{ byStatus }

func (byKey) Apply(r *cdc.Record) (bool, error) {
	r.Key.Values[0] = cdc.String(bytes.Clone(r.Envelope.After.Values[1].Bytes()))
	return true, nil
}

// newByStatus is a chain of byStatus that follows moves.
func newByStatus(t *testing.T) *Chain { return newFollowing(t, byStatus{}) }

// newFollowing is a chain of one transform that follows moves.
func newFollowing(t *testing.T, of Transform) *Chain {
	t.Helper()
	classes := Classes{Transforms: map[string]func(*Options) Transform{"Only": func(*Options) Transform { return of }}}
	v, _, err := config.Parse(map[string]string{"transforms": "s", "transforms.s.type": "Only"}, Properties)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := New(v, classes)
	if err != nil {
		t.Fatal(err)
	}
	chain.FollowMoves()
	return chain
}

// TestAChainForgets the records of its last call, and what it copied of them.
func TestAChainForgets(t *testing.T) {
	chain := newByStatus(t)
	text := make([]byte, 1<<20)
	held := weak.Make(&text[0])
	func() {
		before, after := statusOf(1, "-"), statusOf(1, "-")
		before.Values[1], after.Values[1] = cdc.String(text), cdc.String(text)
		r := &cdc.Record{Op: cdc.OpUpdate, Envelope: &cdc.Envelope{Op: cdc.OpUpdate, Before: before, After: after}}
		if kept, err := chain.Apply(t.Context(), []*cdc.Record{r}); len(kept) != 1 || err != nil {
			t.Errorf("kept %d, %v", len(kept), err)
		}
	}()
	text = nil
	chain.Forget()
	runtime.GC()
	runtime.GC()
	if held.Value() != nil || chain.spare != nil {
		t.Error("the row is still held")
	}
	runtime.KeepAlive(chain)
}

// doing is what a sink does with r.
func doing(r *cdc.Record) string {
	if r.Deleted {
		return "delete "
	}
	return "write "
}

// TestMoves: what an update takes elsewhere, or out of sight, is deleted where
// it was, before it is written where it is; what stays is not.
func TestMoves(t *testing.T) {
	chain := newByStatus(t)
	key := &cdc.Row{}
	key.Reset(cdc.Bare(cdc.Field{Type: cdc.Int64}))
	for range 2 { // the second time on used memory
		for _, c := range []struct{ before, after, want string }{
			{"", "open", "write t-open"},
			{"open", "open", "write t-open"},
			{"open", "paid", "delete t-open, write t-paid"},
			{"open", "hidden", "delete t-open"},
			{"hidden", "open", "write t-open"},
			{"hidden", "hidden", ""},
			{"broken", "open", "write t-open"},
			{"open", "broken", "rejected"},
			{"open", "", "write t-open"},
		} {
			e := &cdc.Envelope{Op: cdc.OpUpdate, Before: statusOf(1, c.before), After: statusOf(1, c.after)}
			switch {
			case c.before == "":
				e.Op = cdc.OpCreate
			case c.after == "":
				e.Op = cdc.OpDelete
			}
			r := &cdc.Record{Route: "t", Key: key, Envelope: e, Op: e.Op, Version: 7}
			kept, err := chain.Apply(t.Context(), []*cdc.Record{r})
			var got []string
			if err != nil {
				got = append(got, "rejected")
			}
			for _, k := range kept {
				word := doing(k)
				got = append(got, word+k.Route)
				if k.Left != (k != r) {
					t.Errorf("%+v: %s%s is said to be left behind: %v", c, word, k.Route, k.Left)
				}
				if k.Version != 7 {
					t.Errorf("%+v: version %d", c, k.Version)
				}
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("%s → %s: %s; want %s", c.before, c.after, got, c.want)
			}
		}
	}
}

// TestMovesWithinARoute: the same where only the filter or the key takes the row
// away, and the route stays.
func TestMovesWithinARoute(t *testing.T) {
	for _, c := range []struct {
		of                  Transform
		before, after, want string
	}{
		{hide{}, "open", "open", "write t/1"},
		{hide{}, "open", "hidden", "delete t/1"},
		{hide{}, "hidden", "open", "write t/1"},
		{hide{}, "hidden", "hidden", ""},
		{byKey{}, "a", "a", "write t/a"},
		{byKey{}, "a", "b", "delete t/a, write t/b"},
	} {
		key := &cdc.Row{}
		key.Reset(cdc.Bare(cdc.Field{Type: cdc.Text}))
		key.Values[0] = cdc.String([]byte("1"))
		r := &cdc.Record{Route: "t", Key: key, Op: cdc.OpUpdate,
			Envelope: &cdc.Envelope{Op: cdc.OpUpdate, Before: statusOf(1, c.before), After: statusOf(1, c.after)}}
		kept, err := newFollowing(t, c.of).Apply(t.Context(), []*cdc.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range kept {
			got = append(got, doing(k)+k.Route+"/"+string(k.Key.Values[0].Bytes()))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%T, %s → %s: %s; want %s", c.of, c.before, c.after, got, c.want)
		}
	}
}

// TestMovesWithoutRowDependence costs nothing and changes nothing.
func TestMovesWithoutRowDependence(t *testing.T) {
	chain := &Chain{links: []link{{name: "none", transform: keepAll{}}}}
	chain.FollowMoves()
	r := &cdc.Record{Route: "t", Envelope: &cdc.Envelope{Op: cdc.OpUpdate, Before: statusOf(1, "a"), After: statusOf(1, "b")}}
	kept, err := chain.Apply(t.Context(), []*cdc.Record{r})
	if err != nil || len(kept) != 1 || len(chain.spare) > 0 {
		t.Errorf("kept %d with %d shadows, %v", len(kept), len(chain.spare), err)
	}
}

type keepAll struct{}

func (keepAll) Apply(*cdc.Record) (bool, error) { return true, nil }
