package mysql

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// TestCharsetsAsServers asks the servers for every code of one and two bytes,
// and for many longer ones, of every character set, and demands their
// characters; what they cannot convert (NULL or '?') may be better here.
func TestCharsetsAsServers(t *testing.T) {
	for name, s := range map[string]servers.SQL{"mysql": servers.MySQL(t), "mariadb": servers.MariaDB(t)} {
		t.Run(name, func(t *testing.T) {
			db := s.Open(t, "")
			for charset := range charsets() {
				if charset == "binary" || charset == "gb18030" && name == "mariadb" {
					continue
				}
				codes := codesOf(charset)
				if name == "mariadb" { // whose tables are the same: some of them
					codes = slices.DeleteFunc(codes, func(c []byte) bool { return len(c) > 1 && rand.IntN(8) > 0 })
				}
				compareCharset(t, db, charset, codes)
			}
		})
	}
}

// codesOf are the codes to compare.
func codesOf(charset string) [][]byte {
	r := rand.New(rand.NewPCG(5, 6))
	var out [][]byte
	switch charset {
	case "utf16", "utf16le", "utf32", "ucs2", "utf8mb4", "utf8mb3":
		for range 4000 {
			out = append(out, encodeRune(charset, rune(r.IntN(0x110000))), encodeRune(charset, rune(r.IntN(0x3000))))
		}
		return out
	}
	for i := range 256 {
		out = append(out, []byte{byte(i)})
	}
	if charsets()[charset].ascii && upperHalves[charset] == "" {
		for i := 0x8000; i < 0x10000; i++ {
			if byte(i) >= 0x40 {
				out = append(out, []byte{byte(i >> 8), byte(i)})
			}
		}
	}
	for range 3000 {
		switch charset {
		case "gb18030":
			out = append(out, []byte{0x81 + byte(r.IntN(3)), '0' + byte(r.IntN(10)), 0x81 + byte(r.IntN(126)), '0' + byte(r.IntN(10))})
		case "ujis", "eucjpms":
			out = append(out, []byte{0x8f, 0xa1 + byte(r.IntN(94)), 0xa1 + byte(r.IntN(94))})
		}
	}
	return out
}

func encodeRune(charset string, c rune) []byte {
	if c >= 0xd800 && c < 0xe000 {
		c = 'x'
	}
	u16 := []byte{byte(c >> 8), byte(c)}
	if c > 0xffff {
		high, low := 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff
		u16 = []byte{byte(high >> 8), byte(high), byte(low >> 8), byte(low)}
	}
	switch charset {
	case "utf32":
		return []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)}
	case "utf16":
		return u16
	case "utf16le":
		for i := 0; i < len(u16); i += 2 {
			u16[i], u16[i+1] = u16[i+1], u16[i]
		}
		return u16
	case "ucs2":
		return []byte{byte(c>>8) & 0x7f, byte(c)}
	}
	return utf8.AppendRune(nil, c)
}

func compareCharset(t *testing.T, db *sql.DB, charset string, codes [][]byte) {
	cs, err := charsetByName(charset)
	if err != nil {
		t.Fatal(err)
	}
	const batch = 500
	differ, known := 0, 0
	for from := 0; from < len(codes); from += batch {
		part := codes[from:min(from+batch, len(codes))]
		for i, want := range converted(t, db, charset, part) {
			if !want.Valid || want.String == "" || strings.Contains(want.String, "3F") {
				continue
			}
			known++
			text, _ := hex.DecodeString(want.String)
			if got := cs.appendUTF8(nil, part[i]); string(got) != string(text) {
				if differ++; differ < 10 {
					t.Errorf("%s %x: %q, the server has %q", charset, part[i], got, text)
				}
			}
		}
	}
	if known < 96 {
		t.Errorf("%s: the server knows only %d of %d codes", charset, known, len(codes))
	}
}

func converted(t *testing.T, db *sql.DB, charset string, codes [][]byte) []sql.NullString {
	var expressions []string
	for _, c := range codes {
		expressions = append(expressions, fmt.Sprintf("HEX(CONVERT(CONVERT(x'%x' USING %s) USING utf8mb4))", c, charset))
	}
	out := make([]sql.NullString, len(codes))
	into := make([]any, len(codes))
	for i := range out {
		into[i] = &out[i]
	}
	if err := db.QueryRowContext(t.Context(), "SELECT "+strings.Join(expressions, ",")).Scan(into...); err != nil {
		t.Fatalf("%s: %v", charset, err)
	}
	return out
}

// TestCollations demands the character set of every collation that the servers
// have.
func TestCollations(t *testing.T) {
	for s, query := range map[servers.SQL]string{
		servers.MySQL(t):   "SELECT id, character_set_name FROM information_schema.collations",
		servers.MariaDB(t): "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability",
	} {
		rows, err := s.Open(t, "").QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var id int
			var want string
			if err := rows.Scan(&id, &want); err != nil {
				t.Fatal(err)
			}
			if got := collationCharset(id); got != want {
				t.Errorf("collation %d is of %q, not %q", id, want, got)
			}
		}
		if rows.Err() != nil || n < 200 {
			t.Errorf("%d collations, %v", n, rows.Err())
		}
	}
}

// TestCharsetCutShort: text that ends within a character ends in '?'.
func TestCharsetCutShort(t *testing.T) {
	for charset, text := range map[string]string{
		"utf16": "\x00a\xd8\x3d", "utf16le": "a\x00\x3d", "utf32": "\x00\x00\x00a\x00\x00", "ucs2": "\x00a\x00", "gbk": "a\xd6",
		"cp932": "a\x83", "ujis": "a\x8f\xb0", "gb18030": "a\x81\x30\x81", "big5": "a\xa4", "euckr": "a\xb0",
	} {
		cs, err := charsetByName(charset)
		if err != nil {
			t.Fatal(err)
		}
		got := cs.appendUTF8(nil, []byte(text))
		if !utf8.Valid(got) || !strings.HasPrefix(string(got), "a?") {
			t.Errorf("%s %q: %q", charset, text, got)
		}
	}
}
