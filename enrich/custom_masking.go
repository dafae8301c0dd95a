package enrich

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// hiding hides what is in fields.
type hiding struct {
	all   []mask
	plans map[*cdc.Schema]*hidingPlan
}

// mask hides one field. append appends what stands in place of a text; its
// memory is scratch that the mask may use.
type mask struct {
	field  string
	append func(dst, text []byte) []byte
}

// hidingPlan is what the masks do to rows of a schema.
type hidingPlan struct {
	schema *cdc.Schema
	masks  []hiddenField
}

type hiddenField struct {
	mask  *mask
	at    int
	field cdc.Field // as it was
}

// maskKinds are the ways to hide something, of which a mask has one; each is
// made from the properties under a prefix.
var maskKinds = []struct {
	property string
	also     string // sets the same mask as property
	make     func(o *transform.Options, item string) func(dst, text []byte) []byte
}{
	{"keep_first", "keep_last", newKeepMask},
	{"hash", "", newHashMask},
	{"hmac", "", newHMACMask},
	{"tokenize", "", newTokenMask},
	{"redact", "", newRedactMask},
	{"truncate", "", newTruncateMask},
}

func newHiding(o *transform.Options) hiding {
	t := hiding{plans: map[*cdc.Schema]*hidingPlan{}}
	for _, item := range listed(o, customMasking) {
		m := mask{field: o.Need(item+"field", "the name of a field")}
		chosen := 0
		for _, kind := range maskKinds {
			if o.Text(item+kind.property, "") == "" && (kind.also == "" || o.Text(item+kind.also, "") == "") {
				continue
			}
			chosen++
			m.append = kind.make(o, item)
		}
		if chosen != 1 {
			o.Fail(item+"redact", "exactly one of keep_first and keep_last, hash, hmac, tokenize, redact, truncate")
			continue
		}
		t.all = append(t.all, m)
	}
	return t
}

// newKeepMask keeps the first and last characters and puts one of mask_with in
// place of each between them. A text too short to hide anything is hidden whole.
func newKeepMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	first, last := wholeNumber(o, item+"keep_first", 0, 0, 1000), wholeNumber(o, item+"keep_last", 0, 0, 1000)
	with := o.Text(item+"mask_with", "*")
	if utf8.RuneCountInString(with) != 1 {
		o.Fail(item+"mask_with", "one character")
	}
	return func(dst, text []byte) []byte {
		size, at := utf8.RuneCount(text), 0
		short := first+last >= size
		for i := range string(text) {
			_, width := utf8.DecodeRune(text[i:])
			if !short && (at < first || at >= size-last) {
				dst = append(dst, text[i:i+width]...)
			} else {
				dst = append(dst, with...)
			}
			at++
		}
		return dst
	}
}

// hashes are the algorithms that hash and hmac name.
var hashes = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-512": sha512.New, "sha-384": sha512.New384}

// newHashMask makes the hexadecimal hash of salt and text.
func newHashMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	h := hashes[o.OneOf(item+"hash", "sha-256", "sha-384", "sha-512")]()
	salt := []byte(o.Text(item+"salt", ""))
	return func(dst, text []byte) []byte {
		h.Reset()
		h.Write(salt)
		h.Write(text)
		return appendSum(dst, h)
	}
}

// newHMACMask makes the hexadecimal HMAC of the text.
func newHMACMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	algorithm := hashes[o.OneOf(item+"hmac", "sha-256", "sha-384", "sha-512")]
	h := hmac.New(algorithm, []byte(o.Need(item+"key", "the secret key of the HMAC")))
	return func(dst, text []byte) []byte {
		h.Reset()
		h.Write(text)
		return appendSum(dst, h)
	}
}

func appendSum(dst []byte, h hash.Hash) []byte {
	var sum [sha512.Size]byte
	return hex.AppendEncode(dst, h.Sum(sum[:0]))
}

// newTokenMask replaces digits by digits, the same ones for the same text, and
// leaves all other characters.
func newTokenMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	o.OneOf(item+"tokenize", "digits")
	t := newTokenizer(o.Need(item+"key", "the secret key of the tokens"))
	return t.append
}

func newRedactMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	with := o.Text(item+"redact", "")
	if strings.EqualFold(with, "true") {
		with = "REDACTED"
	}
	return func(dst, _ []byte) []byte { return append(dst, with...) }
}

// newTruncateMask keeps the first characters.
func newTruncateMask(o *transform.Options, item string) func(dst, text []byte) []byte {
	most := wholeNumber(o, item+"truncate", 0, 0, 1_000_000)
	return func(dst, text []byte) []byte {
		at := 0
		for i := range string(text) {
			if at == most {
				return append(dst, text[:i]...)
			}
			at++
		}
		return append(dst, text...)
	}
}

// apply hides the fields of a row. A NULL stays one, and so does what the source
// did not send.
func (t *hiding) apply(_ *cdc.Record, row *cdc.Row) error {
	if len(t.all) == 0 {
		return nil
	}
	p := t.plans[row.Schema]
	if p == nil {
		p = t.plan(row.Schema)
		t.plans[row.Schema] = p
	}
	for i := range p.masks {
		m := &p.masks[i]
		v := &row.Values[m.at]
		if v.IsNull() {
			continue
		}
		text := v.Bytes()
		if v.Kind() != cdc.KindString {
			text = row.Keep(json.AppendText(row.Tail(32), &m.field, v))
		}
		*v = cdc.String(row.Keep(m.mask.append(row.Tail(len(text)+128), text)))
	}
	row.Schema = p.schema
	return nil
}

// plan finds the fields; what is hidden is text.
func (t *hiding) plan(s *cdc.Schema) *hidingPlan {
	p := &hidingPlan{schema: s}
	for i := range t.all {
		at := p.schema.Index([]byte(t.all[i].field))
		if at < 0 {
			continue
		}
		was := p.schema.Fields[at]
		p.masks = append(p.masks, hiddenField{mask: &t.all[i], at: at, field: was})
		hidden := cdc.Field{Name: was.Name, Type: cdc.Text, Optional: was.Optional, Doc: was.Doc}
		if schemaless(s) {
			hidden = untyped(hidden)
		}
		p.schema = widened(p.schema, hidden)
	}
	return p
}
