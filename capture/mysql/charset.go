package mysql

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charset turns text of one of the server's character sets into UTF-8. What is
// no character of the set becomes '?', as with the server. It is immutable.
type charset struct {
	name string
	// utf8 text is taken as it is; binary is no text.
	utf8, binary bool
	// ascii says that bytes below 0x80 stand for themselves at the beginning of
	// a character, so that text of nothing else is taken as it is.
	ascii  bool
	append func(dst, src []byte) []byte
}

// appendUTF8 appends src in UTF-8.
func (c *charset) appendUTF8(dst, src []byte) []byte {
	if c.asIs(src) {
		return append(dst, src...)
	}
	return c.append(dst, src)
}

// asIs reports whether b is UTF-8 already.
func (c *charset) asIs(b []byte) bool { return c.utf8 || c.ascii && asciiOnly(b) }

// asciiOnly looks at eight bytes at a time.
func asciiOnly(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// charsetByName finds a character set by the server's name.
func charsetByName(name string) (*charset, error) {
	if name == "utf8" {
		name = "utf8mb3"
	}
	c, ok := charsets()[name]
	if !ok {
		return nil, fmt.Errorf("character set %q is not known", name)
	}
	return c, nil
}

// charsetByCollation finds the character set of a collation by its number.
func charsetByCollation(id int) (*charset, error) {
	name := collationCharset(id)
	if name == "" {
		return nil, fmt.Errorf("collation %d is not known", id)
	}
	return charsetByName(name)
}

// collationRange is a range of collations of one character set.
type collationRange struct {
	last    int
	charset string
}

// mariadbUCA are MariaDB's collations from 576 on, mariadbUCA14 those from 2048
// on: both have a block for each Unicode character set.
var (
	mariadbUCA = []collationRange{
		{607, "utf8mb3"}, {639, "utf8mb4"}, {671, "ucs2"}, {703, "utf16"}, {735, ""}, {767, "utf32"},
	}
	mariadbUCA14 = []collationRange{
		{2303, "utf8mb3"}, {2559, "utf8mb4"}, {2815, "ucs2"}, {3071, "utf16"}, {3327, "utf32"},
	}
)

// collationCharset is the name of the character set of a collation, or "".
func collationCharset(id int) string {
	switch {
	case id >= 2048:
		return inRanges(mariadbUCA14, id)
	case id >= 1024: // MariaDB's twins without padding
		return collationCharset(id - 1024)
	case id >= 576:
		return inRanges(mariadbUCA, id)
	case id >= 255 && id < 340:
		return "utf8mb4"
	case id >= 101:
		return inRanges(unicodeRanges, id)
	case id < 0 || id >= len(collations):
		return ""
	}
	return collations[id]
}

func inRanges(ranges []collationRange, id int) string {
	for _, r := range ranges {
		if id <= r.last {
			return r.charset
		}
	}
	return ""
}

// unicodeRanges are the collations from 101 to 254.
var unicodeRanges = []collationRange{
	{127, "utf16"}, {159, "ucs2"}, {191, "utf32"}, {223, "utf8mb3"}, {247, "utf8mb4"}, {250, "gb18030"}, {254, "utf8mb3"},
}

// collations are the character sets of the first collations, which both servers
// have had for decades.
var collations = [...]string{
	"", "big5", "latin2", "dec8", "cp850", "latin1", "hp8", "koi8r", "latin1", "latin2",
	"swe7", "ascii", "ujis", "sjis", "cp1251", "latin1", "hebrew", "", "tis620", "euckr",
	"latin7", "latin2", "koi8u", "cp1251", "gb2312", "greek", "cp1250", "latin2", "gbk", "cp1257",
	"latin5", "latin1", "armscii8", "utf8mb3", "cp1250", "ucs2", "cp866", "keybcs2", "macce", "macroman",
	"cp852", "latin7", "latin7", "macce", "cp1250", "utf8mb4", "utf8mb4", "latin1", "latin1", "latin1",
	"cp1251", "cp1251", "cp1251", "macroman", "utf16", "utf16", "utf16le", "cp1256", "cp1257", "cp1257",
	"utf32", "utf32", "utf16le", "binary", "armscii8", "ascii", "cp1250", "cp1256", "cp866", "dec8",
	"greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "utf8mb3", "latin2", "latin5", "latin7",
	"cp850", "cp852", "swe7", "utf8mb3", "big5", "euckr", "gb2312", "gbk", "sjis", "tis620",
	"ucs2", "ujis", "geostd8", "geostd8", "latin1", "cp932", "cp932", "eucjpms", "eucjpms", "cp1250",
}

const binaryCollation = 63

// charsets are all character sets by name.
var charsets = sync.OnceValue(func() map[string]*charset {
	out := map[string]*charset{
		"utf8mb3": {utf8: true, ascii: true}, "utf8mb4": {utf8: true, ascii: true}, "binary": {binary: true, utf8: true},
		"ucs2":    {append: appendUCS2},
		"utf16":   {append: func(dst, src []byte) []byte { return appendUTF16(dst, src, binary.BigEndian) }},
		"utf16le": {append: func(dst, src []byte) []byte { return appendUTF16(dst, src, binary.LittleEndian) }},
		"utf32":   {append: appendUTF32},
		"swe7":    singleByte(swe7, upperHalves["ascii"]),
	}
	low := make([]byte, 128)
	for i := range low {
		low[i] = byte(i)
	}
	for name, upper := range upperHalves {
		out[name] = singleByte(string(low), upper)
		out[name].ascii = true
	}
	for name, e := range map[string]encoding.Encoding{
		"big5": traditionalchinese.Big5, "gbk": simplifiedchinese.GBK, "gb2312": simplifiedchinese.GBK,
		"gb18030": simplifiedchinese.GB18030, "sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS,
		"ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP, "euckr": korean.EUCKR,
	} {
		out[name] = multiByte(e, patches[name])
	}
	for name, c := range out {
		c.name = name
	}
	return out
})

// singleByte makes a character set of a character for each byte.
func singleByte(lower, upper string) *charset {
	table := [256]rune([]rune(lower + upper))
	return &charset{append: func(dst, src []byte) []byte {
		for _, b := range src {
			dst = utf8.AppendRune(dst, table[b])
		}
		return dst
	}}
}

func appendUCS2(dst, src []byte) []byte {
	for ; len(src) >= 2; src = src[2:] {
		dst = appendRune(dst, rune(binary.BigEndian.Uint16(src)))
	}
	return appendRest(dst, src)
}

func appendUTF16(dst, src []byte, order binary.ByteOrder) []byte {
	for len(src) >= 2 {
		r := rune(order.Uint16(src))
		src = src[2:]
		if utf16.IsSurrogate(r) && len(src) >= 2 {
			r = utf16.DecodeRune(r, rune(order.Uint16(src)))
			src = src[2:]
		}
		dst = appendRune(dst, r)
	}
	return appendRest(dst, src)
}

func appendUTF32(dst, src []byte) []byte {
	for ; len(src) >= 4; src = src[4:] {
		dst = appendRune(dst, rune(binary.BigEndian.Uint32(src)))
	}
	return appendRest(dst, src)
}

// appendRune appends r, or '?' for what is no character.
func appendRune(dst []byte, r rune) []byte {
	if r == utf8.RuneError || !utf8.ValidRune(r) {
		return append(dst, '?')
	}
	return utf8.AppendRune(dst, r)
}

// appendRest stands for a character that ends early.
func appendRest(dst, src []byte) []byte {
	if len(src) > 0 {
		return append(dst, '?')
	}
	return dst
}

// patch is a run of codes and their characters; see patches.
type patch struct {
	code  uint32
	first rune
	count uint32
}

// multiByteTable has the characters of a character set of one to four bytes: 0
// is no character.
type multiByteTable struct {
	single [256]rune
	double []rune // by both bytes, from 0x8000
	triple []rune // the same behind the byte 0x8f (EUC-JP); may be nil
	longer encoding.Encoding
}

// singleShift leads characters of three bytes in EUC-JP.
const singleShift = 0x8f

// multiByte makes a character set of an encoding and where the servers differ
// from it. Its tables are made when text first needs them.
func multiByte(e encoding.Encoding, differ []patch) *charset {
	table := sync.OnceValue(func() *multiByteTable { return newMultiByteTable(e, differ) })
	return &charset{ascii: true, append: func(dst, src []byte) []byte { return table().append(dst, src) }}
}

func newMultiByteTable(e encoding.Encoding, differ []patch) *multiByteTable {
	t := &multiByteTable{double: make([]rune, 0x8000)}
	if e == simplifiedchinese.GB18030 {
		t.longer = e
	}
	for i := range t.single {
		t.single[i] = decodeOne(e, []byte{byte(i)})
	}
	for i := range t.double {
		t.double[i] = decodeOne(e, []byte{byte(i>>8) | 0x80, byte(i)})
	}
	if e == japanese.EUCJP {
		t.triple = make([]rune, 0x8000)
		for i := range t.triple {
			t.triple[i] = decodeOne(e, []byte{singleShift, byte(i>>8) | 0x80, byte(i)})
		}
	}
	for _, p := range differ {
		table := t.double
		if p.code > 0xffff {
			table = t.triple
		}
		for i := range p.count {
			table[(p.code+i)&0x7fff] = p.first + rune(i)
		}
	}
	return t
}

// decodeOne decodes a whole code, 0 if it is no character.
func decodeOne(e encoding.Encoding, code []byte) rune {
	out, err := e.NewDecoder().Bytes(code)
	if err != nil {
		return 0
	}
	r, n := utf8.DecodeRune(out)
	if n != len(out) || r == utf8.RuneError || len(code) > 1 && r < 0x80 {
		return 0
	}
	return r
}

func (t *multiByteTable) append(dst, src []byte) []byte {
	for len(src) > 0 {
		c := src[0]
		if c < 0x80 {
			dst, src = append(dst, c), src[1:]
			continue
		}
		r, n := t.decode(src)
		if r == 0 {
			r = '?'
		}
		dst, src = utf8.AppendRune(dst, r), src[n:]
	}
	return dst
}

// decode decodes the character at the head of src, which is not ASCII: 0 for
// none, with the bytes to pass over.
func (t *multiByteTable) decode(src []byte) (r rune, n int) {
	if r = t.single[src[0]]; r != 0 || len(src) == 1 {
		return r, 1
	}
	if r = t.double[int(src[0]&0x7f)<<8|int(src[1])]; r != 0 {
		return r, 2
	}
	switch {
	case t.triple != nil && src[0] == singleShift && len(src) >= 3 && src[1] >= 0x80:
		return t.triple[int(src[1]&0x7f)<<8|int(src[2])], 3
	case t.longer != nil && len(src) >= 4 && src[1] >= '0' && src[1] <= '9':
		return decodeOne(t.longer, slices.Clone(src[:4])), 4
	case src[1] < 0x40: // no second byte anywhere
		return 0, 1
	}
	return 0, 2
}
