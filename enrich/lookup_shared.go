package enrich

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// lookup is one look-up while it runs.
type lookup struct {
	*lookupSpec
	// fields are those of the outputs. A database's are known when it has been
	// asked for the first time.
	fields atomic.Pointer[[]cdc.Field]
	at     *asking
	cache  *lookupCache // nil: none
	table  *topicTable  // the topic in memory; nil for other sources
	hash   atomic.Bool  // Redis' values are hashes, as far as was seen
}

// known is what the look-up knows of key without asking.
func (l *lookup) known(key []byte, now int64) *found {
	if l.table != nil {
		if f := l.table.get(key); f != nil {
			return f
		}
	}
	if l.cache != nil {
		return l.cache.get(key, now)
	}
	return nil
}

// keep takes an answer into the cache.
func (l *lookup) keep(q *question, now time.Time) {
	f, ttl := q.found, l.ttl
	if f.missing || f.err != nil {
		ttl = l.negative
	}
	if l.cache == nil || ttl <= 0 || l.table != nil && !f.missing {
		return
	}
	f.expires = now.Add(ttl).UnixNano()
	l.cache.put(q.key, f)
}

// lookupRun is what the transforms of all partitions share while they run.
type lookupRun struct {
	name    string // the transform's
	lookups []*lookup
	sources []*asking
	metrics *lookupMetrics
	log     *zap.Logger
}

// measure states how much memory is taken.
func (r *lookupRun) measure() {
	for _, l := range r.lookups {
		if l.cache != nil {
			entries, bytes := l.cache.held()
			r.metrics.entries.WithLabelValues(l.name, "cache").Set(float64(entries))
			r.metrics.bytes.WithLabelValues(l.name, "cache").Set(float64(bytes))
		}
	}
}

// lookupShared makes the run when the first of the transforms starts, and ends
// it when the original is closed.
type lookupShared struct {
	config lookupConfig

	mu     sync.Mutex
	run    *lookupRun
	told   map[string]bool // what was logged about schemas
	logger *zap.Logger
}

// start returns the run, which it makes if there is none.
func (s *lookupShared) start(env transform.Env) (*lookupRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return s.run, nil
	}
	log := env.Log.With(zap.String("transform", s.config.name))
	run := &lookupRun{name: s.config.name, metrics: newLookupMetrics(env.Metrics), log: log}
	for _, spec := range s.config.lookups {
		l := &lookup{lookupSpec: spec}
		if fields := spec.stated(); fields != nil {
			l.fields.Store(&fields)
		}
		if spec.cacheSize > 0 {
			l.cache = newLookupCache(spec.cacheSize)
		}
		run.lookups = append(run.lookups, l)
	}
	s.logger = log
	if err := s.connect(run); err != nil {
		return nil, errorsAfter(err, run)
	}
	s.run = run
	return run, nil
}

// errorsAfter closes what was opened before err.
func errorsAfter(err error, run *lookupRun) error {
	for _, a := range run.sources {
		_ = a.source.close() // err says more
	}
	return err
}

// connect makes the sources that the look-ups need.
func (s *lookupShared) connect(run *lookupRun) error {
	shared := map[string]*asking{}
	for _, l := range run.lookups {
		if a := shared[l.source]; a != nil && l.source != sourceTopic {
			l.at = a
			continue
		}
		a := &asking{kind: l.source, patience: s.config.patience}
		var err error
		switch l.source {
		case sourceRedis:
			a.source = newRedisSource(s.config.redis, s.config.timeout)
		case sourceSQL:
			a.source, err = newSQLSource(s.config.sql, s.config.timeout)
		default: // what is missing in it would be lost, and without Kafka there is nothing to do
			a.patience = -1
			a.source, err = newTopicSource(s.config.kafka, l, run, s.config.timeout)
		}
		if err != nil {
			return fmt.Errorf("looking up in %s: %w", l.where, err)
		}
		shared[l.source], l.at = a, a
		run.sources = append(run.sources, a)
	}
	return nil
}

// close ends the run.
func (s *lookupShared) close() error {
	s.mu.Lock()
	run := s.run
	s.run = nil
	s.mu.Unlock()
	if run == nil {
		return nil
	}
	var first error
	for _, a := range run.sources {
		if err := a.source.close(); err != nil && first == nil {
			first = fmt.Errorf("closing look-ups in %s: %w", a.kind, err)
		}
	}
	return first
}

// noField logs, once for each kind of row, that a look-up has no key in it.
func (s *lookupShared) noField(l *lookupSpec, schema *cdc.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := l.name + " " + schema.Fingerprint()
	if s.told[at] || s.logger == nil || len(schema.Fields) == 0 {
		return
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[at] = true
	s.logger.Warn("records without the key field of a look-up pass as they are",
		zap.String("lookup", l.name), zap.Strings("key", l.keys), zap.String("schema", schema.Name), zap.Int("fields", len(schema.Fields)))
}
