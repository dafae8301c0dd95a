package enrich

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// lookupTransform adds fields that it looks up elsewhere, under a key that the
// record has. All questions of a batch that the cache cannot answer are asked
// together. Records are changed only when everything is answered, so that a
// batch that cannot be finished leaves them as they were.
type lookupTransform struct {
	shared *lookupShared
	clone  bool // shared is another's
	run    *lookupRun
	waits  func(reason string)
	now    func() time.Time

	plans    map[*cdc.Schema]*lookupPlan
	last     *lookupPlan // of the record before
	counters [][lookupResults]prometheus.Counter

	// The memory of one batch.
	slots   []slot // for each record one a look-up
	asked   map[string]*question
	open    []*question
	scratch []byte
	key     cdc.Row
	counts  [][lookupResults]int
}

// slot is what a look-up knows for one record.
type slot struct {
	result   uint8
	found    *found    // nil while it is open
	question *question // that finds it
}

// question is a key that the cache has no answer for.
type question struct {
	lookup *lookup
	key    string
	parts  []string // texts of the key fields
	found  *found   // nil: not answered yet
}

// answer answers q by what was found for it alone.
func (q *question) answer(f *found) {
	f.key = q.key
	q.found = f
}

// lookupPlan is where rows of a schema have what the look-ups need.
type lookupPlan struct {
	schema *cdc.Schema
	// keys are the positions of each look-up's key fields; nil where the schema
	// lacks one.
	keys    [][]int
	keyRows []*cdc.Schema // of the key fields of each look-up
	any     bool          // one of them has its key
	wider   *cdc.Schema   // with the outputs; nil until it is needed
	at      [][]int       // positions of each look-up's outputs in it
}

// Share makes t use the connections and caches of original.
func (t *lookupTransform) Share(original transform.Transform) {
	if o, ok := original.(*lookupTransform); ok {
		t.shared, t.clone = o.shared, true
	}
}

// Start makes what the look-ups ask; it connects when the first record needs it,
// but for topics, which are read from now on.
func (t *lookupTransform) Start(env transform.Env) error {
	run, err := t.shared.start(env)
	if err != nil {
		return err
	}
	t.run, t.waits = run, env.Waits
	if t.waits == nil {
		t.waits = func(string) {}
	}
	t.counters = t.counters[:0]
	for _, l := range run.lookups {
		t.counters = append(t.counters, run.metrics.counters(l.name))
	}
	t.counts = make([][lookupResults]int, len(run.lookups))
	return nil
}

// Close ends the connections, unless they are another transform's.
func (t *lookupTransform) Close() error {
	if t.clone {
		return nil
	}
	return t.shared.close()
}

// LooksUp says that what it adds is found elsewhere.
func (t *lookupTransform) LooksUp() {}

// DependsOnRow reports whether records can be left out for what they have: a row
// whose new key is missing has to go from where its old one brought it.
func (t *lookupTransform) DependsOnRow() bool {
	return slices.ContainsFunc(t.shared.config.lookups, func(l *lookupSpec) bool { return l.miss == missSkip })
}

// Apply is ApplyAll for one record; it waits as long as the policies say.
func (t *lookupTransform) Apply(r *cdc.Record) (keep bool, err error) {
	records, verdicts := [1]*cdc.Record{r}, [1]transform.Verdict{}
	if err := t.ApplyAll(context.Background(), records[:], verdicts[:]); err != nil {
		return false, err
	}
	return !verdicts[0].Drop, verdicts[0].Err
}

// ApplyAll looks up what the records need and adds it. The only error is the end
// of ctx; the records are then as they were, but that an envelope that was a row
// (transform.Whole) is an envelope again.
func (t *lookupTransform) ApplyAll(ctx context.Context, records []*cdc.Record, verdicts []transform.Verdict) error {
	t.begin(len(records))
	now := t.now().UnixNano()
	for i, r := range records {
		if err := t.look(i, r, now); err != nil {
			verdicts[i].Err = err
		}
	}
	if len(t.open) > 0 {
		if err := t.resolve(ctx); err != nil {
			return err
		}
	}
	for i, r := range records {
		if verdicts[i].Err == nil {
			verdicts[i] = t.write(i, r)
		}
	}
	t.count()
	return nil
}

// begin empties the memory of the batch before.
func (t *lookupTransform) begin(records int) {
	n := records * t.width()
	if cap(t.slots) < n {
		t.slots = make([]slot, n)
	}
	t.slots = t.slots[:n]
	clear(t.slots)
	clear(t.asked)
	t.open = t.open[:0]
	clear(t.counts)
}

// width is how many look-ups there are.
func (t *lookupTransform) width() int { return len(t.shared.config.lookups) }

// stateOf is the row that fields are added to: the flat value, or the state after
// the change; nil where there is none. wanted says that it is to be looked up,
// not only given the same fields as others.
func stateOf(r *cdc.Record) (row *cdc.Row, wanted bool) {
	e := transform.Envelope(r)
	switch {
	case r.Tombstone || r.Value != nil && r.Value.Schema.IsBare():
		return nil, false
	case e != nil && e.After != nil:
		return e.After, true
	case e != nil:
		return e.Before, false
	}
	return r.Value, r.Value != nil && !r.Deleted
}

// look notes what is known for the i-th record and asks for what is not.
func (t *lookupTransform) look(i int, r *cdc.Record, now int64) error {
	row, wanted := stateOf(r)
	if row == nil {
		return nil
	}
	p := t.plan(row.Schema)
	if !p.any {
		if wanted {
			t.countAll(lookupNoField)
		}
		return nil
	}
	if !wanted {
		return nil
	}
	if t.run == nil {
		return fmt.Errorf("looking up for %s: the transform was not started", r.Topic)
	}
	for n := range p.keys {
		if err := t.lookOne(&t.slots[i*len(p.keys)+n], n, p, row, now); err != nil {
			t.counts[n][lookupFailed]++
			return err
		}
	}
	return nil
}

func (t *lookupTransform) countAll(result int) {
	for n := range t.counts {
		t.counts[n][result]++
	}
}

// lookOne fills the slot of the n-th look-up for a row.
func (t *lookupTransform) lookOne(s *slot, n int, p *lookupPlan, row *cdc.Row, now int64) error {
	l, keys := t.run.lookups[n], p.keys[n]
	if keys == nil {
		s.result = lookupNoField
		t.counts[n][lookupNoField]++
		return nil
	}
	for _, at := range keys {
		v := &row.Values[at]
		if v.Kind() == cdc.KindAbsent {
			return fmt.Errorf("looking up by %s: the column was not in the row image (binlog_row_image is not FULL)", row.Schema.Fields[at].Name)
		}
		if v.IsNull() {
			s.result = lookupNullKey
			t.counts[n][lookupNullKey]++
			return nil
		}
	}
	t.appendKey(l, n, p, row)
	if s.found = l.known(t.scratch[1:], now); s.found != nil {
		s.result = lookupCached
		return nil
	}
	s.result = lookupFound
	s.question = t.ask(l, p, n, row)
	return nil
}

// appendKey makes t.scratch the look-up's number and the key.
func (t *lookupTransform) appendKey(l *lookup, n int, p *lookupPlan, row *cdc.Row) {
	keys := p.keys[n]
	t.scratch = append(t.scratch[:0], byte(n))
	switch {
	case l.template != nil:
		for _, piece := range l.template {
			t.scratch = append(t.scratch, piece.text...)
			if piece.field >= 0 {
				at := keys[piece.field]
				t.scratch = json.AppendText(t.scratch, &row.Schema.Fields[at], &row.Values[at])
			}
		}
	case len(keys) == 1:
		t.scratch = json.AppendText(t.scratch, &row.Schema.Fields[keys[0]], &row.Values[keys[0]])
	default:
		t.key.Reset(p.keyRows[n])
		for i, at := range keys {
			t.key.Values[i] = row.Values[at]
		}
		t.scratch = json.AppendKeyText(t.scratch, &t.key)
	}
}

// ask is the batch's question for the key in t.scratch.
func (t *lookupTransform) ask(l *lookup, p *lookupPlan, n int, row *cdc.Row) *question {
	if q := t.asked[string(t.scratch)]; q != nil {
		return q
	}
	q := &question{lookup: l, key: string(t.scratch[1:])}
	for _, at := range p.keys[n] {
		q.parts = append(q.parts, string(json.AppendText(nil, &row.Schema.Fields[at], &row.Values[at])))
	}
	t.asked[string(t.scratch)] = q
	t.open = append(t.open, q)
	return q
}

// plan is what is known of a schema.
func (t *lookupTransform) plan(s *cdc.Schema) *lookupPlan {
	if t.last != nil && t.last.schema == s {
		return t.last
	}
	p := t.plans[s]
	if p == nil {
		p = t.newPlan(s)
		t.plans[s] = p
	}
	t.last = p
	return p
}

func (t *lookupTransform) newPlan(s *cdc.Schema) *lookupPlan {
	p := &lookupPlan{schema: s}
	for _, l := range t.shared.config.lookups {
		var at []int
		var fields []cdc.Field
		for _, name := range l.keys {
			if i := s.Index([]byte(name)); i >= 0 {
				at, fields = append(at, i), append(fields, s.Fields[i])
			}
		}
		if len(at) < len(l.keys) {
			at = nil
			t.shared.noField(l, s)
		}
		p.any = p.any || at != nil
		p.keys, p.keyRows = append(p.keys, at), append(p.keyRows, cdc.NewSchema("", fields...))
	}
	return p
}

// widen decides where the outputs are; the types of all look-ups are known.
func (t *lookupTransform) widen(p *lookupPlan) {
	var fields []cdc.Field
	for n, l := range t.run.lookups {
		if p.keys[n] != nil {
			fields = append(fields, *l.fields.Load()...)
		}
	}
	wider := *p.schema.With(fields...)
	wider.Optional = p.schema.Optional
	p.wider = wider.Intern()
	p.at = make([][]int, len(p.keys))
	for n, l := range t.run.lookups {
		for i := range l.outputs {
			if p.keys[n] != nil {
				p.at[n] = append(p.at[n], p.wider.Index([]byte(l.outputs[i].field.Name)))
			}
		}
	}
}

// write adds what was found to the i-th record, and says what becomes of it.
func (t *lookupTransform) write(i int, r *cdc.Record) transform.Verdict {
	row, wanted := stateOf(r)
	if row == nil {
		return transform.Verdict{}
	}
	p := t.plan(row.Schema)
	if !p.any || !t.known(p) {
		return transform.Verdict{}
	}
	slots := t.slots[i*len(p.keys) : (i+1)*len(p.keys)]
	if wanted {
		if v := t.judge(slots); v.Drop || v.Err != nil {
			return v
		}
	}
	if p.wider == nil {
		t.widen(p)
	}
	if e := r.Envelope; r.Value == nil && e != nil && e.Before != nil && e.Before != row && e.Before.Schema == row.Schema {
		t.add(e.Before, p, nil)
	}
	if !wanted {
		slots = nil
	}
	t.add(row, p, slots)
	return transform.Verdict{}
}

// known reports whether the types of all outputs are known. They are when
// something has been looked up; before that there is nothing to add.
func (t *lookupTransform) known(p *lookupPlan) bool {
	if t.run == nil {
		return false
	}
	for n, l := range t.run.lookups {
		if p.keys[n] != nil && l.fields.Load() == nil {
			return false
		}
	}
	return true
}

// judge applies the policies for what was not found.
func (t *lookupTransform) judge(slots []slot) transform.Verdict {
	drop := false
	for n := range slots {
		s, l := &slots[n], t.run.lookups[n]
		if s.question != nil {
			s.found = s.question.found
		}
		f := s.found
		if f == nil { // no key
			continue
		}
		switch {
		case f.err != nil:
			t.counts[n][lookupFailed]++
			return transform.Verdict{Err: fmt.Errorf("looking up %s in %s: %w", f.key, l.where, f.err)}
		case f.lost:
			t.counts[n][lookupLost]++
		case !f.missing:
			t.counts[n][s.result]++
		default:
			t.counts[n][lookupMissed]++
			if l.miss == missReject {
				return transform.Verdict{Err: fmt.Errorf("looking up %s in %s: there is nothing", f.key, l.where)}
			}
			drop = drop || l.miss == missSkip
		}
	}
	return transform.Verdict{Drop: drop}
}

// add gives row the outputs; of no slots, as nulls.
func (t *lookupTransform) add(row *cdc.Row, p *lookupPlan, slots []slot) {
	for len(row.Values) < len(p.wider.Fields) {
		row.Values = append(row.Values, cdc.Value{})
	}
	row.Schema = p.wider
	for n, at := range p.at {
		l := t.run.lookups[n]
		for k, to := range at {
			row.Values[to] = cdc.Value{}
			if slots == nil || slots[n].found == nil {
				continue
			}
			switch f := slots[n].found; {
			case f.lost:
			case !f.missing:
				row.Values[to] = row.Copy(f.values[k])
			case l.miss == missDefault:
				row.Values[to] = row.Copy(l.outputs[k].otherwise)
			}
		}
	}
}

// count hands the batch's counts to the metrics.
func (t *lookupTransform) count() {
	for n := range t.counts {
		for result, add := range t.counts[n] {
			if add > 0 {
				t.counters[n][result].Add(float64(add))
			}
		}
	}
}
