package mysql

import (
	"cmp"
	"strings"
)

// nationalCharset is that of NCHAR and NATIONAL CHAR.
const nationalCharset = "utf8mb3"

// defaultCollations are the collations that character sets have where none is
// said, as far as they are not <character set>_general_ci.
var defaultCollations = map[string]string{
	"big5": "big5_chinese_ci", "dec8": "dec8_swedish_ci", "hp8": "hp8_english_ci", "latin1": "latin1_swedish_ci",
	"swe7": "swe7_swedish_ci", "ujis": "ujis_japanese_ci", "sjis": "sjis_japanese_ci", "tis620": "tis620_thai_ci",
	"euckr": "euckr_korean_ci", "gb2312": "gb2312_chinese_ci", "gbk": "gbk_chinese_ci", "latin5": "latin5_turkish_ci",
	"cp932": "cp932_japanese_ci", "eucjpms": "eucjpms_japanese_ci", "gb18030": "gb18030_chinese_ci", "binary": "binary",
}

// charsetWidths are the most bytes that a character takes, where it is not 1.
var charsetWidths = map[string]int{
	"big5": 2, "ujis": 3, "sjis": 2, "euckr": 2, "gb2312": 2, "gbk": 2, "utf8mb3": 3, "ucs2": 2, "utf8mb4": 4,
	"utf16": 4, "utf16le": 4, "utf32": 4, "cp932": 2, "eucjpms": 3, "gb18030": 4,
}

// charsetWidth is the most bytes that a character takes.
func charsetWidth(charset string) int { return max(charsetWidths[charset], 1) }

// defaultCollation is the collation of a character set for which none is said.
func (s *ddlSession) defaultCollation(charset string) string {
	if charset == "utf8mb4" {
		switch {
		case s.utf8mb4Collation != "":
			return s.utf8mb4Collation
		case !s.mariadb:
			return "utf8mb4_0900_ai_ci"
		}
	}
	if c, ok := defaultCollations[charset]; ok {
		return c
	}
	return charset + "_general_ci"
}

// canonicalCharset is a character set's name without its older alias.
func canonicalCharset(name string) string {
	if name == "utf8" {
		return "utf8mb3"
	}
	return name
}

// canonicalCollation is a collation's name without its older alias.
func canonicalCollation(name string) string {
	if rest, ok := strings.CutPrefix(name, "utf8_"); ok {
		return "utf8mb3_" + rest
	}
	return name
}

// utf8mb4 takes utf8 for utf8mb4.
func (l ddlLocale) utf8mb4() ddlLocale {
	if l.charset == "utf8" {
		l.charset = "utf8mb4"
	}
	if rest, ok := strings.CutPrefix(l.collation, "utf8_"); ok {
		l.collation = "utf8mb4_" + rest
	}
	return l
}

// charsetOf is a collation's character set. MariaDB's uca1400_… are of any
// character set: fallback is the one of the context.
func charsetOf(collation, fallback string) string {
	charset, _, _ := strings.Cut(collation, "_")
	if charset == "uca1400" {
		return fallback
	}
	return canonicalCharset(charset)
}

// resolve completes what was said of character set and collation with what is
// inherited.
func (s *ddlSession) resolve(said, inherited ddlLocale) ddlLocale {
	if s.utf8IsMB4 {
		said = said.utf8mb4()
	}
	said.charset, said.collation = canonicalCharset(said.charset), canonicalCollation(said.collation)
	if said.charset == "default" {
		said.charset = inherited.charset
	}
	if said.collation == "default" { // of the character set, not what is inherited
		said.charset, said.collation = cmp.Or(said.charset, inherited.charset), ""
	}
	switch {
	case said.charset == "" && said.collation == "":
		return inherited
	case said.charset == "":
		said.charset = charsetOf(said.collation, inherited.charset)
	case said.collation == "":
		said.collation = s.defaultCollation(said.charset)
	}
	if strings.HasPrefix(said.collation, "uca1400_") {
		said.collation = said.charset + "_" + said.collation
	}
	return said
}

func lowerWord(s string) string { return strings.ToLower(s) }
