package doctor

import (
	"fmt"

	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/internal/config"
)

// deletes finds deletes that never come to a sink, or that it refuses.
func (d *Doctor) deletes() {
	for _, m := range d.members {
		d.droppedDeletes(m)
	}
	for _, s := range d.only(elasticsearchName) {
		d.refusedDeletes(s, "delete", "deletes its document")
		if s.values.Bool("key.ignore") {
			d.report.find(s, Failure, Finding{Code: "deletes-refused", Property: "key.ignore",
				What: "is true, so documents are named by topic, partition and offset", Why: "a delete cannot find the document it is for, and an update makes a second one",
				Write: []Change{s.change("key.ignore", "false", "key.ignore")}})
		}
	}
	for _, s := range d.only(lakeName) {
		d.refusedDeletes(s, "write", "becomes a row with __deleted")
	}
}

// droppedDeletes finds an unwrapping that lets neither the delete event nor the
// tombstone through.
func (d *Doctor) droppedDeletes(m *member) {
	all := m.plain.Under("transforms.")
	for _, name := range m.plain.List("transforms") {
		if config.ClassName(all[name+".type"]) != "ExtractNewRecordState" {
			continue
		}
		property, text := keepsDeletes(func(option string) string { return all[name+"."+option] })
		if property == "" {
			continue
		}
		property = "transforms." + name + "." + property
		d.report.find(m, Failure, Finding{Code: "deletes-dropped", Property: property,
			What: "neither deletes nor tombstones pass " + name, Why: "what is deleted in the database stays in every target for ever",
			Write: []Change{m.change(property, text, "transforms."+name+".type")}})
	}
}

// keepsDeletes is the property, and its text, that would let deletes through an
// ExtractNewRecordState; "" where they pass as it is.
func keepsDeletes(of func(string) string) (property, text string) {
	mode, old, drops := of("delete.tombstone.handling.mode"), of("delete.handling.mode"), of("drop.tombstones")
	switch {
	case mode == "drop":
		return "delete.tombstone.handling.mode", "tombstone"
	case mode == "" && (old != "" || drops != "") && (old == "" || old == "drop") && drops != "false":
		return "drop.tombstones", "false"
	}
	return "", ""
}

// refusedDeletes finds what a sink does with a null value: text is the value
// with which it does what it should.
func (d *Doctor) refusedDeletes(s *member, text, does string) {
	const property = "behavior.on.null.values"
	if s.values.String(property) == "fail" {
		if m := d.tombstonesFor(s); m != nil {
			d.report.find(s, Failure, Finding{Code: "deletes-refused", Property: property,
				What: fmt.Sprintf("is fail, and %s writes a null value for each delete", m.connector()), Why: "the first delete stops its partition, or goes to the dead letters",
				Write: []Change{s.change(property, text, property)}})
		}
		return
	}
	d.report.problems(s, Warning, topology.UnsaidDeletes(s.values, text, does))
}

// tombstonesFor is a capture that writes tombstones to a topic of s.
func (d *Doctor) tombstonesFor(s *member) *member {
	for _, m := range d.captures() {
		if m.source.Tombstones && d.feeds(m, s) {
			return m
		}
	}
	return nil
}
