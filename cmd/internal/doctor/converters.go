package doctor

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/cmd/internal/topology"
	"github.com/weir-cdc/weir/internal/config"
)

// converters finds sinks that read another form than captures write, and keys
// that are read as texts though they have fields.
func (d *Doctor) converters() {
	for _, s := range d.sinks() {
		if p := topology.TextKeys(s.part); p != nil {
			d.report.problems(s, Warning, []topology.Problem{*p})
		} else {
			d.textKeys(s)
		}
		if m := d.writersFor(s); m != nil {
			d.otherForm(s, m)
		}
	}
}

// writersFor is a capture that writes values in another form than s reads them;
// nil where there is none.
func (d *Doctor) writersFor(s *member) *member {
	if !s.isSink() {
		return nil
	}
	for _, m := range d.captures() {
		if form(s.plain, "value.converter") != form(m.plain, "value.converter") && d.feeds(m, s) {
			return m
		}
	}
	return nil
}

// feeds reports whether a capture writes, or may write, a topic that s reads.
func (d *Doctor) feeds(m, s *member) bool {
	for i := range m.capture.Tables {
		if s.reads(m.capture.Route(&m.capture.Tables[i])) {
			return true
		}
	}
	_, certain := m.capture.Writes("")
	return !certain
}

// form is what a converter makes of keys or values, by the last part of its
// class.
func form(v *config.Values, property string) string {
	return cmp.Or(config.ClassName(v.String(property)), config.ClassName(topology.JSONConverter))
}

// otherForm reports a sink that reads another form than a capture writes.
func (d *Doctor) otherForm(s, m *member) {
	reads, writes := form(s.plain, "value.converter"), form(m.plain, "value.converter")
	f := Finding{Code: "converters-differ", Property: "value.converter",
		What:  fmt.Sprintf("is %s, and what %s writes is for %s", reads, m.connector(), writes),
		Why:   "no record can be read",
		Write: []Change{s.change("value.converter", cmp.Or(m.plain.String("value.converter"), topology.JSONConverter), "value.converter")}}
	if writes == config.ClassName(topology.JSONConverter) {
		schemas := strconv.FormatBool(m.source.Value.Schemas)
		f.Write = append(f.Write, s.change("value.converter.schemas.enable", schemas, "value.converter"))
	}
	for _, rest := range s.plain.NamesUnder("value.converter.") {
		if strings.HasPrefix(rest, "schema.registry.") || rest == "use.latest.version" || rest == "auto.register.schemas" {
			f.Write = append(f.Write, s.removal("value.converter."+rest))
		}
	}
	d.report.find(s, Failure, f)
}

// textKeys reports keys that a capture writes with fields and a sink reads as
// texts.
func (d *Doctor) textKeys(s *member) {
	if form(s.plain, "key.converter") != config.ClassName(topology.StringConverter) {
		return
	}
	for _, m := range d.captures() {
		if form(m.plain, "key.converter") == config.ClassName(topology.StringConverter) || !d.feeds(m, s) {
			continue
		}
		d.report.find(s, Warning, Finding{Code: "key-converter", Property: "key.converter",
			What: fmt.Sprintf("reads keys as texts, and those of %s have fields", m.connector()),
			Why:  `what is written is named by texts such as {"id":7}, not by 7`,
			Write: []Change{s.change("key.converter", topology.JSONConverter, "key.converter"),
				s.change("key.converter.schemas.enable", "false", "key.converter")}})
		return
	}
}
