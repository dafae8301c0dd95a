package e2e

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watch reads random rows of Elasticsearch, through the aliases, and of Redis,
// for as long as a test runs: no row that exists may be seen in an older version
// than before, none may be missing that was not deleted, and one version is one
// content.
type watch struct {
	seed   uint64
	fleet  *fleet
	search *sights
	cache  *sights
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// sight is the last that was seen of a row.
type sight struct {
	version uint64
	there   bool
	content string
	since   time.Time // it was first seen
}

// where says which row of which table, by the text of its key.
type where struct{ table, key string }

// suspicion is a row that went back or is missing, which is right only if it was
// deleted behind the version that was seen before.
type suspicion struct {
	where
	before, now sight
	at          time.Time
	what        string
}

// sights are what a reader saw of a target.
type sights struct {
	target string
	mu     sync.Mutex
	last   map[where]sight
	looks  int // at rows
	// wrong is what no history excuses, suspect what one may.
	wrong   []string
	suspect []suspicion
}

func newWatch(f *fleet, seed uint64) *watch {
	return &watch{fleet: f, seed: seed, search: &sights{target: "Elasticsearch", last: map[where]sight{}}, cache: &sights{target: "Redis", last: map[where]sight{}}}
}

// start reads until end is called. Servers that do not answer are asked again.
func (w *watch) start() {
	ctx, stop := context.WithCancel(w.fleet.t.Context())
	w.stop = stop
	w.done.Go(func() { w.searchLoop(ctx, rand.New(rand.NewPCG(w.seed, 11))) })
	w.done.Go(func() { w.cacheLoop(ctx, rand.New(rand.NewPCG(w.seed, 12))) })
	w.done.Go(func() { w.forgetDeletes(ctx) })
}

func (w *watch) end() {
	w.stop()
	w.done.Wait()
}

// saw takes what was seen of a row now. strict is a target that remembers the
// versions of deleted rows, too.
func (s *sights) saw(at where, now sight, strict bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	now.since = time.Now()
	before, known := s.last[at]
	switch {
	case !known:
		if !now.there && !strict {
			return
		}
	case strict && now.version < before.version:
		s.wrong = append(s.wrong, fmt.Sprintf("%s went from version %d back to %d", at, before.version, now.version))
	case now.version == before.version && (strict && now.there != before.there || now.content != before.content):
		s.wrong = append(s.wrong, fmt.Sprintf("%s has two contents of version %d: %+v and %+v", at, now.version, before, now))
	case !strict && !now.there:
		if before.there {
			s.suspect = append(s.suspect, suspicion{at, before, now, now.since, "is gone"})
		}
		before.there = false // the version stays: a row must not come back older, either
		s.last[at] = before
		return
	case !strict && now.version < before.version:
		s.suspect = append(s.suspect, suspicion{at, before, now, now.since, "went back"})
	case now.version == before.version:
		now.since = before.since
	}
	s.last[at] = now
}

// forget gives up what was seen for the first time within the last half minute:
// a server that is killed may lose what it showed and had not acknowledged.
func (s *sights) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, seen := range s.last {
		if time.Since(seen.since) < 30*time.Second {
			delete(s.last, at)
		}
	}
}

// each is how many rows one request asks for, rest the pause between two.
const (
	each = 50
	rest = 100 * time.Millisecond
)

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// some are random members of a list.
func some(r *rand.Rand, from []string, n int) []string {
	out := make([]string, 0, n)
	for range min(n, len(from)) {
		out = append(out, from[r.IntN(len(from))])
	}
	return out
}

// searchLoop reads documents by id, which needs no refresh of the index.
func (w *watch) searchLoop(ctx context.Context, r *rand.Rand) {
	all := tables()
	ids := map[string][]string{}
	for n := 0; pause(ctx, rest); n++ {
		table := all[n%len(all)].name
		if n%50 < len(all) { // other rows than before
			if more, err := w.documents(ctx, table, r.Int64()); err == nil {
				ids[table] = append(more, some(r, ids[table], 400)...)
			}
		}
		if len(ids[table]) > 0 {
			w.lookAtDocuments(ctx, table, some(r, ids[table], each))
		}
	}
}

// documents are the ids of random rows.
func (w *watch) documents(ctx context.Context, table string, seed int64) ([]string, error) {
	var found struct {
		Hits struct {
			Hits []struct {
				ID string `json:"_id"`
			} `json:"hits"`
		} `json:"hits"`
	}
	body := fmt.Sprintf(`{"size": 200, "_source": false, "query": {"function_score": {"query": {"match_all": {}}, "random_score": {"seed": %d, "field": "_seq_no"}}}}`, seed)
	err := w.fleet.ask(ctx, http.MethodPost, "/"+w.fleet.route(table)+"/_search", body, &found)
	var ids []string
	for _, h := range found.Hits.Hits {
		ids = append(ids, h.ID)
	}
	return ids, err
}

// lookAtDocuments reads some documents through the alias.
func (w *watch) lookAtDocuments(ctx context.Context, table string, ids []string) {
	body, _ := json.Marshal(map[string]any{"ids": ids}) // texts can be written
	var found struct {
		Docs []struct {
			ID      string          `json:"_id"`
			Found   bool            `json:"found"`
			Version uint64          `json:"_version"`
			Source  json.RawMessage `json:"_source"`
			Error   any             `json:"error"`
		} `json:"docs"`
	}
	if w.fleet.ask(ctx, http.MethodPost, "/"+w.fleet.route(table)+"/_mget", string(body), &found) != nil {
		return
	}
	for _, d := range found.Docs {
		if d.Error == nil {
			w.search.saw(where{table, d.ID}, sight{version: d.Version, there: d.Found, content: digest(d.Source)}, false)
		}
	}
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha1.Sum(b))[:12] }

// forgetDeletes makes Elasticsearch forget the versions of deleted documents at
// once, which it remembers for minutes else: nothing may depend on that.
func (w *watch) forgetDeletes(ctx context.Context) {
	set := map[string]bool{}
	for pause(ctx, 200*time.Millisecond) {
		names, _ := w.fleet.indexes(ctx) // the server may be away
		for _, name := range names {
			if !set[name] {
				set[name] = w.fleet.ask(ctx, http.MethodPut, "/"+name+"/_settings", `{"index": {"gc_deletes": "100ms"}}`, nil) == nil
			}
		}
	}
}

// glance reads a version and its value in one step, of several rows.
var glance = redis.NewScript(`
local out = {}
for i = 1, #KEYS, 2 do
  local kind, text = redis.call('TYPE', KEYS[i + 1]).ok, ''
  if kind == 'string' then
    text = redis.call('GET', KEYS[i + 1])
  elseif kind == 'hash' then
    local all, parts = redis.call('HGETALL', KEYS[i + 1]), {}
    for f = 1, #all, 2 do parts[#parts + 1] = all[f] .. '\0' .. all[f + 1] end
    table.sort(parts)
    text = table.concat(parts, '\0')
  end
  out[#out + 1] = redis.call('GET', KEYS[i]) or ''
  out[#out + 1] = kind .. ' ' .. redis.sha1hex(text)
end
return out`)

// guards is what stands in the names of keys with versions between the prefix
// and the tag.
const guards = "weir:v:{"

// cacheLoop reads keys and their versions, also those of rows that are deleted.
func (w *watch) cacheLoop(ctx context.Context, r *rand.Rand) {
	all := tables()
	names := map[string][]string{} // of keys with versions
	cursors := map[string]uint64{}
	for n := 0; pause(ctx, rest); n++ {
		table := all[n%len(all)].name
		if len(names[table]) < 20_000 {
			more, cursor, err := w.fleet.cache.Scan(ctx, cursors[table], w.fleet.route(table)+":"+guards+"*", 500).Result()
			if err == nil {
				cursors[table], names[table] = cursor, append(names[table], more...)
			}
		}
		if len(names[table]) > 0 {
			w.lookAtKeys(ctx, table, some(r, names[table], each))
		}
	}
}

// lookAtKeys reads some keys with the versions beside them.
func (w *watch) lookAtKeys(ctx context.Context, table string, names []string) {
	prefix := w.fleet.route(table) + ":"
	var keys []string
	for _, name := range names {
		_, key, _ := strings.Cut(strings.TrimPrefix(name, prefix+guards), "}:")
		keys = append(keys, name, prefix+key)
	}
	found, err := glance.Run(ctx, w.fleet.cache, keys).StringSlice()
	if err != nil {
		return
	}
	for i := 0; i < len(found); i += 2 {
		at := where{table, strings.TrimPrefix(keys[i+1], prefix)}
		now := sight{there: !strings.HasPrefix(found[i+1], "none"), content: found[i+1]}
		if text, _, _ := strings.Cut(found[i], " "); text != "" {
			_, _ = fmt.Sscan(strings.TrimLeft(text, "0"), &now.version)
		}
		w.cache.saw(at, now, true)
	}
}

// judge finds out which suspicions the deletes of rows do not explain, and
// returns how many rows had come back that were deleted.
func (s *sights) judge(deletes history) (reappeared int) {
	for _, doubt := range s.suspect {
		switch {
		case !deletes.behind(doubt.where, doubt.before.version):
			s.wrong = append(s.wrong, fmt.Sprintf("%s %s at %s and was not deleted: %+v, then %+v", doubt.where, doubt.what, doubt.at.Format(time.TimeOnly), doubt.before, doubt.now))
		case doubt.now.there:
			reappeared++
		}
	}
	return reappeared
}

// check judges what was seen by the history of the topics.
func (w *watch) check() {
	t := w.fleet.t
	t.Helper()
	deletes, err := w.fleet.deletes(t.Context())
	w.fleet.must(err)
	for _, s := range []*sights{w.search, w.cache} {
		reappeared := s.judge(deletes)
		t.Logf("%s: %d looks at %d rows; %d that were deleted had come back for a while", s.target, s.looks, len(s.last), reappeared)
		for _, line := range s.wrong[:min(5, len(s.wrong))] {
			t.Errorf("%s: %s", s.target, line)
		}
		if len(s.wrong) > 5 {
			t.Errorf("%s: and %d more", s.target, len(s.wrong)-5)
		}
		if s.looks == 0 || len(s.last) == 0 {
			t.Errorf("%s: nothing was read", s.target)
		}
	}
}
