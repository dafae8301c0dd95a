package lakesink

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/expression"
)

// clocked follows the time of processing through a chain: after a crash the same
// records come at another time, and have to come into the same files.
type clocked struct {
	fields map[string]bool // that are made of it
	errs   []error
}

// checkClock refuses chains and folders that would let the file of a record
// depend on when it is written. Fields that no file depends on may.
func checkClock(v *config.Values) error {
	c := clocked{fields: map[string]bool{}}
	transforms := v.Under("transforms.")
	for _, name := range v.List("transforms") {
		class, _, _ := strings.Cut(config.ClassName(transforms[name+".type"]), "$")
		c.pass(class, name, propertiesOf(transforms, name))
	}
	const instead = "; a folder by the time of processing is that of a time-based partitioner with timestamp.extractor=Wallclock"
	if config.ClassName(v.String("partitioner.class")) == "FieldPartitioner" {
		for _, field := range v.List("partition.field.name") {
			if c.fields[firstOf(field)] {
				c.errs = append(c.errs, v.Error("partition.field.name", "fields of the record; "+field+" is made of the time of processing, and the folder of a record must not depend on that"+instead))
			}
		}
	} else if field := v.String("timestamp.field"); v.String("timestamp.extractor") == "RecordField" && c.fields[firstOf(field)] {
		c.errs = append(c.errs, v.Error("timestamp.field", "a time of the record; "+field+" is made of the time of processing, and the folder of a record must not depend on that"+instead))
	}
	return errors.Join(c.errs...)
}

func propertiesOf(transforms map[string]string, name string) map[string]string {
	out := map[string]string{}
	for property, text := range transforms {
		if of, ok := strings.CutPrefix(property, name+"."); ok {
			out[of] = text
		}
	}
	return out
}

func firstOf(field string) string {
	first, _, _ := strings.Cut(field, ".")
	return first
}

// pass goes through a transform, which may make fields of the clock, hand them on
// under other names, and send records somewhere for what they have.
func (c *clocked) pass(class, name string, p map[string]string) {
	switch class {
	case "InsertField":
		if strings.Contains(p["static.value"], "$(date:") {
			c.fields[strings.TrimRight(p["static.field"], "?!")] = true
		}
	case "CalculationTransform":
		c.make(p, "formulas.")
	case "CustomTransform":
		c.rules(name, p)
		c.make(p, "config.enrichment.")
	case "ReplaceField":
		c.rename(p["renames"])
	case "HoistField":
		if len(c.fields) > 0 {
			c.fields[p["field"]] = true
		}
	case "Filter":
		c.judge(name, "condition", p)
	case "ContentBasedRouter":
		c.judge(name, "topic.expression", p)
	case "ConditionalRouter":
		for _, property := range under(p, "conditions.") {
			c.judge(name, property, p)
		}
	case "ExtractNewRecordState":
		c.byField(name, "route.by.field", p)
	case "EventRouter":
		c.byField(name, "route.by.field", p)
		c.byField(name, "table.field.event.timestamp", p)
	}
}

// under are the properties that begin with prefix, in order.
func under(p map[string]string, prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p)), func(property string) bool { return !strings.HasPrefix(property, prefix) })
}

// make notes the fields that formulas make, which may need each other.
func (c *clocked) make(p map[string]string, prefix string) {
	for again := true; again; {
		again = false
		for _, property := range under(p, prefix) {
			field := strings.TrimPrefix(property, prefix)
			if !c.fields[field] && c.reads(p[property], "") {
				c.fields[field], again = true, true
			}
		}
	}
}

// rules are those of a CustomTransform, in their order.
func (c *clocked) rules(name string, p map[string]string) {
	const list = "config.business_rules."
	for _, when := range under(p, list) {
		number, property, _ := strings.Cut(strings.TrimPrefix(when, list), ".")
		rule := list + number + "."
		switch field, sets := strings.CutPrefix(property, "set."); {
		case sets && (c.reads(p[when], "") || c.reads(p[rule+"when"], "")):
			c.fields[field] = true
		case property == "when" && (p[rule+"route"] != "" || p[rule+"drop"] == "true"):
			c.judge(name, when, p)
		case property == "route":
			for part := range strings.SplitSeq(p[when], "${") {
				if text, _, found := strings.Cut(part, "}"); found && c.reads(text, "") {
					c.refuse(name, when, p)
				}
			}
		}
	}
}

// rename notes fields that have new names, old:new.
func (c *clocked) rename(renames string) {
	for item := range strings.SplitSeq(renames, ",") {
		if from, to, _ := strings.Cut(item, ":"); c.fields[strings.TrimSpace(from)] {
			c.fields[strings.TrimSpace(to)] = true
		}
	}
}

// reads reports whether an expression reads the clock, or a field that is made of
// it. What is wrong with it, its transform says.
func (c *clocked) reads(text string, language expression.Language) bool {
	program, err := expression.Compile(text, language)
	return err == nil && (program.ReadsClock() || slices.ContainsFunc(program.Fields(), func(field string) bool { return c.fields[field] }))
}

// judge refuses a condition, or an expression of a topic, that reads the clock.
func (c *clocked) judge(name, property string, p map[string]string) {
	if p[property] != "" && c.reads(p[property], expression.Language(p["language"])) {
		c.refuse(name, property, p)
	}
}

// byField refuses a property that names a field of the clock.
func (c *clocked) byField(name, property string, p map[string]string) {
	if c.fields[firstOf(p[property])] {
		c.refuse(name, property, p)
	}
}

func (c *clocked) refuse(name, property string, p map[string]string) {
	made := ""
	if len(c.fields) > 0 {
		made = ", nor reads what is made of that: " + strings.Join(slices.Sorted(maps.Keys(c.fields)), ", ")
	}
	c.errs = append(c.errs, config.NewError("transforms."+name+"."+property, p[property],
		"one that does not read the clock"+made+": the file of a record must not depend on when it is written"))
}
