package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/cmd/internal/topology"
)

// deadRoutes finds routes that never match. What is found after it is said of
// the fleet as it is with them mended: one cause, one finding.
func (d *Doctor) deadRoutes() {
	for _, m := range d.captures() {
		problems := m.capture.DeadRoutes()
		for i := range problems {
			p := &problems[i]
			for _, c := range p.Changes {
				if c.Property == "topic.prefix" {
					mended := m.capture.WithPrefix(c.Text)
					p.Why = d.missed(m.capture, mended)
					m.capture = mended
				}
			}
		}
		d.report.problems(m, Failure, problems)
	}
	for _, m := range d.sinks() {
		d.report.problems(m, Failure, topology.DeadSinkRoutes(m.part))
	}
}

// missed says which topics sinks read that are written only by the mended
// capture.
func (d *Doctor) missed(as, mended *topology.Capture) string {
	const whole = "the expression has to match a whole name, so they keep their names"
	var topics []string
	for _, s := range d.sinks() {
		for _, topic := range s.runtime.Topics {
			before, _ := as.Writes(topic)
			after, _ := mended.Writes(topic)
			if after && !before && !slices.Contains(topics, topic) {
				topics = append(topics, topic)
			}
		}
	}
	if len(topics) == 0 {
		return whole
	}
	return whole + ", and nothing comes to " + topology.Some(topics) + ", which sinks read"
}

// topics finds topics that are read and that no capture writes.
func (d *Doctor) topics() {
	captures := d.captures()
	if len(captures) == 0 {
		return
	}
	for _, s := range d.sinks() {
		for _, topic := range s.runtime.Topics {
			if d.mayBeWritten(topic) {
				continue
			}
			d.notWritten(s, topic)
		}
		if s.runtime.TopicRegex != "" && !d.anyWritten(s) {
			d.report.find(s, Failure, Finding{Code: "topic-not-written", Property: "topics.regex",
				What: "matches no topic that a capture writes", Why: "the sink waits for ever",
				Do: "write an expression that matches the whole of one of " + topology.Some(d.written())})
		}
	}
}

// mayBeWritten reports whether a capture writes topic, or cannot be said not to.
func (d *Doctor) mayBeWritten(topic string) bool {
	for _, m := range d.captures() {
		writes, certain := m.capture.Writes(topic)
		if writes || !certain || slices.Contains(m.besides(), topic) {
			return true
		}
	}
	return slices.ContainsFunc(d.sinks(), func(s *member) bool { return s.runtime.DeadLetter.Topic == topic })
}

// besides are the topics that a capture writes and that are not of a table.
func (m *member) besides() []string {
	return []string{m.capture.Prefix, m.capture.Prefix + strings.TrimPrefix(m.source.TransactionTopic, m.source.Prefix), m.source.HeartbeatTopic}
}

// anyWritten reports whether a sink's expression matches a topic that a capture
// writes, or may write.
func (d *Doctor) anyWritten(s *member) bool {
	for _, m := range d.captures() {
		if _, certain := m.capture.Writes(""); !certain || slices.ContainsFunc(m.besides(), s.reads) {
			return true
		}
	}
	return slices.ContainsFunc(d.written(), s.reads)
}

// written are the topics that tables go to.
func (d *Doctor) written() []string {
	var topics []string
	for _, m := range d.captures() {
		for i := range m.capture.Tables {
			topics = append(topics, m.capture.Route(&m.capture.Tables[i]))
		}
	}
	return topics
}

// notWritten reports a topic that a sink reads in vain, and adds the table that
// was plainly meant.
func (d *Doctor) notWritten(s *member, topic string) {
	f := Finding{Code: "topic-not-written", Property: "topics", What: topic + " is written by no capture", Why: "nothing of it ever comes to " + s.target(),
		Do: "take it out of topics"}
	for _, m := range d.captures() {
		table, ok := m.capture.Missing(topic)
		if !ok || m.lacks(table) {
			continue
		}
		list := m.include(table)
		f.What = fmt.Sprintf("%s is written by no capture: %s leaves out the table %s", topic, m.connector(), table.ID())
		f.Do, f.Write = "", []Change{m.change("table.include.list", list, "table.include.list")}
		break
	}
	d.report.find(s, Failure, f)
}

// include adds a table to the capture, and returns table.include.list with it.
func (m *member) include(t topology.Table) string {
	if m.included == "" {
		var items []string
		for _, item := range m.values.Regexes("table.include.list") {
			items = append(items, item.String())
		}
		m.included = strings.Join(items, ",")
	}
	m.included += "," + t.ID()
	m.capture.Tables = append(m.capture.Tables, t)
	return m.included
}

// lacks reports whether the database is known not to have a table.
func (m *member) lacks(t topology.Table) bool {
	return m.existing != nil && !slices.Contains(m.existing, [2]string{t.Database, t.Name})
}

// target is what a sink writes to, for a sentence.
func (m *member) target() string {
	switch m.program.Name {
	case elasticsearchName:
		return "the index"
	case redisName:
		return "the cache"
	}
	return "the lake"
}

// tables finds captured tables that no sink reads.
func (d *Doctor) tables() {
	sinks := d.sinks()
	if len(sinks) == 0 {
		return
	}
	for _, m := range d.captures() {
		if m.capture.Routes.Open {
			continue
		}
		for i := range m.capture.Tables {
			t := &m.capture.Tables[i]
			topic := m.capture.Route(t)
			if slices.ContainsFunc(sinks, func(s *member) bool { return s.reads(topic) }) {
				continue
			}
			d.report.find(m, Warning, Finding{Code: "table-not-read", Property: "table.include.list", What: t.ID() + " is captured, and no sink reads its topic " + topic,
				Why: "its changes cost capacity and reach no target", Do: "add " + topic + " to the topics of a sink, or take the table out of the list"})
		}
	}
	d.writtenTwice()
}

// writtenTwice finds topics that two captures write.
func (d *Doctor) writtenTwice() {
	writer := make(map[string]*member)
	for _, m := range d.captures() {
		for i := range m.capture.Tables {
			topic := m.capture.Tables[i].Topic
			if other := writer[topic]; other != nil && other != m {
				d.report.find(m, Failure, Finding{Code: "topic-written-twice", Property: "topic.prefix", What: topic + " is written by " + other.connector() + ", too",
					Why: "every change would come twice, with versions of two captures that cannot be compared", Do: "write another topic.prefix, or run one of the two only"})
				break
			}
			writer[topic] = m
		}
	}
}
