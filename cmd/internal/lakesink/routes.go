package lakesink

import (
	"errors"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// indifferent are the transforms that send a record nowhere else for what its
// fields have. Of those that do it by a property, byField has its name.
var (
	indifferent = []string{
		"ByDatabase", "ByTable", "CalculationTransform", "Cast", "DropHeaders", "ExtractField", "ExtractNewRecordState", "Filter", "Flatten",
		"GeolocationTransform", "HeaderFrom", "HoistField", "InsertField", "InsertHeader", "LookupTransform", "MaskField", "OperationRouter",
		"RegexRouter", "ReplaceField", "SetSchemaMetadata", "TimestampConverter", "TimestampRouter", "TimezoneConverter", "ValueToKey",
	}
	byField = map[string]string{"ExtractNewRecordState": "route.by.field", "Filter": "condition"}
)

const lookupClass = "LookupTransform"

// checkRoutes refuses chains and folders that would let the file of a record
// depend on a look-up: after a crash the same records have to come into the same
// files, and what is looked up may have changed by then.
func checkRoutes(v *config.Values) error {
	transforms := v.Under("transforms.")
	var errs []error
	var added []string
	lookup := ""
	for _, name := range v.List("transforms") {
		class, _, _ := strings.Cut(config.ClassName(transforms[name+".type"]), "$")
		property := byField[class]
		switch byValue := property != "" && transforms[name+"."+property] != ""; {
		case class == lookupClass:
			lookup = name
			added = append(added, outputsOf(transforms, name)...)
		case lookup == "":
		case byValue:
			errs = append(errs, config.NewError("transforms."+name+"."+property, transforms[name+"."+property],
				"the transform before "+lookup+" in transforms: the file of a record must not depend on a look-up"))
		case !slices.Contains(indifferent, class):
			errs = append(errs, config.NewError("transforms", strings.Join(v.List("transforms"), ","),
				name+" before "+lookup+": the file of a record must not depend on a look-up"))
		}
	}
	for _, field := range v.List("partition.field.name") {
		if first, _, _ := strings.Cut(field, "."); slices.Contains(added, first) {
			errs = append(errs, v.Error("partition.field.name", "fields of the record; "+field+" is looked up, and the folder of a record must not depend on that"))
		}
	}
	return errors.Join(errs...)
}

// outputsOf are the names of the fields that a look-up adds.
func outputsOf(transforms map[string]string, name string) (fields []string) {
	for property, text := range transforms {
		if !strings.HasPrefix(property, name+".lookup.") || !strings.HasSuffix(property, "value.fields") {
			continue
		}
		for item := range strings.SplitSeq(text, ",") {
			from, to, renamed := strings.Cut(strings.TrimSpace(item), ":")
			if !renamed {
				to = from
			}
			fields = append(fields, strings.TrimSpace(to))
		}
	}
	return fields
}
