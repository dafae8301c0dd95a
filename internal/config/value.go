package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// value is one property's text, read as its type.
type value struct {
	name     string // the name now
	as       string // the name as the user wrote it
	written  string // unresolved
	origin   string
	property *Property

	text    string
	number  int64
	float   float64
	flag    bool
	list    []string
	regexes RegexList
}

// shown is the text as the user wrote it, or stars.
func (v *value) shown() string {
	if isSecret(v.name, v.property) && !reference.MatchString(v.written) {
		return hidden(v.written)
	}
	return v.written
}

// read reads text as the property's type and checks it; the error says what
// would be right.
func (v *value) read(text string) error {
	v.text = text
	p := v.property
	if err := v.parse(strings.TrimSpace(text)); err != nil {
		return err
	}
	if len(p.Values) > 0 && text != "" {
		if err := v.choose(); err != nil {
			return err
		}
	}
	if p.Check != nil && text != "" {
		return p.Check(v.text)
	}
	return nil
}

// parse reads a text without blanks around it as the property's type.
func (v *value) parse(text string) (err error) {
	switch p := v.property; p.Type {
	case Bool:
		switch strings.ToLower(text) {
		case "true", "false":
			v.flag = text[0] == 't' || text[0] == 'T'
		default:
			return errors.New("want " + p.want())
		}
	case Int, Millis, Bytes:
		v.number, err = strconv.ParseInt(text, 10, 64)
		if err != nil || (p.Max > p.Min && (v.number < p.Min || v.number > p.Max)) {
			return errors.New("want " + p.want())
		}
	case Float:
		v.float, err = strconv.ParseFloat(text, 64)
		if err != nil || (p.Max > p.Min && (v.float < float64(p.Min) || v.float > float64(p.Max))) {
			return errors.New("want " + p.want())
		}
	case List:
		v.list = splitList(text)
	case Regexes:
		if v.regexes, err = compileRegexes(text); err != nil {
			return fmt.Errorf("want %s: %w", p.want(), err)
		}
	case Class:
		v.text = text
	}
	return nil
}

// choose replaces the text by the one of the property's Values that it is.
func (v *value) choose() error {
	p := v.property
	if p.Type == Class {
		class, ok := MatchClass(v.text, p.Values)
		if !ok {
			return errors.New("want " + p.want())
		}
		v.text = class
		return nil
	}
	texts := []string{strings.TrimSpace(v.text)}
	if p.Type == List {
		texts = v.list
	}
	for i, text := range texts {
		at := slices.IndexFunc(p.Values, func(known string) bool { return strings.EqualFold(known, text) })
		if at < 0 {
			return errors.New("want " + p.want())
		}
		texts[i] = p.Values[at]
	}
	if p.Type != List {
		v.text = texts[0]
	}
	return nil
}

// splitList splits at commas and drops blanks around items and empty items.
func splitList(text string) []string {
	var out []string
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// shownValues are allowed texts with a word for the empty one.
func shownValues(values []string) []string {
	out := slices.Clone(values)
	for i, v := range out {
		if v == "" {
			out[i] = "(empty)"
		}
	}
	return out
}

// unlimited is where an upper bound is only there to have a lower one.
const unlimited = 1 << 31

// bounds says between which numbers the property must be; "" for any.
func (p *Property) bounds() string {
	switch {
	case p.Max <= p.Min:
		return ""
	case p.Max >= unlimited-1:
		return fmt.Sprintf(", at least %d", p.Min)
	}
	return fmt.Sprintf(" from %d to %d", p.Min, p.Max)
}

// want says what a text of the property looks like.
func (p *Property) want() string {
	if len(p.Values) > 0 {
		each := "one of "
		if p.Type == List {
			each = "some of "
		}
		if len(p.Values) == 1 {
			each = ""
		}
		return each + strings.Join(shownValues(p.Values), ", ")
	}
	bounds := p.bounds()
	switch p.Type {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number" + bounds
	case Float:
		return "a number" + bounds
	case Millis:
		return "a number of milliseconds" + bounds
	case Bytes:
		return "a number of bytes" + bounds
	case List:
		return "a comma-separated list"
	case Regexes:
		return "a comma-separated list of regular expressions"
	case Class:
		return "a Java class name"
	}
	return "a text"
}
