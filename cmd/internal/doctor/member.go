package doctor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/cmd/internal/capturer"
	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/consumers"
	"github.com/weir-cdc/weir/enrich"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/service"
	"github.com/weir-cdc/weir/internal/transform"
	"github.com/weir-cdc/weir/routing"
)

// member is one configuration of the fleet.
type member struct {
	file    string // as it was given
	sources config.Sources
	program service.Program
	// values are those of the component; kept also where some of them are wrong.
	values *config.Values
	// main is nil where the configuration is wrong.
	main service.Main
	errs []error
	// plain are the converters and the transforms as they are written, whether
	// the component takes them or not.
	plain *config.Values

	// Of a capture.
	capture *topology.Capture
	source  capture.Config
	// existing are the tables that the database has, nil where it was not asked.
	existing [][2]string
	// included is table.include.list with what was found to be missing.
	included string

	// Of a sink.
	runtime consumers.Config
	part    *config.Values // what the runtime knows of the configuration
	routes  *topology.Routes
	moves   bool // updates take rows from one place to another in the target
}

// The components, by the names of their binaries.
const (
	captureName       = "weir-capture"
	elasticsearchName = "weir-elasticsearch"
	redisName         = "weir-redis"
	lakeName          = "weir-lake"
)

// typical are the properties that only one component's configurations have.
var typical = map[string]string{"database.hostname": captureName, "connection.url": elasticsearchName, "redis.hosts": redisName, "s3.bucket.name": lakeName}

// errNoConnector is a file that holds no connector by itself.
var errNoConnector = errors.New("holds no connector by itself")

// isSink reports whether the member reads topics.
func (m *member) isSink() bool { return m.program.Name != captureName }

// connector is the name in the file.
func (m *member) connector() string { return m.values.Name() }

// newMember reads a file. The error is a file that cannot be read, or whose
// component is not known.
func newMember(file string, sources config.Sources, programs []service.Program) (*member, error) {
	m := &member{file: file}
	sources.Files = m.files()
	var err error
	if m.program, err = programOf(sources, programs); err != nil {
		return nil, err
	}
	m.sources = sources
	m.sources.Set = slices.DeleteFunc(slices.Clone(sources.Set), func(argument string) bool {
		name, _, _ := strings.Cut(argument, "=")
		return !config.Knows(strings.TrimSpace(name), m.program.AllTables()...)
	})
	m.load()
	m.topology()
	return m, nil
}

// written are the properties that are looked at whether the component takes
// their values or not.
var written = config.Table{Properties: []config.Property{
	{Name: "key.converter"}, {Name: "key.converter.*"}, {Name: "value.converter"}, {Name: "value.converter.*"},
}}

// programOf is the component that a configuration is for.
func programOf(sources config.Sources, programs []service.Program) (service.Program, error) {
	table := config.Table{Properties: []config.Property{{Name: "connector.class", Type: config.Class}}}
	for name := range typical {
		table.Properties = append(table.Properties, config.Property{Name: name})
	}
	v, err := config.LoadPart(config.Sources{Files: sources.Files, Environ: sources.Environ, Stdin: sources.Stdin}, table)
	if err != nil {
		return service.Program{}, err
	}
	class := v.String("connector.class")
	var known []string
	for _, p := range programs {
		if _, ok := config.MatchClass(class, p.Classes); ok {
			return p, nil
		}
		for property, name := range typical {
			if class == "" && name == p.Name && v.Has(property) {
				return p, nil
			}
		}
		known = append(known, p.Classes...)
	}
	if class == "" {
		return service.Program{}, errNoConnector
	}
	return service.Program{}, v.Error("connector.class", "the class of a component: one of "+strings.Join(known, ", "))
}

// load reads the configuration as the component does.
func (m *member) load() {
	v, err := m.program.Load(m.sources)
	m.values = v
	var room error
	crash := func() (crash error) {
		defer func() {
			if r := recover(); r != nil {
				crash = fmt.Errorf("making the component: %v", r)
			}
		}()
		m.main, room = m.program.New(service.Environment{Values: v, Log: zap.NewNop(), Metrics: prometheus.NewRegistry()})
		return nil
	}()
	if err == nil {
		// With values missing, a crash is of no interest beside what is missing.
		room = errors.Join(room, crash)
	}
	if m.errs = config.Errors(v.Complete(err, room)); len(m.errs) > 0 {
		m.main = nil
	}
}

// topology reads what the configuration says of topics, for which it need not be
// right in everything.
func (m *member) topology() {
	m.plain, _ = config.LoadPart(m.sources, written, transform.Properties)
	if m.isSink() {
		v, _ := config.LoadPart(m.sources, config.Common, transform.Properties, kafka.Properties, consumers.Properties)
		m.part = v
		m.runtime, _ = consumers.NewConfig(v)
		m.routes = topology.NewRoutes(v)
		m.moves = m.program.Name != lakeName && movesRows(v)
		return
	}
	v, _ := config.LoadPart(m.sources, config.Common, transform.Properties, mysql.Properties, mysql.ValueProperties, capture.Properties, kafka.Properties)
	m.source, _ = capture.NewConfig(v)
	m.capture = capturer.Topology(v, &m.source)
}

// movesRows reports whether a transform decides by what a row has where it goes.
func movesRows(v *config.Values) bool {
	chain, err := transform.New(v, enrich.Lookups(enrich.LookupServers{}), routing.Classes, enrich.Classes)
	if err != nil {
		return false
	}
	chain.FollowMoves()
	return chain.Moves()
}

// setAs is the name by which the file has a property, and where; ok is false if
// it is not set.
func (m *member) setAs(property string) (as, origin string, ok bool) {
	if as, origin, ok = m.values.Written(property); ok {
		return as, origin, ok
	}
	return m.plain.Written(property)
}

// files are the paths of what is merged for the member.
func (m *member) files() []string { return strings.Split(m.file, "+") }

// change is a property as it should be, in the file that sets it, or beside
// another where it is new.
func (m *member) change(property, text, beside string) Change {
	as, origin, set := m.setAs(property)
	after, besides, _ := m.setAs(beside)
	if !set {
		origin = besides
	}
	c := Change{File: m.files()[0], Property: as, Text: text, as: as, after: after}
	for _, file := range m.files() {
		if strings.HasPrefix(origin, file+":") {
			c.File = file
			return c
		}
	}
	if set {
		c.elsewhere = origin
	}
	return c
}

// removal is a property that should not be there.
func (m *member) removal(property string) Change {
	c := m.change(property, "", property)
	c.Remove = true
	return c
}

// reads reports whether a sink reads a topic.
func (m *member) reads(topic string) bool {
	if m.runtime.TopicRegex == "" {
		return slices.Contains(m.runtime.Topics, topic)
	}
	pattern, err := regexp.Compile(`^(?:` + m.runtime.TopicRegex + `)$`)
	return err == nil && pattern.MatchString(topic)
}
