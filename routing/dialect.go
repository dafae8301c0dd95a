package routing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// dialect reads a regular expression of java.util.regex and writes what Go's
// engine and the backtracking one read alike: classes as ranges, flags resolved,
// groups without names. What neither can do as Java does is an error.
type dialect struct {
	in    []rune
	at    int
	flags dialectFlags
	// slow says that the expression needs the backtracking engine: look-around,
	// back-references, possessive quantifiers.
	slow   bool
	groups int
	names  map[string]int
}

// dialectFlags are Java's inline flags, by their letters: (?idmsuxU).
type dialectFlags struct{ fold, unixLines, multiline, dotAll, unicodeFold, comments, unicodeClass bool }

// translate returns the expression for the engines.
func translate(text string) (*dialect, string, error) {
	d := &dialect{in: []rune(text), names: map[string]int{}}
	out, err := d.alternation()
	if err == nil && d.at < len(d.in) {
		err = errors.New("a closing parenthesis without its opening one")
	}
	if err != nil {
		return nil, "", fmt.Errorf("at character %d: %w", d.at+1, err)
	}
	return d, out, nil
}

// peek is the next character, 0 at the end. With the flag x, blanks and comments
// are passed over before.
func (d *dialect) peek() rune {
	for d.flags.comments && d.at < len(d.in) {
		switch r := d.in[d.at]; {
		case spaceSet.holds(r):
			d.at++
		case r == '#':
			for d.at < len(d.in) && !lineEnds.holds(d.in[d.at]) {
				d.at++
			}
		default:
			return r
		}
	}
	if d.at < len(d.in) {
		return d.in[d.at]
	}
	return 0
}

// more reports whether there is a next character.
func (d *dialect) more() bool { d.peek(); return d.at < len(d.in) }

// follows reports whether the text goes on with s, and passes it then.
func (d *dialect) follows(s string) bool {
	runes := []rune(s)
	if len(d.in)-d.at < len(runes) || !slices.Equal(d.in[d.at:d.at+len(runes)], runes) {
		return false
	}
	d.at += len(runes)
	return true
}

// alternation reads up to a closing parenthesis, or the end.
func (d *dialect) alternation() (string, error) {
	var out strings.Builder
	for {
		part, err := d.sequence()
		if err != nil {
			return "", err
		}
		out.WriteString(part)
		if d.peek() != '|' {
			return out.String(), nil
		}
		d.at++
		out.WriteByte('|')
	}
}

func (d *dialect) sequence() (string, error) {
	var out strings.Builder
	for d.more() && d.peek() != '|' && d.peek() != ')' {
		var atom string
		var err error
		if d.follows(`\Q`) {
			atom = d.quoted(&out)
		} else {
			atom, err = d.atom()
		}
		if err == nil {
			atom, err = d.quantified(atom)
		}
		if err != nil {
			return "", err
		}
		out.WriteString(atom)
	}
	return out.String(), nil
}

// quoted takes what stands between \Q and \E literally. It returns the last of
// the characters, which a quantifier may follow.
func (d *dialect) quoted(out *strings.Builder) (last string) {
	for d.at < len(d.in) && !d.follows(`\E`) {
		out.WriteString(last)
		last = d.literal(d.in[d.at])
		d.at++
	}
	return last
}

// quantified reads the quantifier behind an atom, if there is one.
func (d *dialect) quantified(atom string) (string, error) {
	var q string
	switch d.peek() {
	case '*', '+', '?':
		q = string(d.in[d.at])
		d.at++
	case '{':
		end := slices.Index(d.in[d.at:], '}')
		if end < 0 {
			return "", errors.New("a repetition without its closing brace")
		}
		if q = string(d.in[d.at : d.at+end+1]); !repetition.MatchString(q) {
			return "", fmt.Errorf("%s is no repetition", q)
		}
		d.at += end + 1
	default:
		return atom, nil
	}
	switch {
	case atom == "":
		return "", nil // a flag group repeated: nothing
	case d.peek() == '?':
		d.at++
		return atom + q + "?", nil
	case d.peek() == '+':
		d.at++
		d.slow = true
		return "(?>" + atom + q + ")", nil
	}
	return atom + q, nil
}

var repetition = regexp.MustCompile(`^\{[0-9]+(?:,[0-9]*)?\}$`)

func (d *dialect) atom() (string, error) {
	r := d.peek()
	d.at++
	switch r {
	case '(':
		return d.group()
	case '[':
		set, err := d.class()
		return set.class(), err
	case '\\':
		return d.escape()
	case '.':
		return d.dot(), nil
	case '^':
		return d.lineStart(), nil
	case '$':
		return d.lineEnd(), nil
	case '*', '+', '?', '{':
		return "", fmt.Errorf("%c has nothing to repeat", r)
	}
	return d.literal(r), nil
}

// literal is a character that stands for itself.
func (d *dialect) literal(r rune) string {
	if d.flags.fold {
		if set := setOf(runeRange{r, r}).folded(d.flags.unicodeFold); len(set) > 1 || set[0].low != set[0].high {
			return set.class()
		}
	}
	if r < ' ' || r == '#' {
		return fmt.Sprintf(`\x{%X}`, r)
	}
	return regexp.QuoteMeta(string(r))
}

func (d *dialect) dot() string {
	switch {
	case d.flags.dotAll:
		return `(?s:.)`
	case d.flags.unixLines:
		return `[^\n]`
	}
	return lineEnds.negate().class()
}

func (d *dialect) lineStart() string {
	switch {
	case !d.flags.multiline:
		return `\A`
	case d.flags.unixLines:
		d.slow = true
		return `(?:\A|(?<=\n)(?!\z))`
	}
	d.slow = true
	return `(?:\A|(?:(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n))(?!\z))`
}

// lineEnd is $, which stands before a last line end, too. Where nothing is left
// that could match that, it is the end alone.
func (d *dialect) lineEnd() string {
	if d.flags.multiline {
		d.slow = true
		if d.flags.unixLines {
			return `(?=\n|\z)`
		}
		return `(?=\z|\r\n|(?<!\r)\n|[\r\x{85}\x{2028}\x{2029}])`
	}
	if !d.more() || d.peek() == ')' || d.peek() == '|' {
		return `\z`
	}
	d.slow = true
	if d.flags.unixLines {
		return `(?=\n?\z)`
	}
	return `(?=(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z)`
}

// group reads what follows an opening parenthesis.
func (d *dialect) group() (string, error) {
	saved := d.flags
	open := "("
	switch {
	case !d.follows("?"):
		d.groups++
	case d.follows(":"):
		open = "(?:"
	case d.follows("="), d.follows("!"), d.follows(">"), d.follows("<="), d.follows("<!"):
		d.slow = true
		open = "(?" + d.opener()
	case d.follows("<"):
		if err := d.name(); err != nil {
			return "", err
		}
	default:
		scoped, err := d.setFlags()
		if err != nil || !scoped {
			return "", err
		}
		open = "(?:"
	}
	body, err := d.alternation()
	if err != nil {
		return "", err
	}
	if d.peek() != ')' || d.at >= len(d.in) {
		return "", errors.New("an opening parenthesis without its closing one")
	}
	d.at++
	d.flags = saved
	return open + body + ")", nil
}

// opener is the mark of a look-around or atomic group that was just passed.
func (d *dialect) opener() string {
	if before := d.in[d.at-2]; before == '<' {
		return string(d.in[d.at-2 : d.at])
	}
	return string(d.in[d.at-1])
}

// name reads the name of a group, up to >.
func (d *dialect) name() error {
	name, err := d.upTo('>')
	switch {
	case err != nil:
		return err
	case !groupName.MatchString(name):
		return fmt.Errorf("%q is no name of a group: letters and digits, the first a letter", name)
	}
	if _, ok := d.names[name]; ok {
		return fmt.Errorf("two groups are named %s", name)
	}
	d.groups++
	d.names[name] = d.groups
	return nil
}

var groupName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// upTo reads up to an ending character, and passes it.
func (d *dialect) upTo(end rune) (string, error) {
	n := slices.Index(d.in[d.at:], end)
	if n < 0 {
		return "", fmt.Errorf("%c is missing", end)
	}
	text := string(d.in[d.at : d.at+n])
	d.at += n + 1
	return text, nil
}

// setFlags reads (?i), which holds to the end of the group around it, or (?i:…),
// which is a group of its own.
func (d *dialect) setFlags() (scoped bool, err error) {
	on := true
	for d.at < len(d.in) {
		r := d.in[d.at]
		d.at++
		switch r {
		case ')':
			return false, nil
		case ':':
			return true, nil
		case '-':
			on = false
			continue
		}
		flag := d.flag(r)
		if flag == nil {
			return false, fmt.Errorf("(?%c is no group that Java knows", r)
		}
		*flag = on
		if r == 'U' && on {
			d.flags.unicodeFold = true
		}
	}
	return false, errors.New("an opening parenthesis without its closing one")
}

func (d *dialect) flag(r rune) *bool {
	switch r {
	case 'i':
		return &d.flags.fold
	case 'd':
		return &d.flags.unixLines
	case 'm':
		return &d.flags.multiline
	case 's':
		return &d.flags.dotAll
	case 'u':
		return &d.flags.unicodeFold
	case 'x':
		return &d.flags.comments
	case 'U':
		return &d.flags.unicodeClass
	}
	return nil
}

// escape reads what follows a backslash outside of a class.
func (d *dialect) escape() (string, error) {
	if d.at >= len(d.in) {
		return "", errors.New("a backslash at the end")
	}
	switch r := d.in[d.at]; {
	case r >= '1' && r <= '9':
		return d.backReference()
	case r == 'k':
		return d.namedReference()
	case r == 'A' || r == 'G': // \G is where the match before ended: nowhere yet
		d.at++
		return `\A`, nil
	case r == 'z':
		d.at++
		return `\z`, nil
	case r == 'Z':
		d.at++
		lines := d.flags.multiline
		d.flags.multiline = false
		end := d.lineEnd()
		d.flags.multiline = lines
		return end, nil
	case r == 'b' || r == 'B':
		return d.boundary()
	case r == 'R':
		d.at++
		return `(?:\r\n|` + verticalSet.class() + ")", nil
	}
	set, single, err := d.escapedSet()
	switch {
	case err != nil:
		return "", err
	case single:
		return d.literal(set[0].low), nil
	}
	return d.inCase(set).class(), nil
}

// boundary is \b or \B. Go's is of ASCII's words, as Java's.
func (d *dialect) boundary() (string, error) {
	r := d.in[d.at]
	if d.at++; d.peek() == '{' {
		return "", errors.New(`\b{g} is not supported`)
	}
	word := wordSet.class()
	if d.flags.unicodeClass {
		word = unicodeWords().class()
	}
	d.slow = true
	inside, outside := "(?<="+word+")(?="+word+")", "(?<!"+word+")(?!"+word+")"
	if r == 'B' {
		return "(?:" + inside + "|" + outside + ")", nil
	}
	return "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))", nil
}

// backReference reads \1: as many digits as make a group there is by then.
func (d *dialect) backReference() (string, error) {
	n := 0
	for ; d.at < len(d.in) && d.in[d.at] >= '0' && d.in[d.at] <= '9'; d.at++ {
		next := n*10 + int(d.in[d.at]-'0')
		if n > 0 && next > d.groups {
			break
		}
		n = next
	}
	return d.reference(n)
}

func (d *dialect) namedReference() (string, error) {
	d.at++
	if !d.follows("<") {
		return "", errors.New(`\k needs the name of a group: \k<name>`)
	}
	name, err := d.upTo('>')
	if err != nil {
		return "", err
	}
	n, ok := d.names[name]
	if !ok {
		return "", fmt.Errorf("no group before is named %s", name)
	}
	return d.reference(n)
}

func (d *dialect) reference(n int) (string, error) {
	if n > d.groups {
		return "", fmt.Errorf(`\%d refers to a group that there is not before it`, n)
	}
	d.slow = true
	text := `\` + strconv.Itoa(n)
	if d.flags.fold {
		return "(?i:" + text + ")", nil
	}
	return "(?:" + text + ")", nil
}

// inCase is the set with the other cases that the flags let in.
func (d *dialect) inCase(s runeSet) runeSet {
	if d.flags.fold {
		return s.folded(d.flags.unicodeFold)
	}
	return s
}

// class reads a character class behind its opening bracket: characters, ranges,
// classes within it, and intersections of all that (&&). A ^ at its beginning
// negates the whole.
func (d *dialect) class() (runeSet, error) {
	negated := d.follows("^")
	var left, right runeSet
	intersected, some := false, false
	for {
		if !d.more() {
			return nil, errors.New("a character class without its closing bracket")
		}
		switch r := d.peek(); {
		case r == ']' && some:
			d.at++
			if intersected {
				right = left.intersect(right)
			}
			if right = d.inCase(right); negated {
				right = right.negate()
			}
			return right, nil
		case d.follows("&&"):
			if intersected {
				right = left.intersect(right)
			}
			left, right, intersected, some = right, nil, true, false
			continue
		}
		set, err := d.item()
		if err != nil {
			return nil, err
		}
		right, some = right.union(set), true
	}
}

// item reads one member of a class.
func (d *dialect) item() (runeSet, error) {
	if d.follows("[") {
		return d.class()
	}
	if d.follows(`\Q`) {
		from := d.at
		for d.at < len(d.in) && !d.follows(`\E`) {
			d.at++
		}
		return characters(strings.TrimSuffix(string(d.in[from:d.at]), `\E`)), nil
	}
	set, single, err := d.single()
	if err != nil || !single || d.peek() != '-' {
		return set, err
	}
	if d.at+1 >= len(d.in) || d.in[d.at+1] == ']' || d.in[d.at+1] == '[' {
		return set, nil // the hyphen stands for itself
	}
	d.at++
	high, single, err := d.single()
	switch {
	case err != nil:
		return nil, err
	case !single || high[0].low < set[0].low:
		return nil, errors.New("a range whose end comes before its beginning, or is no character")
	}
	return setOf(runeRange{set[0].low, high[0].low}), nil
}

// single reads one character or escape of a class.
func (d *dialect) single() (set runeSet, single bool, err error) {
	r := d.peek()
	d.at++
	if r != '\\' {
		return setOf(runeRange{r, r}), true, nil
	}
	return d.escapedSet()
}

// escapedSet reads an escape that stands for a character (single) or a class of
// them.
func (d *dialect) escapedSet() (set runeSet, single bool, err error) {
	if d.at >= len(d.in) {
		return nil, false, errors.New("a backslash at the end")
	}
	r := d.in[d.at]
	d.at++
	if set := d.shorthand(unicode.ToLower(r)); set != nil && r != 'U' {
		if unicode.IsUpper(r) {
			set = set.negate()
		}
		return set, false, nil
	}
	if r == 'p' || r == 'P' {
		set, err := d.property()
		if r == 'P' {
			set = set.negate()
		}
		return set, false, err
	}
	c, err := d.character(r)
	return setOf(runeRange{c, c}), true, err
}

// shorthand is the class of \d, \h, \s, \v or \w; nil for others.
func (d *dialect) shorthand(r rune) runeSet {
	switch r {
	case 'h':
		return horizontalSet
	case 'v':
		return verticalSet
	case 'd':
		if d.flags.unicodeClass {
			return tabled(unicode.Nd)
		}
		return digitSet
	case 's':
		if d.flags.unicodeClass {
			return tabled(unicode.White_Space)
		}
		return spaceSet
	case 'w':
		if d.flags.unicodeClass {
			return unicodeWords()
		}
		return wordSet
	}
	return nil
}

// property reads what follows \p: a letter, or a name in braces.
func (d *dialect) property() (runeSet, error) {
	if d.at >= len(d.in) {
		return nil, errors.New(`\p needs the name of a class`)
	}
	name := string(d.in[d.at])
	d.at++
	if name == "{" {
		var err error
		if name, err = d.upTo('}'); err != nil {
			return nil, err
		}
	}
	if _, ok := posix[name]; ok && d.flags.unicodeClass {
		return nil, fmt.Errorf(`the class \p{%s} within (?U) is not supported`, name)
	}
	return property(name)
}

// character is the one that an escape stands for.
func (d *dialect) character(r rune) (rune, error) {
	switch r {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 'f':
		return '\f', nil
	case 'a':
		return 7, nil
	case 'e':
		return 27, nil
	case 'c':
		if d.at < len(d.in) {
			d.at++
			return d.in[d.at-1] ^ 64, nil
		}
	case '0':
		return d.octal()
	case 'x':
		return d.hexadecimal(2)
	case 'u':
		return d.hexadecimal(4)
	}
	if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return 0, fmt.Errorf(`the escape \%c is not supported`, r)
	}
	return r, nil
}

// octal reads \0n, \0nn or \0mnn.
func (d *dialect) octal() (rune, error) {
	n, from := rune(0), d.at
	for ; d.at < len(d.in) && d.at < from+3 && d.in[d.at] >= '0' && d.in[d.at] <= '7' && n*8+d.in[d.at]-'0' <= 0o377; d.at++ {
		n = n*8 + d.in[d.at] - '0'
	}
	if d.at == from {
		return 0, errors.New(`\0 needs octal digits`)
	}
	return n, nil
}

// hexadecimal reads \xhh, \uhhhh or \x{h…h}.
func (d *dialect) hexadecimal(digits int) (rune, error) {
	text := string(d.in[d.at:min(d.at+digits, len(d.in))])
	if digits == 2 && d.follows("{") {
		var err error
		if text, err = d.upTo('}'); err != nil {
			return 0, err
		}
	} else {
		d.at = min(d.at+digits, len(d.in))
		if len(text) < digits {
			text = ""
		}
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || n > unicode.MaxRune {
		return 0, fmt.Errorf("%q is no hexadecimal number of a character", text)
	}
	return rune(n), nil
}
