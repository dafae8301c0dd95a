package enrich

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/transform"
)

// lookupClass is matched by its last part.
const lookupClass = "io.weir.transforms.LookupTransform"

// lookupTransforms are the look-ups of a component that lends them no server.
var lookupTransforms = Lookups(LookupServers{}).Transforms

// LookupServers are what look-ups ask where their own properties name no server,
// and what the component demands of them.
type LookupServers struct {
	Redis *RedisServer  // nil: there is none
	Kafka *kafka.Config // nil: there is none
	// Repeatable says that the component transforms records again after a crash
	// and has to come to the same rows of the same types, as the lake has.
	Repeatable bool
}

// Lookups is the class of look-ups that use servers. It goes before Classes,
// which has the same class without.
func Lookups(servers LookupServers) transform.Classes {
	return transform.Classes{Transforms: map[string]func(*transform.Options) transform.Transform{
		lookupClass: func(o *transform.Options) transform.Transform { return newLookup(o, servers) },
	}}
}

func newLookup(o *transform.Options, servers LookupServers) transform.Transform {
	return &lookupTransform{
		shared: &lookupShared{config: newLookupConfig(o, servers)}, now: time.Now,
		waits: func(string) {}, plans: map[*cdc.Schema]*lookupPlan{}, asked: map[string]*question{},
	}
}

// lookupConfig is what a transform looks up, and where.
type lookupConfig struct {
	name     string // the transform's
	lookups  []*lookupSpec
	patience time.Duration // with an outage; negative: for ever
	timeout  time.Duration // of one answer
	redis    RedisServer
	sql      sqlServer
	kafka    kafka.Config
}

// The sources of look-ups.
const (
	sourceRedis = "redis"
	sourceSQL   = "sql"
	sourceTopic = "topic"
)

// missPolicy says what becomes of a record whose key is not there.
type missPolicy uint8

const (
	missNull missPolicy = iota
	missDefault
	missSkip
	missReject
)

var missPolicies = map[string]missPolicy{"null": missNull, "default": missDefault, "skip": missSkip, "dead_letter": missReject}

// lookupSpec is one look-up as it is configured.
type lookupSpec struct {
	name      string // the transform's, and its own where it has one
	source    string
	where     string   // for errors
	keys      []string // names of fields
	template  []templatePiece
	outputs   []output
	miss      missPolicy
	patience  time.Duration // before a key counts as missing
	cacheSize int           // entries; 0: none
	ttl       time.Duration
	negative  time.Duration // ttl of what is missing
	redis     string        // auto, hash or json
	tableName string
	columns   []string // of the table's key
	topic     string
}

// templatePiece is text of a key, and the key field that follows it, -1 for none.
type templatePiece struct {
	text  string
	field int
}

// stated are the fields of the outputs if the configuration says all of them,
// else nil.
func (l *lookupSpec) stated() []cdc.Field {
	var fields []cdc.Field
	for i := range l.outputs {
		if l.source == sourceSQL && !l.outputs[i].stated {
			return nil
		}
		fields = append(fields, l.outputs[i].field)
	}
	return fields
}

// lookupOptions reads the properties of one look-up: lookup.<name>.<property>
// where it has a name, else lookup.<property>.
type lookupOptions struct {
	*transform.Options
	name   string
	failed map[string]bool // what was said is not said for each look-up again
}

// property is the whole name of a property as it is set.
func (o lookupOptions) property(name string) string {
	if o.name != "" {
		if own := "lookup." + o.name + "." + name; o.Options.Text(own, "") != "" {
			return own
		}
	}
	return "lookup." + name
}

func (o lookupOptions) text(name, otherwise string) string {
	return o.Options.Text(o.property(name), otherwise)
}
func (o lookupOptions) list(name string) []string { return o.Options.List(o.property(name)) }
func (o lookupOptions) flag(name string, other bool) bool {
	return o.Options.Bool(o.property(name), other)
}
func (o lookupOptions) fail(name, want string) {
	if said := o.property(name) + want; !o.failed[said] {
		o.failed[said] = true
		o.Options.Fail(o.property(name), want)
	}
}

func (o lookupOptions) oneOf(name string, of ...string) string {
	return o.Options.OneOf(o.property(name), of...)
}

func (o lookupOptions) number(name string, otherwise, most int) int {
	text := strings.TrimSpace(o.text(name, strconv.Itoa(otherwise)))
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		o.fail(name, fmt.Sprintf("a number from 0 to %d", most))
		return otherwise
	}
	return n
}

func (o lookupOptions) millis(name string, otherwise time.Duration) time.Duration {
	return time.Duration(o.number(name, int(otherwise.Milliseconds()), 1<<40)) * time.Millisecond
}

// host is host:port.
func (o lookupOptions) host(name, text string) string {
	if _, _, err := net.SplitHostPort(text); err != nil {
		o.fail(name, "host:port")
	}
	return text
}

// reserved are names that no look-up can have: properties begin with them.
var reserved = []string{"source", "key", "value", "types", "default", "miss", "unavailable", "timeout", "cache", "redis", "sql", "topic", "kafka"}

func newLookupConfig(options *transform.Options, servers LookupServers) lookupConfig {
	o := lookupOptions{options, "", map[string]bool{}}
	c := lookupConfig{name: options.Name(), patience: -1, timeout: o.millis("timeout.ms", 5*time.Second)}
	lost := o.millis("unavailable.timeout.ms", 30*time.Second)
	if o.oneOf("unavailable.policy", "wait", "null") == "null" {
		c.patience = lost
	}
	names := options.List("lookups")
	for _, name := range names {
		if slices.Contains(reserved, name) || strings.Contains(name, ".") {
			options.Fail("lookups", "names without dots that begin no property of a look-up; "+name+" does")
		}
	}
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		c.lookups = append(c.lookups, newLookupSpec(lookupOptions{options, name, o.failed}, c.name))
	}
	c.checkOutputs(o)
	if servers.Repeatable {
		c.checkRepeatable(o)
	}
	c.connections(o, servers)
	return c
}

// connections reads how to connect to the sources that are used.
func (c *lookupConfig) connections(o lookupOptions, servers LookupServers) {
	uses := func(source string) bool {
		return slices.ContainsFunc(c.lookups, func(l *lookupSpec) bool { return l.source == source })
	}
	if uses(sourceRedis) {
		c.redis = newRedisServer(o, servers.Redis)
	}
	if uses(sourceSQL) {
		c.sql = newSQLServer(o)
	}
	if uses(sourceTopic) {
		c.kafka = newLookupKafka(o, servers.Kafka)
	}
}

// checkOutputs refuses two look-ups that write one field.
func (c *lookupConfig) checkOutputs(o lookupOptions) {
	seen := map[string]bool{}
	for _, l := range c.lookups {
		for i := range l.outputs {
			name := l.outputs[i].field.Name
			if seen[name] {
				o.fail("value.fields", "each output once; "+name+" comes twice (from:to gives a field another name)")
			}
			seen[name] = true
		}
	}
}

// checkRepeatable refuses what would let rows and their types depend on what is
// found.
func (c *lookupConfig) checkRepeatable(o lookupOptions) {
	for _, l := range c.lookups {
		for i := range l.outputs {
			if out := &l.outputs[i]; !out.stated && out.field.Type == cdc.Any {
				o.fail("types", "a type for "+out.field.Name+" (as "+out.field.Name+":string): the files that are written must not depend on what is found")
			}
		}
		if l.miss == missSkip || l.miss == missReject {
			o.fail("miss.policy", "null or default (also in lookup.miss.then): which records are written must not depend on what is found")
		}
	}
}

func newLookupSpec(o lookupOptions, transform string) *lookupSpec {
	l := &lookupSpec{name: transform, source: o.oneOf("source", sourceRedis, sourceSQL, sourceTopic), keys: o.list("key.field")}
	if o.name != "" {
		l.name += "." + o.name
	}
	l.cacheSize = o.number("cache.size", 10_000, 100_000_000)
	l.ttl, l.negative = o.millis("cache.ttl.ms", time.Minute), o.millis("cache.negative.ttl.ms", 5*time.Second)
	l.readSource(o)
	l.readOutputs(o)
	l.readMiss(o)
	if len(l.keys) == 0 && l.template == nil {
		o.fail("key.field", "the field whose value is looked up")
	}
	return l
}

// readSource reads what the source needs to know about this look-up.
func (l *lookupSpec) readSource(o lookupOptions) {
	switch l.source {
	case sourceRedis:
		l.where = "Redis"
		l.redis = o.oneOf("redis.type", "auto", "hash", "json")
		l.readTemplate(o)
	case sourceSQL:
		if l.tableName = o.text("sql.table", ""); l.tableName == "" {
			o.fail("sql.table", "the table, or database.table")
		}
		l.where = "table " + l.tableName
		if l.columns = o.list("sql.key.columns"); len(l.columns) == 0 {
			l.columns = l.keys
		}
		if len(l.columns) != len(l.keys) {
			o.fail("sql.key.columns", fmt.Sprintf("as many columns as key.field has fields, %d", len(l.keys)))
		}
	case sourceTopic:
		if l.topic = o.text("topic.name", ""); l.topic == "" {
			o.fail("topic.name", "the compacted topic that has the values")
		}
		l.where = "topic " + l.topic
	}
}

// readTemplate reads the text of a key in Redis, <field>:<value> by default.
func (l *lookupSpec) readTemplate(o lookupOptions) {
	text := o.text("key.template", "")
	if text == "" {
		if len(l.keys) > 1 {
			o.fail("key.template", "the key, with ${field} for the value of each field")
		}
		if len(l.keys) == 1 {
			l.template = []templatePiece{{l.keys[0] + ":", 0}}
		}
		return
	}
	named := l.keys
	l.keys = nil
	for text != "" {
		before, rest, found := strings.Cut(text, "${")
		piece := templatePiece{before, -1}
		if found {
			var field string
			if field, text, found = strings.Cut(rest, "}"); !found || field == "" {
				o.fail("key.template", "text with ${field} for values of the record")
				return
			}
			if piece.field = slices.Index(l.keys, field); piece.field < 0 {
				piece.field, l.keys = len(l.keys), append(l.keys, field)
			}
		} else {
			text = ""
		}
		l.template = append(l.template, piece)
	}
	for _, field := range named {
		if !slices.Contains(l.keys, field) {
			o.fail("key.template", "text with ${"+field+"}, since key.field names it")
		}
	}
	if len(l.keys) == 0 {
		o.fail("key.template", "text with ${field} for the value of a field")
	}
}

// listOutsideParentheses divides at commas that are not within parentheses.
var listOutsideParentheses = regexp.MustCompile(`(?:[^,(]|\([^)]*\))+`)

// pairs reads a list of name:text.
func (o lookupOptions) pairs(name string) (pairs [][2]string) {
	for _, item := range listOutsideParentheses.FindAllString(o.text(name, ""), -1) {
		if item = strings.TrimSpace(item); item != "" {
			first, second, _ := strings.Cut(item, ":")
			pairs = append(pairs, [2]string{strings.TrimSpace(first), strings.TrimSpace(second)})
		}
	}
	return pairs
}

func (l *lookupSpec) readOutputs(o lookupOptions) {
	for _, pair := range o.pairs("value.fields") {
		from, to := pair[0], pair[1]
		if to == "" {
			to = from
		}
		l.outputs = append(l.outputs, output{from: from, field: l.untyped(to)})
	}
	if len(l.outputs) == 0 {
		o.fail("value.fields", "the fields to take over, each as name or name:output")
	}
	for _, pair := range o.pairs("types") {
		at := slices.IndexFunc(l.outputs, func(out output) bool { return out.field.Name == pair[0] })
		field, ok := typedField(pair[0], pair[1])
		switch {
		case !ok:
			o.fail("types", "output:type with a type of "+lookupTypeNames)
		case at >= 0:
			l.outputs[at].field, l.outputs[at].stated = field, true
		case o.property("types") == "lookup.types" && o.name != "":
			// of another look-up
		default:
			o.fail("types", "outputs of lookup.value.fields; "+pair[0]+" is none")
		}
	}
}

// untyped is the field of an output whose type is not stated: text, but that
// JSON says itself what is a number or a boolean.
func (l *lookupSpec) untyped(name string) cdc.Field {
	if l.source == sourceRedis && l.redis == "hash" {
		return cdc.Field{Name: name, Type: cdc.Text, Optional: true}
	}
	return cdc.Field{Name: name, Type: cdc.Any, Optional: true}
}

func (l *lookupSpec) readMiss(o lookupOptions) {
	policy := o.oneOf("miss.policy", "retry", "null", "default", "skip", "dead_letter")
	then := o.oneOf("miss.then", "null", "default", "skip", "dead_letter")
	patience := o.millis("miss.retry.ms", 2*time.Second)
	if policy == "retry" {
		policy, l.patience = then, patience
	}
	l.miss = missPolicies[policy]
	given := false
	for i := range l.outputs {
		out := &l.outputs[i]
		text := o.text("default."+out.field.Name, "")
		if text == "" {
			continue
		}
		given = true
		var row cdc.Row // its memory lives as long as the value
		value, err := converted(&row, &out.field, cdc.String([]byte(text)))
		if err != nil {
			o.fail("default."+out.field.Name, "a value of type "+out.field.Type.String())
		}
		out.otherwise = value
	}
	if l.miss == missDefault && !given {
		o.fail("default.<output>", "the value of an output for what is missing, since that is the policy")
	}
}

// newLookupKafka is how a topic is read: over the component's own connection, or
// by lookup.kafka.* in place of it.
func newLookupKafka(o lookupOptions, lent *kafka.Config) kafka.Config {
	own := o.Options.Under("lookup.kafka.")
	if len(own) == 0 && lent != nil {
		return *lent
	}
	v, _, err := config.Parse(own, kafka.Properties)
	var c kafka.Config
	if err == nil {
		c, err = kafka.NewConfig(v)
	}
	if err == nil && own["bootstrap.servers"] == "" {
		o.fail("kafka.bootstrap.servers", "host:port of a broker")
	}
	for _, e := range config.Errors(err) {
		var wrong *config.Error
		if errors.As(e, &wrong) {
			o.fail("kafka."+wrong.Property, strings.TrimPrefix(cmp.Or(wrong.Problem, wrong.Want), "want "))
		} else {
			o.fail("kafka.bootstrap.servers", e.Error())
		}
	}
	return c
}
