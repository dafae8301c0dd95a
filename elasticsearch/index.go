package elasticsearch

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// index is one concrete index that the sink writes to.
type index struct {
	name   string // the concrete index
	target string // the alias that operations name in its place (see targetOf)
	hash   uint64 // of name

	// losses counts how often the index was found gone or closed, and seen is how
	// often when it was last looked at: what is there next may be restored from
	// before it got its fields and domains.
	losses, seen atomic.Int64

	mu      sync.Mutex
	other   turn                          // whose end was waited for last
	since   time.Time                     // when it was first seen
	domains map[string]string             // topic → version domain, as _meta has it
	mapped  map[*cdc.Schema]bool          // schemas whose fields have a mapping
	fields  map[string]stdjson.RawMessage // properties that the index has
}

// meta is what Weir keeps in an index's _meta, under "weir".
type meta struct {
	Format     int               `json:"format"`
	Connector  string            `json:"connector"`
	Generation int               `json:"generation"`
	Domains    map[string]string `json:"domains"` // topic → version domain
}

// metaFormat is the version of meta's form.
const metaFormat = 1

// DomainError says that a topic's versions cannot be compared with those that
// an index holds.
type DomainError struct{ Index, Topic, Has, Came string }

// Error says what to do.
func (e *DomainError) Error() string {
	if sink.Repartitioned(e.Has, e.Came) {
		return fmt.Sprintf("index %s holds offsets of topic %s as versions, and the topic has got partitions since (%q, now %q): no offset says any more which change of a key is the newer one; set version.source=record-time and rebuild the index (weirctl rebuild elasticsearch)",
			e.Index, e.Topic, e.Has, e.Came)
	}
	return fmt.Sprintf("index %s holds versions of %q from topic %s, and records now have versions of %q, which cannot be compared: every write would be refused as older; rebuild the index (weirctl rebuild elasticsearch), or set version.source=record-time for both",
		e.Index, e.Has, e.Topic, e.Came)
}

// indexName is the name that readers of a route use: the mapped resource, or
// the route in the form that Elasticsearch allows.
func (s *Sink) indexName(route string) (string, error) {
	if name, ok := s.config.Resources[route]; ok {
		route = name
	}
	name := strings.ToLower(route)
	if name == "" || len(name) > 240 || name == "." || name == ".." || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "+") ||
		strings.ContainsAny(name, `\/*?"<>| ,#:`) {
		return "", fmt.Errorf("the topic %q cannot name an index: route it to a name without \\ / * ? \" < > | space , # : and not beginning with - _ +", route)
	}
	return name, nil
}

// indexOf finds or makes the index of a route.
func (s *Sink) indexOf(ctx context.Context, route string) (*index, error) {
	s.mu.Lock()
	x := s.indexes[route]
	s.mu.Unlock()
	if x != nil {
		return x, s.lookAgain(ctx, x)
	}
	name, err := s.indexName(route)
	if err != nil {
		return nil, &unusable{err}
	}
	s.opening.Lock() // one at a time: two partitions meet a new topic together
	defer s.opening.Unlock()
	s.mu.Lock()
	x = s.indexes[route]
	s.mu.Unlock()
	if x != nil {
		return x, nil
	}
	if x, err = s.openIndex(ctx, name); err != nil {
		return nil, fmt.Errorf("opening index %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.indexes {
		if known.name == x.name { // of another route: what one puts is known to both
			x = known
		}
	}
	s.indexes[route] = x
	return x, nil
}

// lost reports whether what is known of the index may not hold any more.
func (x *index) lost() bool { return x.losses.Load() != x.seen.Load() }

// lookAgain reads what a lost index has now.
func (s *Sink) lookAgain(ctx context.Context, x *index) error {
	if !x.lost() {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.lost() {
		return nil
	}
	return s.reload(ctx, x)
}

// unusable is an error of the record and not of the cluster.
type unusable struct{ error }

func (u *unusable) Unwrap() error { return u.error }

// targetOf is the alias that operations on an index go to. A name that an index
// cannot have, for its upper case, is never created by an operation: where the
// index is gone, a bulk request would make one of its name, without mapping,
// settings and readers' alias, and so would a versioned delete alone. Nothing in
// a request switches that off.
func targetOf(concrete string) string { return concrete + ".Weir" }

// openIndex decides which concrete index a name stands for, and creates it
// where there is none.
func (s *Sink) openIndex(ctx context.Context, name string) (*index, error) {
	concrete, err := s.concrete(ctx, name)
	if err != nil {
		return nil, err
	}
	h, err := s.load(ctx, concrete)
	if errors.Is(err, errNotFound) {
		alias := ""
		if concrete != name && s.config.Generation == 0 {
			alias = name
		}
		s.log.Info("creating an index", zap.String("index", concrete))
		if err = s.createIndex(ctx, concrete, alias); err == nil {
			h, err = s.load(ctx, concrete)
		}
	}
	if errors.Is(err, errSeveral) {
		return nil, &unusable{err}
	}
	if err != nil {
		return nil, err
	}
	x := &index{name: h.name, target: targetOf(h.name), hash: maphash.String(s.seed, h.name)}
	return x, s.take(ctx, x, h)
}

// concrete is the index that is written to for a name: of the generation, where
// readers have an alias, or what has the name already.
func (s *Sink) concrete(ctx context.Context, name string) (string, error) {
	behind, err := s.behind(ctx, name)
	if err != nil {
		return "", err
	}
	if slices.Contains(behind, name) {
		if s.config.Alias && s.config.Generation != 0 {
			return "", &unusable{fmt.Errorf("index %s has the name that an alias would have, so it cannot be rebuilt behind one: remove it, or write to another name with topic.to.external.resource.mapping", name)}
		}
		return name, nil
	}
	if !s.config.Alias {
		return name, nil
	}
	for _, other := range behind {
		if _, err := strconv.Atoi(strings.TrimPrefix(other, name+"-g")); err != nil {
			return "", &unusable{fmt.Errorf("%s is an alias of the index %s, which Weir did not make, and readers would see both: remove the alias, or write to that index with topic.to.external.resource.mapping or index.alias=false", name, other)}
		}
	}
	return name + suffix(s.generation), nil
}

// behind lists the indexes that a name stands for: itself, those of an alias,
// or none.
func (s *Sink) behind(ctx context.Context, name string) ([]string, error) {
	var found map[string]stdjson.RawMessage
	err := s.call(ctx, http.MethodGet, "/"+url.PathEscape(name)+"?features=aliases&ignore_unavailable=true&allow_no_indices=true&filter_path=*.aliases", nil, &found)
	if err != nil && !errors.Is(err, errNotFound) {
		return nil, err
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// createIndex creates an index; one that another process just created is as
// good.
func (s *Sink) createIndex(ctx context.Context, name, alias string) error {
	settings := map[string]any{"gc_deletes": "15m"}
	if s.config.Shards > 0 {
		settings["number_of_shards"] = s.config.Shards
	}
	if s.config.Replicas >= 0 {
		settings["number_of_replicas"] = s.config.Replicas
	}
	aliases := map[string]any{targetOf(name): map[string]any{"is_hidden": true}}
	if alias != "" {
		aliases[alias] = map[string]any{}
	}
	body := map[string]any{
		"settings": map[string]any{"index": settings},
		"mappings": map[string]any{"_meta": map[string]any{"weir": s.meta(nil)}},
		"aliases":  aliases,
	}
	if err := s.call(ctx, http.MethodPut, "/"+url.PathEscape(name), body, nil); !exists(err) {
		return err
	}
	return nil
}

// exists reports whether err says that an index is there already.
func exists(err error) bool {
	var refused *statusError
	return errors.As(err, &refused) && refused.kind == "resource_already_exists_exception"
}

func (s *Sink) meta(domains map[string]string) meta {
	if domains == nil {
		domains = map[string]string{}
	}
	return meta{Format: metaFormat, Connector: s.config.Name, Generation: s.generation, Domains: domains}
}

// held is what an index has.
type held struct {
	name    string
	aliases map[string]stdjson.RawMessage
	domains map[string]string
	fields  map[string]stdjson.RawMessage
}

// take remembers what the index has, and gives it the alias that operations go
// to where it has none.
func (s *Sink) take(ctx context.Context, x *index, h *held) error {
	if _, ok := h.aliases[x.target]; !ok {
		err := s.call(ctx, http.MethodPut, "/"+url.PathEscape(x.name)+"/_alias/"+url.PathEscape(x.target), map[string]any{"is_hidden": true}, nil)
		if err != nil {
			return err
		}
	}
	x.domains, x.fields, x.mapped = h.domains, h.fields, map[*cdc.Schema]bool{}
	return nil
}

// reload reads what the index has now.
func (s *Sink) reload(ctx context.Context, x *index) error {
	losses := x.losses.Load()
	h, err := s.load(ctx, x.name)
	if errors.Is(err, errNotFound) {
		x.losses.Add(1)
		return fmt.Errorf("%s: %w", isGone, err)
	}
	if err == nil {
		err = s.take(ctx, x, h)
	}
	if err != nil {
		return fmt.Errorf("reading what index %s has: %w", x.name, err)
	}
	x.seen.Store(losses)
	return nil
}

// errSeveral says that a name stands for several indexes.
var errSeveral = errors.New("can stand for one index only: remove the alias, or write to one of them with topic.to.external.resource.mapping")

// load reads what an index has. Where the name is an alias of one index, it is
// that one.
func (s *Sink) load(ctx context.Context, name string) (*held, error) {
	var found map[string]struct {
		Aliases  map[string]stdjson.RawMessage `json:"aliases"`
		Mappings struct {
			Meta struct {
				Weir *meta `json:"weir"`
			} `json:"_meta"`
			Properties map[string]stdjson.RawMessage `json:"properties"`
		} `json:"mappings"`
	}
	if err := s.call(ctx, http.MethodGet, "/"+url.PathEscape(name)+"?features=aliases,mappings", nil, &found); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s is an alias of %d indexes, and %w", name, len(found), errSeveral)
	}
	h := &held{domains: map[string]string{}, fields: map[string]stdjson.RawMessage{}}
	for name, f := range found {
		h.name, h.aliases = name, f.Aliases
		maps.Copy(h.fields, f.Mappings.Properties)
		if w := f.Mappings.Meta.Weir; w != nil {
			if w.Format > metaFormat {
				return nil, fmt.Errorf("index %s was written by a newer version of Weir (format %d, this one knows %d)", name, w.Format, metaFormat)
			}
			maps.Copy(h.domains, w.Domains)
		}
	}
	return h, nil
}

// admit checks that the versions of a record can be compared with those in the
// index; the first record of a topic decides what they count.
func (s *Sink) admit(ctx context.Context, x *index, topic, domain string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch has := x.domains[topic]; has {
	case domain:
		return nil
	case "":
		return s.claim(ctx, x, topic, domain)
	default:
		if sink.Continues(has, domain) {
			return s.claim(ctx, x, topic, domain)
		}
		return otherDomain(x, topic, has, domain)
	}
}

// otherDomain stops the sink: to try again would refuse everything as older.
func otherDomain(x *index, topic, has, came string) error {
	return &sink.Stopped{Reason: &DomainError{Index: x.name, Topic: topic, Has: has, Came: came}}
}

// statusError is a request that the cluster refused.
type statusError struct {
	status             int
	what, kind, reason string
}

// Error is what was asked and why it was refused.
func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.what, e.status, e.kind, e.reason)
}

var errNotFound = errors.New("not found")

// call makes a request with a JSON body and reads the JSON answer into out. One
// that may change something is bound by the lease, as bulk requests are.
func (s *Sink) call(ctx context.Context, method, path string, body, out any) error {
	limit := s.config.ReadTimeout
	if method != http.MethodGet && method != http.MethodHead {
		limit = min(limit, sink.LeaseLeft(ctx))
	}
	if limit <= 0 {
		return errLease
	}
	var text io.Reader
	if body != nil {
		b, err := stdjson.Marshal(body)
		if err != nil {
			return fmt.Errorf("writing a request: %w", err)
		}
		text = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, path, text)
	if err != nil {
		return fmt.Errorf("building a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Perform(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, request.URL.Path, noAnswer(ctx, limit, err))
	}
	defer response.Body.Close()
	answered, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, request.URL.Path, err)
	}
	if response.StatusCode >= 300 {
		return refused(method+" "+request.URL.Path, response.StatusCode, answered)
	}
	if out == nil {
		return nil
	}
	if err := stdjson.Unmarshal(answered, out); err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, request.URL.Path, err)
	}
	return nil
}

func refused(what string, status int, answer []byte) error {
	var e struct {
		Error stdjson.RawMessage `json:"error"`
	}
	var detail struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	if stdjson.Unmarshal(answer, &e) != nil || stdjson.Unmarshal(e.Error, &detail) != nil {
		detail.Reason = strings.TrimSpace(string(answer[:min(len(answer), 300)]))
	}
	err := &statusError{status: status, what: what, kind: detail.Type, reason: detail.Reason}
	if status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", errNotFound, err)
	}
	return err
}
