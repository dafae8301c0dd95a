package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/cmd/internal/topology"
)

// redisKeys finds keys that two topics write.
func (d *Doctor) redisKeys() {
	sinks := d.only(redisName)
	for i, s := range sinks {
		d.report.problems(s, Failure, topology.SharedKeys(s.values))
		for _, other := range sinks[:i] {
			d.sharedKeys(s, other)
		}
	}
}

// sharedKeys reports two sinks that write other topics under one prefix of one
// Redis.
func (d *Doctor) sharedKeys(s, other *member) {
	of := func(m *member) (prefix, where string) {
		hosts := m.values.List("redis.hosts")
		slices.Sort(hosts)
		return m.values.String("cache.prefix"), fmt.Sprintf("%s %d", strings.Join(hosts, ","), m.values.Int("redis.database"))
	}
	prefix, where := of(s)
	otherPrefix, otherWhere := of(other)
	if prefix != otherPrefix || where != otherWhere || strings.Contains(prefix, "${") || sameTopics(s, other) {
		return
	}
	d.report.find(s, Failure, Finding{Code: "redis-keys-collide", Property: "cache.prefix",
		What:  fmt.Sprintf("is %q, as that of %s, for other topics", prefix, other.connector()),
		Why:   "records with one key meet, and the one that comes second is rejected",
		Write: []Change{s.change("cache.prefix", prefix+"${table}:", "cache.prefix")}})
}

func sameTopics(a, b *member) bool {
	return a.runtime.TopicRegex == b.runtime.TopicRegex && slices.Equal(a.runtime.Topics, b.runtime.Topics)
}

// groups finds members of the fleet that would share a group: sinks that take
// partitions from each other, captures of which only one would work.
func (d *Doctor) groups() {
	users := make(map[string]*member)
	for _, m := range d.members {
		group, property := m.runtime.Group, "group.id"
		if !m.isSink() {
			group = "weir-capture-" + m.connector()
		}
		if _, _, set := m.setAs(property); !set || !m.isSink() {
			property = "name"
		}
		other := users[group]
		if other == nil {
			users[group] = m
			continue
		}
		why := "they would share the partitions, and each target would get a part of the records only"
		if !m.isSink() {
			why = "one of the two would stand by for ever"
		}
		d.report.find(m, Failure, Finding{Code: "group-in-use", Property: property, What: fmt.Sprintf("makes the consumer group %s, which is that of %s, too", group, other.file),
			Why: why, Do: "write another " + property})
	}
}
