package capture

import "slices"

// tableState is what a run knows of a table beyond its definition.
type tableState struct {
	id      string
	value   tableValue // as stored
	changed bool       // value is to be stored
	removed bool       // or to be removed
	watch   *watch     // nil where no window is open
	wrote   bool       // this run wrote records of the table, committed or not
}

// hidden reports whether the changes of a table are not published: it has no
// key by which a row that the snapshot reads could be told from one that the
// stream brought, and it is still to be read.
func (s *tableState) hidden(t *Table) bool {
	return t.RowKey == nil && s.value.Phase == tablePending
}

// tableStates are the states of all tables of a prefix.
type tableStates struct {
	byID    map[string]*tableState
	changed []*tableState
}

func newTableStates(stored map[string]*tableValue) *tableStates {
	s := &tableStates{byID: make(map[string]*tableState, len(stored))}
	for id, v := range stored {
		s.byID[id] = &tableState{id: id, value: *v}
	}
	return s
}

// of is the state of a table; a new one has no phase.
func (s *tableStates) of(id string) *tableState {
	t := s.byID[id]
	if t == nil {
		t = &tableState{id: id, value: tableValue{Format: offsetFormat}}
		s.byID[id] = t
	}
	return t
}

// change marks a state to be stored with the next offset.
func (s *tableStates) change(t *tableState) {
	if !t.changed {
		t.changed = true
		s.changed = append(s.changed, t)
	}
}

// remove forgets a table, in Kafka too.
func (s *tableStates) remove(t *tableState) {
	delete(s.byID, t.id)
	t.removed = true
	s.change(t)
}

// takeChanged returns what is to be stored, and forgets it.
func (s *tableStates) takeChanged() []*tableState {
	out := s.changed
	s.changed = nil
	for _, t := range out {
		t.changed = false
	}
	return out
}

// pending are the tables that are to be read, in the order of their snapshot.
func (s *tableStates) pending() []*tableState {
	var out []*tableState
	for _, t := range s.byID {
		if t.value.Phase == tablePending {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *tableState) int { return compareTables(a, b) })
	return out
}

func compareTables(a, b *tableState) int {
	if a.value.Order != b.value.Order {
		return a.value.Order - b.value.Order
	}
	if a.id < b.id {
		return -1
	}
	return 1
}
