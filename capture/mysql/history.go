package mysql

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/weir-cdc/weir/capture"
)

// history knows the definitions of all tables at the stream's position, and
// keeps those of before for as long as a resume may need them. It is for one
// goroutine.
type history struct {
	options *SchemaOptions
	catalog *catalog
	// schemas are what was made of the definitions, by pointer.
	schemas map[*Definition]*TableSchema
	tables  map[tableName]*capture.Table // the last of each name
	// retention is for how long the server keeps its log, 0 for ever.
	retention time.Duration
	// unsure are tables whose definition is not known, and why.
	unsure map[tableName]string
	// owed is what is to be told of tables when their definition is known.
	owed map[tableName]owed

	entries map[uint64]*historyEntry
	next    uint64
	changed map[string][]byte // what Entries has to tell
}

// historyEntry is one definition as it is stored, and where it holds from.
type historyEntry struct {
	Seq uint64 `json:"seq"`
	// At is the Source's position behind the statement that made it so.
	At     json.RawMessage `json:"at"`
	Millis int64           `json:"ts_ms"` // the statement's time
	// Start says that everything known is from here on; nothing is known of
	// positions before.
	Start bool `json:"start,omitempty"`
	// Database and Table name what it defines; Table is "" for a database's
	// defaults, and Database too for the server's.
	Database   string      `json:"database,omitempty"`
	Table      string      `json:"table,omitempty"`
	Definition *Definition `json:"definition,omitempty"` // nil: dropped, or not known
	Unsure     string      `json:"unsure,omitempty"`     // why it is not known
	Owed       owed        `json:"owed,omitempty"`
	Charset    string      `json:"charset,omitempty"`
	Collation  string      `json:"collation,omitempty"`
}

// owed are things that happened to a table while its definition was not known,
// and that are told once it is.
type owed uint8

const (
	owedTruncated owed = 1 << iota
	owedArrived
	owedCreated
)

// historyPrefix is in front of the keys of a history's entries.
const historyPrefix = "definition/"

func (e *historyEntry) key() string { return fmt.Sprintf("%s%019d", historyPrefix, e.Seq) }

func (e *historyEntry) subject() tableName { return tableName{e.Database, e.Table} }

func newHistory(o *SchemaOptions, caseless bool) *history {
	h := &history{options: o, catalog: newCatalog(caseless), changed: map[string][]byte{}}
	h.reset()
	return h
}

// reset forgets everything, and removes what was stored.
func (h *history) reset() {
	for _, e := range h.entries {
		h.changed[e.key()] = nil
	}
	h.clear()
}

func (h *history) clear() {
	h.catalog = newCatalog(h.catalog.caseless)
	h.schemas = map[*Definition]*TableSchema{}
	h.tables = map[tableName]*capture.Table{}
	h.unsure = map[tableName]string{}
	h.owed = map[tableName]owed{}
	h.entries = map[uint64]*historyEntry{}
	h.next = 1
}

// add stores an entry.
func (h *history) add(e historyEntry) {
	e.Seq = h.next
	h.next++
	h.entries[e.Seq] = &e
	b, err := json.Marshal(&e)
	if err != nil {
		panic(err) // texts and numbers always can be written
	}
	h.changed[e.key()] = b
}

// load makes what was read from the server at position at all that is known.
func (h *history) load(at []byte, millis int64, server ddlLocale, databases map[string]ddlLocale, tables []*Definition) {
	h.reset()
	h.catalog.server = server
	h.add(historyEntry{At: at, Millis: millis, Start: true, Charset: server.charset, Collation: server.collation})
	names := make([]string, 0, len(databases))
	for name := range databases {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		h.catalog.databases[h.catalog.foldDatabase(name)] = databases[name]
		h.add(historyEntry{At: at, Millis: millis, Database: name, Charset: databases[name].charset, Collation: databases[name].collation})
	}
	for _, d := range tables {
		h.learn(at, millis, d)
	}
}

// learn takes a definition that was read from the server and is proved to hold
// at position at.
func (h *history) learn(at []byte, millis int64, d *Definition) {
	t := tableName{d.Database, d.Name}
	delete(h.unsure, h.catalog.fold(t))
	d = h.catalog.put(d)
	h.add(historyEntry{At: at, Millis: millis, Database: d.Database, Table: d.Name, Definition: d, Owed: h.owed[h.catalog.fold(t)]})
}

// vanish ends the doubt about a name that is proved to be no table's at
// position at.
func (h *history) vanish(at []byte, millis int64, t tableName) {
	key := h.catalog.fold(t)
	delete(h.unsure, key)
	delete(h.owed, key)
	h.catalog.remove(t)
	h.add(historyEntry{At: at, Millis: millis, Database: t.database, Table: t.name})
}

// doubts reports whether a table is there, or may be, and its definition is not
// known.
func (h *history) doubts(t tableName) bool {
	_, ok := h.unsure[h.catalog.fold(t)]
	return ok
}

// owe keeps what is to be told of a table in doubt.
func (h *history) owe(at []byte, millis int64, t tableName, what owed) {
	key := h.catalog.fold(t)
	h.owed[key] |= what
	h.add(historyEntry{At: at, Millis: millis, Database: t.database, Table: t.name, Unsure: h.unsure[key], Owed: h.owed[key]})
}

// settle returns what was owed of tables that are known now, and forgets it.
func (h *history) settle(at []byte, millis int64) map[tableName]owed {
	var out map[tableName]owed
	for key, what := range h.owed {
		d := h.catalog.tables[key]
		if d == nil {
			continue
		}
		if out == nil {
			out = map[tableName]owed{}
		}
		out[tableName{d.Database, d.Name}] = what
		delete(h.owed, key)
		h.add(historyEntry{At: at, Millis: millis, Database: d.Database, Table: d.Name, Definition: d})
	}
	return out
}

// apply follows a statement of the log; at is the position behind it.
func (h *history) apply(at []byte, millis int64, text string, s *ddlSession) *ddlEffect {
	st := parseDDL(text, *s)
	e := h.catalog.apply(st, s)
	for _, c := range e.changes {
		if c.op != tableKept {
			h.note(at, millis, c.table, e, c.op == tableDropped)
		}
		if c.from != (tableName{}) {
			h.note(at, millis, c.from, e, true)
		}
	}
	unsure := make([]tableName, 0, len(e.unsure))
	for t := range e.unsure {
		unsure = append(unsure, t)
	}
	slices.SortFunc(unsure, compareTables)
	for _, t := range unsure {
		h.note(at, millis, t, e, false)
	}
	switch st.kind {
	case ddlCreateDatabase, ddlAlterDatabase:
		l := h.catalog.databases[h.catalog.foldDatabase(st.database)]
		h.add(historyEntry{At: at, Millis: millis, Database: st.database, Charset: l.charset, Collation: l.collation})
	}
	if h.retention > 0 {
		h.prune(millis - (h.retention + retentionSlack).Milliseconds())
	}
	return e
}

// retentionSlack is added to the server's retention, since a log file outlives
// it until the next one is begun.
const retentionSlack = 7 * 24 * time.Hour

// note stores what is known of a table now, if that is another than before; gone
// says that the table is not there any more, unless it came back.
func (h *history) note(at []byte, millis int64, t tableName, e *ddlEffect, gone bool) {
	entry := historyEntry{At: at, Millis: millis, Database: t.database, Table: t.name, Definition: h.catalog.table(t)}
	key := h.catalog.fold(t)
	why, unsure := e.unsure[t]
	switch {
	case entry.Definition != nil:
		delete(h.unsure, key)
	case unsure:
		entry.Unsure = fmt.Sprintf("%s: %s", why, shorten(e.statement.text))
		h.unsure[key] = entry.Unsure
	case !gone:
		return // altered, and not known before either
	default:
		delete(h.unsure, key)
		delete(h.owed, key)
	}
	entry.Owed = h.owed[key]
	last := h.last(t)
	if last != nil && last.Unsure == entry.Unsure && last.Owed == entry.Owed && reflect.DeepEqual(last.Definition, entry.Definition) || last == nil && gone {
		return
	}
	h.add(entry)
}

// last is the newest entry of a table or database.
func (h *history) last(t tableName) *historyEntry {
	var out *historyEntry
	for _, e := range h.entries {
		if !e.Start && h.catalog.fold(e.subject()) == h.catalog.fold(t) && (out == nil || e.Seq > out.Seq) {
			out = e
		}
	}
	return out
}

// Entries are the entries to store and, as nil, to remove since the last call.
func (h *history) Entries() map[string][]byte {
	if len(h.changed) == 0 {
		return nil
	}
	out := h.changed
	h.changed = map[string][]byte{}
	return out
}

// errNoDefinitions says that nothing is stored of the definitions at a position.
type errNoDefinitions struct{ why string }

func (e *errNoDefinitions) Error() string { return "no definitions are stored: " + e.why }

// restore takes what was stored, as of a position: covered reports whether an
// entry's position is at or before it. Entries of later are removed, since the
// statements that made them will come again. An *errNoDefinitions asks for
// reading the definitions anew.
func (h *history) restore(entries map[string][]byte, covered func(at []byte) bool) error {
	var list []*historyEntry
	for key, b := range entries {
		if !strings.HasPrefix(key, historyPrefix) {
			continue
		}
		e := &historyEntry{}
		if err := json.Unmarshal(b, e); err != nil {
			return fmt.Errorf("reading stored definition %s: %w", key, err)
		}
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Seq < list[j].Seq })
	h.clear()
	h.changed = map[string][]byte{}
	started := false
	for _, e := range list {
		h.next = max(h.next, e.Seq+1)
		if !covered(e.At) {
			if e.Start {
				return &errNoDefinitions{"what is stored begins behind the position"}
			}
			h.changed[e.key()] = nil
			continue
		}
		h.entries[e.Seq] = e
		started = started || e.Start
		h.take(e)
	}
	if !started {
		return &errNoDefinitions{"there is no beginning"}
	}
	return nil
}

// take makes an entry what is known.
func (h *history) take(e *historyEntry) {
	locale := ddlLocale{e.Charset, e.Collation}
	key := h.catalog.fold(e.subject())
	delete(h.owed, key)
	if e.Owed != 0 {
		h.owed[key] = e.Owed
	}
	switch {
	case e.Start:
		h.catalog.server = locale
	case e.Table == "":
		h.catalog.databases[key.database] = locale
	case e.Definition != nil:
		h.catalog.put(e.Definition)
		delete(h.unsure, key)
	default:
		h.catalog.remove(e.subject())
		delete(h.unsure, key)
		if e.Unsure != "" {
			h.unsure[key] = e.Unsure
		}
	}
}

// prune removes entries that no resume can need any more: those that another
// one of the same table followed before millis, the age of the oldest log file.
func (h *history) prune(millis int64) {
	newest := map[tableName]*historyEntry{} // the last one before millis
	for _, e := range h.entries {
		key := h.catalog.fold(e.subject())
		if !e.Start && e.Millis < millis && (newest[key] == nil || newest[key].Seq < e.Seq) {
			newest[key] = e
		}
	}
	for seq, e := range h.entries {
		n := newest[h.catalog.fold(e.subject())]
		gone := n != nil && n.Definition == nil && n.Table != "" && n.Unsure == "" // dropped since
		if e.Start || n == nil || seq > n.Seq || seq == n.Seq && !gone {
			continue
		}
		delete(h.entries, seq)
		h.changed[e.key()] = nil
	}
}

// captures reports whether a table's rows are published.
func (h *history) captures(t tableName) bool {
	f := h.options.Filter
	return f == nil || !(f.IgnoreBuiltin() && builtin(t.database)) && f.Table(t.database, t.name)
}

// captured is the captured table of that name with its schemas; nil if there is
// none, or if it cannot be told: table says why.
func (h *history) captured(database, name string) *TableSchema {
	s, err := h.table(database, name)
	if err != nil {
		return nil
	}
	return s
}

// table is the captured table of that name with its schemas, nil if it is not
// captured. It is an error that it is captured and its definition not known.
func (h *history) table(database, name string) (*TableSchema, error) {
	t := tableName{database, name}
	if !h.captures(t) {
		return nil, nil
	}
	d := h.catalog.table(t)
	if d == nil {
		if why, ok := h.unsure[h.catalog.fold(t)]; ok {
			return nil, fmt.Errorf("%w: table %s: %s", capture.ErrDefinition, t, why)
		}
		return nil, fmt.Errorf("%w: table %s is not known", capture.ErrDefinition, t)
	}
	if d.Sequence {
		return nil, nil
	}
	return h.schema(d)
}

// schema makes a definition's schemas once. Where they equal those of the
// table's definition before, what is compiled for them is kept.
func (h *history) schema(d *Definition) (*TableSchema, error) {
	if s, ok := h.schemas[d]; ok {
		return s, nil
	}
	s, err := NewTableSchema(d, h.options)
	if err != nil {
		return nil, err
	}
	key := h.catalog.fold(tableName{d.Database, d.Name})
	if before := h.tables[key]; before != nil && sameTable(before, s.Table) {
		s.Table = before
	}
	h.tables[key] = s.Table
	if len(h.schemas) > 2*len(h.catalog.tables)+64 {
		clear(h.schemas) // those of definitions that are gone
	}
	h.schemas[d] = s
	return s, nil
}

func sameTable(a, b *capture.Table) bool {
	return a.Topic == b.Topic && a.Value == b.Value && a.Key == b.Key &&
		slices.Equal(a.KeyColumns, b.KeyColumns) && slices.Equal(a.RowKey, b.RowKey) && a.RowOrder == b.RowOrder
}

// known are the names of all tables that are known, sequences left out, in the
// order in which Debezium snapshots tables.
func (h *history) known() []tableName {
	out := make([]tableName, 0, len(h.catalog.tables))
	for _, d := range h.catalog.tables {
		if !d.Sequence {
			out = append(out, tableName{d.Database, d.Name})
		}
	}
	slices.SortFunc(out, compareTables)
	return out
}

// possible are the names of all tables that are known, or may be there.
func (h *history) possible() []tableName {
	out := h.known()
	for t := range h.unsure {
		out = append(out, t)
	}
	return out
}

// loggedStatement is a statement of the log that is no part of a transaction.
type loggedStatement struct {
	text    string
	session ddlSession
}

// changedSince proves that definitions read from the server held at a position
// of the log already: log are all statements from that position to the log's
// end after the definitions were read. It returns the tables for which that is
// not proved, with the statement to blame, and captured tables that were there
// at the position and are no more: rows of theirs may lie between. An error of
// log is returned as it is.
func changedSince(tables []tableName, caseless bool, captured func(tableName) bool, log iter.Seq2[loggedStatement, error]) (map[tableName]string, error) {
	out := map[tableName]string{}
	for s, err := range log {
		if err != nil {
			return nil, err
		}
		st := parseDDL(s.text, s.session)
		for _, t := range tables {
			if _, ok := out[t]; !ok && st.mentions(t, caseless) {
				out[t] = shorten(s.text)
			}
		}
		for _, t := range st.takes() {
			if _, ok := out[t]; !ok && captured(t) {
				out[t] = shorten(s.text)
			}
		}
	}
	return out, nil
}

// takes are the tables that have their names no more behind the statement.
func (s *ddlStatement) takes() []tableName {
	switch s.kind {
	case ddlDropTables:
		return s.tables
	case ddlRenameTables:
		var out []tableName
		for _, pair := range s.renames {
			out = append(out, pair[0])
		}
		return out
	case ddlAlterTable:
		if slices.ContainsFunc(s.alter, func(spec ddlSpec) bool { return spec.op == specRenameTable }) {
			return s.tables[:1]
		}
	}
	return nil
}
