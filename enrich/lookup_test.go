package enrich

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
	"github.com/weir-cdc/weir/internal/transform"
)

// looking is a started chain of one look-up.
type looking struct {
	*transform.Chain
	made     []*lookupTransform // the chain's, and its clones'
	registry *prometheus.Registry
	waits    chan string // what it waited for last
}

// lookupChain compiles a chain of one look-up, named user. made gets the
// transforms of it and of its clones.
func lookupChain(properties map[string]string, made *[]*lookupTransform, servers LookupServers) (*transform.Chain, error) {
	all := map[string]string{"transforms": "user", "transforms.user.type": "com.company.debezium.LookupTransform"}
	for name, text := range properties {
		all["transforms.user."+name] = text
	}
	v, _, err := config.Parse(all, transform.Properties)
	if err != nil {
		return nil, err
	}
	seen := transform.Classes{Transforms: map[string]func(*transform.Options) transform.Transform{
		lookupClass: func(o *transform.Options) transform.Transform {
			t := Lookups(servers).Transforms[lookupClass](o)
			*made = append(*made, t.(*lookupTransform))
			return t
		},
	}}
	c, err := transform.New(v, seen)
	return c, v.Complete(nil, err)
}

// startLookup starts a look-up that ends with the test.
func startLookup(t testing.TB, properties map[string]string, more ...string) *looking {
	t.Helper()
	properties = maps.Clone(properties)
	for i := 0; i < len(more); i += 2 {
		properties[more[i]] = more[i+1]
	}
	return startLookupWith(t, LookupServers{}, properties)
}

// startLookupWith is startLookup in a component that lends servers.
func startLookupWith(t testing.TB, servers LookupServers, properties map[string]string) *looking {
	t.Helper()
	l := &looking{registry: prometheus.NewRegistry(), waits: make(chan string, 1)}
	c, err := lookupChain(properties, &l.made, servers)
	if err != nil {
		t.Fatal(err)
	}
	l.Chain = c
	l.start(t, c)
	return l
}

// start starts c, which is l's own chain or a clone of it.
func (l *looking) start(t testing.TB, c *transform.Chain) {
	t.Helper()
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	err := c.Start(transform.Env{Log: log, Metrics: l.registry, Waits: func(reason string) {
		select {
		case <-l.waits:
		default:
		}
		l.waits <- reason
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
}

// apply runs values through the chain and shows what becomes of each.
func (l *looking) apply(t testing.TB, values ...string) []string {
	t.Helper()
	records := make([]*cdc.Record, len(values))
	for i, value := range values {
		records[i] = record(t, value)
	}
	return l.applyRecords(t, records...)
}

func (l *looking) applyRecords(t testing.TB, records ...*cdc.Record) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	kept, err := l.Apply(ctx, records)
	var rejected *sink.Rejected
	if err != nil && !errors.As(err, &rejected) {
		t.Fatal(err)
	}
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = shownLookup(r, slices.Contains(kept, r))
	}
	if rejected != nil {
		for _, item := range rejected.Items {
			out[item.Index] = "rejected: " + item.Reason.Error()
		}
	}
	return out
}

// shownLookup is the document of a record, or of the envelope's states.
func shownLookup(r *cdc.Record, kept bool) string {
	document := func(row *cdc.Row) string {
		if row == nil {
			return "null"
		}
		return string(json.NewDocument(row.Schema, json.DocumentOptions{}).Append(nil, row))
	}
	if e := r.Envelope; kept && r.Value == nil && e != nil {
		return document(e.Before) + " → " + document(e.After)
	}
	if kept && r.Value != nil {
		return document(r.Value)
	}
	return show(r, kept)
}

// oneUser is a batch of one record.
func oneUser(t testing.TB) []*cdc.Record {
	t.Helper()
	return []*cdc.Record{record(t, `{"user_id":1}`)}
}

// counted is how many records a look-up met with a result.
func (l *looking) counted(t testing.TB, result string) int {
	t.Helper()
	return int(l.metric(t, "weir_lookup_records_total", "result", result))
}

// metric is the sum of a metric's samples that have the label.
func (l *looking) metric(t testing.TB, name, label, value string) (sum float64) {
	t.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, pair := range m.GetLabel() {
				if f.GetName() == name && pair.GetName() == label && pair.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// fakeSource is a server whose answers and outages a test owns. It answers as
// Redis does, with JSON texts.
type fakeSource struct {
	answers map[string]string
	err     error
	calls   int
	keys    []string // asked for in the last call
	before  func()   // is called in every call
}

func (s *fakeSource) ask(_ context.Context, open []*question) error {
	s.calls++
	s.keys = nil
	for _, q := range open {
		s.keys = append(s.keys, q.key)
	}
	slices.Sort(s.keys)
	if s.before != nil {
		s.before()
	}
	if s.err != nil {
		return s.err
	}
	for _, q := range open {
		if text, ok := s.answers[q.key]; ok {
			q.answer(q.lookup.fromJSON([]byte(text)))
		} else {
			q.answer(&found{missing: true})
		}
	}
	return nil
}

func (s *fakeSource) close() error { return nil }

// faked is a look-up by user_id that asks s instead of Redis.
func faked(t testing.TB, s *fakeSource, more ...string) (*looking, *lookupTransform) {
	t.Helper()
	l := startLookup(t, map[string]string{
		"lookup.redis.hosts": "localhost:1", "lookup.key.field": "user_id", "lookup.value.fields": "user_name,user_email", "lookup.miss.policy": "null",
	}, more...)
	l.fake(t, s)
	return l, l.made[0]
}

// fake puts s in the place of the servers.
func (l *looking) fake(t testing.TB, s *fakeSource) {
	t.Helper()
	for _, a := range l.made[0].run.sources {
		if err := a.source.close(); err != nil {
			t.Fatal(err)
		}
		a.source = s
	}
}

// TestLookupRecords is what each kind of record becomes.
func TestLookupRecords(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann","user_email":"a@x"}`}}
	for name, c := range map[string]struct{ in, out string }{
		"map":           {`{"id":1,"user_id":7}`, `{"id":1,"user_id":7,"user_name":"Ann","user_email":"a@x"}`},
		"text key":      {`{"id":1,"user_id":"7"}`, `{"id":1,"user_id":"7","user_name":"Ann","user_email":"a@x"}`},
		"replaced":      {`{"user_name":"?","user_id":7}`, `{"user_name":"Ann","user_id":7,"user_email":"a@x"}`},
		"null key":      {`{"id":1,"user_id":null}`, `{"id":1,"user_id":null,"user_name":null,"user_email":null}`},
		"missing field": {`{"id":1}`, `{"id":1}`},
		"nothing there": {`{"user_id":8}`, `{"user_id":8,"user_name":null,"user_email":null}`},
		"tombstone":     {``, `tombstone`},
		"bare":          {`7`, `7`},
		"struct": {`{"schema":{"type":"struct","optional":false,"fields":[{"field":"id","type":"int32","optional":false},{"field":"user_id","type":"int64","optional":true}]},"payload":{"id":1,"user_id":7}}`,
			`{"id":1,"user_id":7,"user_name":"Ann","user_email":"a@x"}`},
		"create": {`{"before":null,"after":{"user_id":7},"source":{"db":"shop"},"op":"c","ts_ms":1}`, `null → {"user_id":7,"user_name":"Ann","user_email":"a@x"}`},
		"update": {`{"before":{"user_id":6},"after":{"user_id":7},"source":{"db":"shop"},"op":"u","ts_ms":1}`,
			`{"user_id":6,"user_name":null,"user_email":null} → {"user_id":7,"user_name":"Ann","user_email":"a@x"}`},
		"delete":   {`{"before":{"user_id":7},"after":null,"source":{"db":"shop"},"op":"d","ts_ms":1}`, `{"user_id":7,"user_name":null,"user_email":null} → null`},
		"truncate": {`{"before":null,"after":null,"source":{"db":"shop"},"op":"t","ts_ms":1}`, `null → null`},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := faked(t, s)
			if got := l.apply(t, c.in)[0]; got != c.out {
				t.Errorf("got  %s\nwant %s", got, c.out)
			}
		})
	}
}

// TestLookupsAfterAWholeEnvelope: a transform before made a row of the envelope.
func TestLookupsAfterAWholeEnvelope(t *testing.T) {
	l, _ := faked(t, &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}})
	r := record(t, `{"before":null,"after":{"user_id":7},"source":{"db":"shop"},"op":"c","ts_ms":1}`)
	transform.Whole(r)
	if got, want := l.applyRecords(t, r)[0], `null → {"user_id":7,"user_name":"Ann","user_email":null}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestLookupOfDeletedRows: a delete whose row is known gets the fields and no
// question is asked for it.
func TestLookupOfDeletedRows(t *testing.T) {
	s := &fakeSource{}
	l, _ := faked(t, s)
	r := record(t, `{"id":1,"user_id":7}`)
	r.Deleted = true
	if got, want := l.applyRecords(t, r)[0], `{"id":1,"user_id":7,"user_name":null,"user_email":null}`; got != want || s.calls != 0 {
		t.Errorf("%d calls, got  %s\nwant %s", s.calls, got, want)
	}
}

// TestLookupAsksOncePerBatch: all keys together, each once, and not again while
// they are cached.
func TestLookupAsksOncePerBatch(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`, "user_id:8": `{"user_name":"Bob"}`}}
	l, c := faked(t, s, "lookup.cache.ttl.ms", "1000", "lookup.cache.negative.ttl.ms", "100")
	now := time.Now()
	c.now = func() time.Time { return now }
	batch := []string{`{"user_id":7}`, `{"user_id":8}`, `{"user_id":7}`, `{"user_id":9}`}
	got := l.apply(t, batch...)
	want := []string{`{"user_id":7,"user_name":"Ann","user_email":null}`, `{"user_id":8,"user_name":"Bob","user_email":null}`,
		`{"user_id":7,"user_name":"Ann","user_email":null}`, `{"user_id":9,"user_name":null,"user_email":null}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	steps := []struct {
		later time.Duration
		calls int
		keys  []string
	}{
		{0, 1, []string{"user_id:7", "user_id:8", "user_id:9"}},
		{99 * time.Millisecond, 1, nil},
		{time.Millisecond, 2, []string{"user_id:9"}}, // what is missing is forgotten first
		{900 * time.Millisecond, 3, []string{"user_id:7", "user_id:8", "user_id:9"}},
	}
	for _, step := range steps {
		now = now.Add(step.later)
		if d := cmp.Diff(want, l.apply(t, batch...)); d != "" {
			t.Error(d)
		}
		if s.calls != step.calls || step.keys != nil && !slices.Equal(s.keys, step.keys) {
			t.Errorf("after %v: %d calls, the last for %v; want %d for %v", step.later, s.calls, s.keys, step.calls, step.keys)
		}
	}
	if cached, found, missed := l.counted(t, "cached"), l.counted(t, "found"), l.counted(t, "missed"); cached != 3*3 || found != 2*3 || missed != 5 {
		t.Errorf("%d cached, %d found, %d missed", cached, found, missed)
	}
}

// TestLookupMissPolicies is what becomes of a record whose key is not there.
func TestLookupMissPolicies(t *testing.T) {
	null := `{"user_id":8,"user_name":null,"user_email":null}`
	for name, c := range map[string]struct {
		properties []string
		want       string
	}{
		"null":        {[]string{"lookup.miss.policy", "null"}, null},
		"retry":       {[]string{"lookup.miss.policy", "retry", "lookup.miss.retry.ms", "30"}, null},
		"default":     {[]string{"lookup.miss.policy", "default", "lookup.default.user_name", "nobody"}, `{"user_id":8,"user_name":"nobody","user_email":null}`},
		"skip":        {[]string{"lookup.miss.policy", "skip"}, "dropped"},
		"dead letter": {[]string{"lookup.miss.policy", "dead_letter"}, "rejected: applying transform user: looking up user_id:8 in Redis: there is nothing"},
		"retry, default": {[]string{"lookup.miss.policy", "retry", "lookup.miss.retry.ms", "30", "lookup.miss.then", "default", "lookup.default.user_email", "-"},
			`{"user_id":8,"user_name":null,"user_email":"-"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}}
			l, _ := faked(t, s, c.properties...)
			want := []string{`{"user_id":7,"user_name":"Ann","user_email":null}`, c.want}
			for range 2 { // found out, then known
				if d := cmp.Diff(want, l.apply(t, `{"user_id":7}`, `{"user_id":8}`)); d != "" {
					t.Error(d)
				}
			}
			if missed := l.counted(t, "missed"); missed != 2 {
				t.Errorf("%d missed", missed)
			}
			if retries := strings.HasPrefix(name, "retry"); retries != (s.calls > 1) {
				t.Errorf("asked %d times", s.calls)
			}
		})
	}
}

// TestLookupThatSkipsDeletesWhatWasThere: the row before an update was found and
// written, the one after is left out.
func TestLookupThatSkipsDeletesWhatWasThere(t *testing.T) {
	l, _ := faked(t, &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}}, "lookup.miss.policy", "skip")
	l.FollowMoves()
	kept, err := l.Apply(t.Context(), []*cdc.Record{record(t, `{"before":{"user_id":7},"after":{"user_id":8},"source":{"db":"shop"},"op":"u","ts_ms":1}`)})
	if err != nil || len(kept) != 1 || !kept[0].Deleted {
		t.Errorf("%d kept, %v", len(kept), err)
	}
	kept, err = l.Apply(t.Context(), []*cdc.Record{record(t, `{"before":{"user_id":7},"after":{"user_id":7},"source":{"db":"shop"},"op":"u","ts_ms":1}`)})
	if err != nil || len(kept) != 1 || kept[0].Deleted {
		t.Errorf("%d kept, %v", len(kept), err)
	}
}

// TestLookupWaitsForWhatComesLate: an order may be here before its customer is
// in the cache.
func TestLookupWaitsForWhatComesLate(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}}
	s.before = func() {
		if s.calls == 3 {
			s.answers["user_id:8"] = `{"user_name":"Bob"}`
		}
	}
	l, _ := faked(t, s, "lookup.miss.policy", "retry", "lookup.miss.retry.ms", "20000")
	want := []string{`{"user_id":7,"user_name":"Ann","user_email":null}`, `{"user_id":8,"user_name":"Bob","user_email":null}`}
	if d := cmp.Diff(want, l.apply(t, `{"user_id":7}`, `{"user_id":8}`)); d != "" {
		t.Error(d)
	}
	if s.calls != 3 || len(s.keys) != 1 {
		t.Errorf("%d calls, the last for %v", s.calls, s.keys)
	}
	if reason := <-l.waits; reason != "" {
		t.Errorf("it still waits: %s", reason)
	}
}

var errDown = errors.New("connection refused")

// TestLookupWaitsForTheServer, and says so.
func TestLookupWaitsForTheServer(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}, err: errDown}
	l, _ := faked(t, s)
	said := ""
	s.before = func() {
		if s.calls == 4 {
			s.err = nil
		}
		if s.calls > 1 {
			said = <-l.waits
		}
	}
	want := []string{`{"user_id":7,"user_name":"Ann","user_email":null}`}
	if d := cmp.Diff(want, l.apply(t, `{"user_id":7}`)); d != "" {
		t.Error(d)
	}
	if s.calls != 4 || said != "looking up: connection refused" {
		t.Errorf("%d calls, waiting for %q", s.calls, said)
	}
	if down := l.metric(t, "weir_lookup_unavailable", "transform", "user"); down != 0 {
		t.Errorf("unavailable is %v after the outage", down)
	}
	if failures := l.metric(t, "weir_lookup_failures_total", "transform", "user"); failures != 3 {
		t.Errorf("%v failures", failures)
	}
}

// TestLookupGoesOnWithoutTheServer once the time is over, with nothing that
// would be remembered, and asks again now and then.
func TestLookupGoesOnWithoutTheServer(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}, err: errDown}
	l, c := faked(t, s, "lookup.unavailable.policy", "null", "lookup.unavailable.timeout.ms", "5000", "lookup.miss.policy", "dead_letter")
	now := time.Now()
	c.now = func() time.Time { return now }
	s.before = func() { now = now.Add(2 * time.Second) }
	null, found := []string{`{"user_id":7,"user_name":null,"user_email":null}`}, []string{`{"user_id":7,"user_name":"Ann","user_email":null}`}
	for i, step := range []struct {
		later time.Duration
		back  bool
		calls int
		want  []string
	}{
		{0, false, 4, null}, // 2 s, 4 s, 6 s, 8 s: the outage is longer than 5 s since the first answer
		{500 * time.Millisecond, false, 4, null},
		{600 * time.Millisecond, false, 5, null},
		{500 * time.Millisecond, true, 5, null},
		{600 * time.Millisecond, true, 6, found},
		{0, true, 6, found},
	} {
		now = now.Add(step.later)
		if step.back {
			s.err = nil
		}
		if d := cmp.Diff(step.want, l.apply(t, `{"user_id":7}`)); d != "" || s.calls != step.calls {
			t.Errorf("step %d: %d calls, want %d: %s", i, s.calls, step.calls, d)
		}
	}
	if lost := l.counted(t, "unavailable"); lost != 4 {
		t.Errorf("%d counted", lost)
	}
}

// TestLookupThatIsMisconfiguredIsNotGivenUp: null would hide the mistake.
func TestLookupThatIsMisconfiguredIsNotGivenUp(t *testing.T) {
	s := &fakeSource{err: &misconfigured{errors.New("unknown column")}}
	l, _ := faked(t, s, "lookup.unavailable.policy", "null", "lookup.unavailable.timeout.ms", "0")
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if _, err := l.Apply(ctx, []*cdc.Record{record(t, `{"user_id":7}`)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestABatchThatFailsLeavesTheRecordsAsTheyWere, whatever was found before, and
// the next attempt with the same records makes of them what it should.
func TestABatchThatFailsLeavesTheRecordsAsTheyWere(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}}
	l, _ := faked(t, s)
	l.apply(t, `{"user_id":7}`) // 7 is in the cache
	s.err = errDown
	values := []string{`{"user_id":7}`, `{"before":{"user_id":6},"after":{"user_id":7},"source":{"db":"shop"},"op":"u","ts_ms":1}`, `{"user_id":8}`}
	var records []*cdc.Record
	var before []string
	for _, value := range values {
		r := record(t, value)
		records, before = append(records, r), append(before, stateText(r))
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.before = cancel
	if _, err := l.Apply(ctx, records); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for i, r := range records {
		if got := stateText(r); got != before[i] {
			t.Errorf("record %d was\n%s and is\n%s", i, before[i], got)
		}
	}
	s.err, s.before = nil, nil
	want := []string{`{"user_id":7,"user_name":"Ann","user_email":null}`,
		`{"user_id":6,"user_name":null,"user_email":null} → {"user_id":7,"user_name":"Ann","user_email":null}`,
		`{"user_id":8,"user_name":null,"user_email":null}`}
	if d := cmp.Diff(want, l.applyRecords(t, records...)); d != "" {
		t.Error(d)
	}
}

// stateText is all of a record that a transform could change.
func stateText(r *cdc.Record) string {
	rows := []*cdc.Row{r.Key, r.Value}
	if r.Envelope != nil {
		rows = append(rows, r.Envelope.Before, r.Envelope.After)
	}
	text := fmt.Sprintf("%s %v %v %v", r.Route, r.Deleted, r.Tombstone, r.Wrapped)
	for _, row := range rows {
		if row != nil {
			text += fmt.Sprintf(" %p %s %v", row, row.Schema.Fingerprint(), row.Values)
		}
	}
	return text
}

// TestClonesShareTheCache and what they ask; only closing the original ends it.
func TestClonesShareTheCache(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}}
	l, _ := faked(t, s)
	clone, err := l.Clone()
	if err != nil {
		t.Fatal(err)
	}
	l.start(t, clone)
	other := &looking{Chain: clone, registry: l.registry, waits: l.waits}
	want := `{"user_id":7,"user_name":"Ann","user_email":null}`
	if got := l.apply(t, `{"user_id":7}`)[0]; got != want {
		t.Error(got)
	}
	if got := other.apply(t, `{"user_id":7}`)[0]; got != want || s.calls != 1 {
		t.Errorf("%s after %d calls", got, s.calls)
	}
	if err := clone.Close(); err != nil {
		t.Fatal(err)
	}
	if l.made[0].shared.run == nil {
		t.Error("closing a clone ended what is shared")
	}
	if cached, found := l.counted(t, "cached"), l.counted(t, "found"); cached != 1 || found != 1 {
		t.Errorf("%d cached, %d found", cached, found)
	}
}

// TestLookupStartsAnewAfterItsEnd, as when a sink goes over to another index.
func TestLookupStartsAnewAfterItsEnd(t *testing.T) {
	l, _ := faked(t, &fakeSource{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.registry = prometheus.NewRegistry()
	l.start(t, l.Chain)
	l.fake(t, &fakeSource{answers: map[string]string{"user_id:7": `{"user_name":"Ann"}`}})
	if got, want := l.apply(t, `{"user_id":7}`)[0], `{"user_id":7,"user_name":"Ann","user_email":null}`; got != want {
		t.Error(got)
	}
	if l.counted(t, "found") != 1 {
		t.Error("the new registry has no count")
	}
}

// TestSeveralLookups in one transform ask together, and each has its own
// properties.
func TestSeveralLookups(t *testing.T) {
	s := &fakeSource{answers: map[string]string{"user:7": `{"user_name":"Ann"}`, "product_id:7": `{"name":"Pen","price":1.50,"tags":["a"],"maker":{"city":"Rome"},"stock":12345678901234567890}`}}
	l := startLookup(t, map[string]string{
		"lookup.redis.hosts": "localhost:1", "lookups": "user,product", "lookup.miss.policy": "null",
		"lookup.user.key.template": "user:${user_id}", "lookup.user.value.fields": "user_name",
		"lookup.product.key.field": "product_id", "lookup.product.value.fields": "name:product_name, price, tags, maker.city:city, stock",
		"lookup.product.miss.policy": "skip",
	})
	l.fake(t, s)
	got := l.apply(t, `{"user_id":7,"product_id":7}`, `{"user_id":8,"product_id":7}`, `{"user_id":7,"product_id":8}`, `{"user_id":7}`)
	product := `"product_name":"Pen","price":1.50,"tags":["a"],"city":"Rome","stock":12345678901234567890}`
	want := []string{`{"user_id":7,"product_id":7,"user_name":"Ann",` + product, `{"user_id":8,"product_id":7,"user_name":null,` + product, "dropped", `{"user_id":7,"user_name":"Ann"}`}
	if d := cmp.Diff(want, got); d != "" || s.calls != 1 {
		t.Errorf("%d calls: %s", s.calls, d)
	}
}

// TestLookupTypes: what is stated is converted, what cannot be is rejected.
func TestLookupTypes(t *testing.T) {
	s := &fakeSource{answers: map[string]string{
		"k:1": `{"a":"1.5","b":1.5,"c":true,"d":"12345678901234567890.1","e":7,"f":{"x":1}}`,
		"k:2": `{"a":"1.555","b":"x","c":"0","d":-0.05,"e":null,"f":false}`,
		"k:3": `{"b":"y","e":"12"}`, "k:4": `{"c":"maybe"}`, "k:5": `[1]`, "k:6": `{"a":`, "k:7": `null`, "k:8": `{"e":1.5}`, "k:9": `{"d":"1e3"}`,
	}}
	l := startLookup(t, map[string]string{
		"lookup.redis.hosts": "localhost:1", "lookup.miss.policy": "null", "lookup.key.field": "k", "lookup.value.fields": "a,b,c,d,e,f",
		"lookup.types": "a:float64, b:string, c:boolean, d:decimal(22,2), e:int16",
	})
	l.fake(t, s)
	got := l.apply(t, `{"k":1}`, `{"k":2}`, `{"k":3}`, `{"k":4}`, `{"k":5}`, `{"k":6}`, `{"k":7}`, `{"k":8}`, `{"k":9}`)
	rejected := "rejected: applying transform user: looking up "
	want := []string{
		`{"k":1,"a":1.5,"b":"1.5","c":true,"d":12345678901234567890.10,"e":7,"f":{"x":1}}`,
		`{"k":2,"a":1.555,"b":"x","c":false,"d":-0.05,"e":null,"f":false}`,
		`{"k":3,"a":null,"b":"y","c":null,"d":null,"e":12,"f":null}`,
		rejected + `k:4 in Redis: the value for c: "maybe" is neither true nor false`,
		rejected + `k:5 in Redis: it is no JSON object`,
		rejected + `k:6 in Redis: it is no JSON object`,
		`{"k":7,"a":null,"b":null,"c":null,"d":null,"e":null,"f":null}`,
		rejected + `k:8 in Redis: the value for e: "1.5" is no int16`,
		rejected + `k:9 in Redis: the value for d: "1e3" is no decimal`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if failed := l.counted(t, "failed"); failed != 5 {
		t.Errorf("%d failed", failed)
	}
}

// TestLookupByAnAbsentColumn is refused: nobody knows the key.
func TestLookupByAnAbsentColumn(t *testing.T) {
	l, _ := faked(t, &fakeSource{})
	r := record(t, `{"user_id":"__debezium_unavailable_value"}`)
	if got := l.applyRecords(t, r)[0]; !strings.HasPrefix(got, "rejected: applying transform user: looking up by user_id: the column was not in the row image") {
		t.Error(got)
	}
}

// TestLookupProperties: all that is wrong is said at once.
func TestLookupProperties(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		want       []string
	}{
		"the reference, alone": {map[string]string{"lookup.source": "redis", "lookup.key.field": "user_id", "lookup.value.fields": "user_name,user_email,user_role"},
			[]string{"transforms.user.lookup.redis.hosts is not set: want host:port of the Redis server that has the values, or of some servers of a cluster"}},
		"nothing": {map[string]string{"lookup.redis.hosts": "a:1"}, []string{
			"transforms.user.lookup.value.fields is not set: want the fields to take over, each as name or name:output",
			"transforms.user.lookup.key.field is not set: want the field whose value is looked up"}},
		"sql": {map[string]string{"lookup.source": "sql", "lookup.key.field": "a,b", "lookup.value.fields": "x", "lookup.sql.key.columns": "a", "lookup.sql.host": "db"}, []string{
			"transforms.user.lookup.sql.table is not set: want the table, or database.table",
			"transforms.user.lookup.sql.key.columns = \"a\": want as many columns as key.field has fields, 2",
			"transforms.user.lookup.sql.host = \"db\": want host:port"}},
		"topic": {map[string]string{"lookup.source": "topic", "lookup.key.field": "a", "lookup.value.fields": "x", "lookup.kafka.security.protocol": "NONE"}, []string{
			"transforms.user.lookup.topic.name is not set: want the compacted topic that has the values",
			"transforms.user.lookup.kafka.security.protocol = \"NONE\": want one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"}},
		"values":  {map[string]string{"lookup.redis.hosts": "a:1", "lookup.key.template": "x:${a", "lookup.value.fields": "x:y,z:y", "lookup.types": "y:date", "lookup.miss.policy": "default", "lookup.cache.size": "-1", "lookups": "one,redis"}, nil},
		"unknown": {map[string]string{"lookup.redis.hosts": "a:1", "lookup.key.field": "a", "lookup.value.fields": "x", "lookup.redis.password": "secret", "lookup.redis.password2": "secret2"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lookupChain(c.properties, &[]*lookupTransform{}, LookupServers{})
			if err == nil {
				t.Fatal("accepted")
			}
			var got []string
			for _, e := range config.Errors(err) {
				got = append(got, e.Error())
			}
			if c.want != nil {
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
				return
			}
			text := strings.Join(got, "\n")
			for _, part := range map[string][]string{
				"values":  {"lookup.key.template", "comes twice", "want output:type with a type of string", "lookup.default.<output>", "lookup.cache.size", "redis does"},
				"unknown": {"lookup.redis.password2 = \"****\"", "a property of this class"},
			}[name] {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not said in\n%s", part, text)
				}
			}
			if strings.Contains(text, "secret2") {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}

// TestLookupNeedsNoServerForOtherRecords: a sink asks the chain where a topic
// goes before it is started.
func TestLookupNeedsNoServerForOtherRecords(t *testing.T) {
	c, err := lookupChain(map[string]string{"lookup.redis.hosts": "localhost:1", "lookup.key.field": "user_id", "lookup.value.fields": "user_name"}, &[]*lookupTransform{}, LookupServers{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := c.Apply(t.Context(), []*cdc.Record{record(t, `{"id":1}`)})
	if err != nil || len(kept) != 1 {
		t.Errorf("%d kept, %v", len(kept), err)
	}
}
