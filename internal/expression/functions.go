package expression

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// function is one that expressions may call. Unless it takes nulls, it is null
// where an argument is.
type function struct {
	least, most int
	takesNull   bool
	call        func(e *env, arguments []value) value
	infer       func(s *shape, arguments []typ) typ
}

func always(c class) func(*shape, []typ) typ {
	return func(*shape, []typ) typ { return typ{class: c, precision: unknownDigits} }
}

// functions are all of them, by name.
var functions = map[string]function{
	"len":        {1, 1, false, length, always(whole)},
	"lower":      {1, 1, false, mapped(bytes.ToLower), always(words)},
	"upper":      {1, 1, false, mapped(bytes.ToUpper), always(words)},
	"trim":       {1, 1, false, mapped(bytes.TrimSpace), always(words)},
	"trimPrefix": {2, 2, false, trimPrefix, always(words)},
	"trimSuffix": {2, 2, false, trimSuffix, always(words)},
	"replace":    {3, 3, false, replace, always(words)},
	"indexOf":    {2, 2, false, indexOf, always(whole)},
	"concat":     {1, 99, true, concat, always(words)},
	"substring":  {2, 3, false, substring, always(words)},
	"string":     {1, 1, false, toText, always(words)},
	"sha256":     {1, 1, false, toSHA256, always(words)},
	"int":        {1, 1, false, toInt, always(whole)},
	"number":     {1, 2, false, toNumber, inferNumber},
	"decimal":    {1, 2, false, toNumber, inferNumber},
	"float":      {1, 1, false, toFloat, always(doubly)},
	"abs":        {1, 1, false, absolute, inferSame},
	"round":      {1, 2, false, rounded(""), inferRounded},
	"floor":      {1, 2, false, rounded(RoundFloor), inferRounded},
	"ceil":       {1, 2, false, rounded(RoundCeiling), inferRounded},
	"min":        {1, 99, false, extreme(-1), inferEither},
	"max":        {1, 99, false, extreme(1), inferEither},
	"coalesce":   {1, 99, true, firstGiven, inferEither},
	"now":        {0, 0, false, now, always(moment)},
	"date":       {1, 1, false, toDate, inferTime},
	"timestamp":  {1, 1, false, toInstant, inferTime},
	"millis":     {1, 1, false, millis, always(whole)},
	"year":       {1, 1, false, part(time.Time.Year), inferPart},
	"month":      {1, 1, false, part(func(t time.Time) int { return int(t.Month()) }), inferPart},
	"day":        {1, 1, false, part(time.Time.Day), inferPart},
	"hour":       {1, 1, false, part(time.Time.Hour), inferPart},
	"minute":     {1, 1, false, part(time.Time.Minute), inferPart},
	"second":     {1, 1, false, part(time.Time.Second), inferPart},
	"weekday":    {1, 1, false, part(weekday), inferPart},
}

// call is a call of a function.
type call struct {
	name      string
	function  function
	arguments []node
}

func (n *call) eval(e *env) value {
	base := len(e.stack)
	for _, a := range n.arguments {
		v := a.eval(e)
		if e.err != nil || v.kind == null && !n.function.takesNull {
			e.stack = e.stack[:base]
			return value{}
		}
		e.stack = append(e.stack, v)
	}
	out := n.function.call(e, e.stack[base:])
	e.stack = e.stack[:base]
	return out
}

func (n *call) infer(s *shape) typ {
	types := make([]typ, len(n.arguments))
	for i, a := range n.arguments {
		types[i] = a.infer(s)
	}
	return n.function.infer(s, types)
}

func length(e *env, a []value) value {
	if a[0].kind == list || a[0].kind == jsonText {
		base := len(e.elements)
		n := len(e.list(a[0]))
		e.elements = e.elements[:base]
		return intValue(int64(n))
	}
	return intValue(int64(utf8.RuneCount(e.words(&a[0]))))
}

func mapped(do func([]byte) []byte) func(*env, []value) value {
	return func(e *env, a []value) value { return textValue(do(e.words(&a[0]))) }
}

func trimPrefix(e *env, a []value) value {
	return textValue(bytes.TrimPrefix(e.words(&a[0]), e.words(&a[1])))
}

func trimSuffix(e *env, a []value) value {
	return textValue(bytes.TrimSuffix(e.words(&a[0]), e.words(&a[1])))
}

func replace(e *env, a []value) value {
	return textValue(bytes.ReplaceAll(e.words(&a[0]), e.words(&a[1]), e.words(&a[2])))
}

func indexOf(e *env, a []value) value {
	s := e.words(&a[0])
	at := bytes.Index(s, e.words(&a[1]))
	if at > 0 {
		at = utf8.RuneCount(s[:at])
	}
	return intValue(int64(at))
}

func concat(e *env, a []value) value {
	b := e.into.Tail(64)
	for i := range a {
		b = a[i].appendText(b)
	}
	return textValue(e.keep(b))
}

// substring counts characters from 0; an end beyond the text is its end.
func substring(e *env, a []value) value {
	s := e.words(&a[0])
	from, err := e.index(&a[1])
	to := len(s)
	if err == nil && len(a) > 2 {
		to, err = e.index(&a[2])
	}
	if err != nil {
		return e.fail(err)
	}
	return textValue(cut(s, from, to))
}

// cut is characters from to to of s; negative numbers count from the end.
func cut(s []byte, from, to int) []byte {
	if size := utf8.RuneCount(s); from < 0 || to < 0 || to > size {
		if from < 0 {
			from = max(from+size, 0)
		}
		if to < 0 {
			to += size
		}
		to = min(to, size)
	}
	if from >= to {
		return nil
	}
	start, at := len(s), 0
	for i := range string(s) {
		if at == from {
			start = i
		}
		if at == to {
			return s[start:i]
		}
		at++
	}
	return s[start:]
}

func (e *env) index(v *value) (int, error) {
	n, ok := v.number()
	if !ok || n.big != nil || n.scale != 0 {
		return 0, fmt.Errorf("a position that is not a whole number: %q", v.appendText(nil))
	}
	return int(n.n), nil
}

func toText(e *env, a []value) value { return textValue(e.words(&a[0])) }

func toSHA256(e *env, a []value) value {
	sum := sha256.Sum256(e.words(&a[0]))
	b := e.into.Alloc(2 * len(sum))
	hex.Encode(b, sum[:])
	return textValue(b)
}

// toNumber is null for text that is no number.
func toNumber(e *env, a []value) value {
	n, ok := a[0].number()
	if !ok {
		return value{}
	}
	if len(a) == 1 {
		return numberValue(n)
	}
	a[0] = numberValue(n)
	return rounded("")(e, a)
}

func inferNumber(s *shape, a []typ) typ {
	t := a[0]
	if !t.isNumber() || t.class == doubly {
		t = typ{class: exactly, precision: unknownDigits + doubleScale, scale: doubleScale}
		if a[0].class == unknown && len(a) == 1 {
			return typ{}
		}
	}
	if len(a) == 1 {
		return typ{class: t.class, precision: t.precision, scale: t.scale, asText: t.asText}
	}
	out := inferRounded(s, []typ{t, a[1]})
	out.class = exactly
	return out
}

// toInt drops what is behind the point.
func toInt(e *env, a []value) value {
	n, ok := a[0].number()
	if !ok {
		return value{}
	}
	n, err := n.round(0, RoundDown)
	if err != nil {
		return e.fail(err)
	}
	return numberValue(n)
}

func toFloat(_ *env, a []value) value {
	n, ok := a[0].number()
	if !ok {
		return value{}
	}
	return floatValue(n.float())
}

func absolute(e *env, a []value) value {
	x, ok := e.operand("abs", &a[0])
	if ok && x.sign() < 0 {
		x = x.negate()
	}
	return numberValue(x)
}

func inferSame(s *shape, a []typ) typ {
	return s.reckoned("-", typ{class: whole, precision: 1}, a[0])
}

func rounded(how Rounding) func(*env, []value) value {
	return func(e *env, a []value) value {
		scale := 0
		if len(a) > 1 {
			n, err := e.index(&a[1])
			if err != nil {
				return e.fail(err)
			}
			scale = n
		}
		x, ok := e.operand("round", &a[0])
		if !ok {
			return value{}
		}
		x, err := x.round(scale, how)
		if err != nil {
			return e.fail(err)
		}
		return numberValue(x)
	}
}

func inferRounded(s *shape, a []typ) typ {
	t := s.reckoned("-", typ{class: whole, precision: 1}, a[0])
	switch {
	case !t.isNumber():
		return t
	case len(a) == 1:
		return typ{class: whole, precision: unknownDigits}
	case a[1].constant == nil:
		return t
	}
	scale := max(int(a[1].constant.num.n), 0)
	if t.class == doubly {
		return typ{class: exactly, precision: unknownDigits + scale, scale: scale}
	}
	t.precision += max(scale-t.scale, 0)
	t.scale = min(scale, t.scale)
	return t
}

// extreme is the least or the greatest argument.
func extreme(sign int) func(*env, []value) value {
	return func(e *env, a []value) value {
		best := a[0]
		for i := range a[1:] {
			order, ok := compare(&a[1+i], &best)
			if !ok {
				return e.fail(errors.New("min and max need values that can be compared"))
			}
			if order*sign > 0 {
				best = a[1+i]
			}
		}
		return best
	}
}

func inferEither(s *shape, a []typ) typ {
	t := a[0]
	for _, other := range a[1:] {
		s.comparable("a list of arguments", t, other)
		t = either(t, other)
	}
	return t
}

func firstGiven(_ *env, a []value) value {
	for i := range a {
		if a[i].kind != null {
			return a[i]
		}
	}
	return value{}
}

func now(e *env, _ []value) value { return instantValue(e.now().UnixMicro()) }

// toInstant is null for what is no point in time; a number is ms since the epoch.
func toInstant(_ *env, a []value) value {
	switch a[0].kind {
	case instant:
		return instantValue(a[0].num.n)
	case text:
		micros, ok := parseInstant(a[0].src.Bytes())
		if !ok {
			return value{}
		}
		return instantValue(micros)
	case decimal:
		if n, ok := a[0].num.unscaled(3); ok {
			return instantValue(n)
		}
	}
	return value{}
}

func toDate(e *env, a []value) value {
	v := toInstant(e, a)
	if v.kind == instant {
		v.num.n = floor(v.num.n, microsPerDay) * microsPerDay
	}
	return v
}

func inferTime(s *shape, a []typ) typ {
	if t := a[0]; t.constant != nil && t.class == words {
		s.literal("a date", t, typ{class: moment})
	} else if t.class == truth || t.class == timeOfDay || t.class == structure || t.class == array {
		return s.fail("a date or time cannot be made of %s", classNames[t.class])
	}
	return typ{class: moment}
}

func millis(e *env, a []value) value {
	v := toInstant(e, a)
	if v.kind == instant {
		return intValue(floor(v.num.n, 1000))
	}
	return v
}

// part is one number of a date or time, in UTC.
func part(of func(time.Time) int) func(*env, []value) value {
	return func(e *env, a []value) value {
		v := toInstant(e, a)
		if v.kind != instant {
			return value{}
		}
		return intValue(int64(of(time.UnixMicro(v.num.n).UTC())))
	}
}

// weekday is 1 for Monday to 7 for Sunday.
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

func inferPart(s *shape, a []typ) typ {
	inferTime(s, a)
	return typ{class: whole, precision: 10}
}
