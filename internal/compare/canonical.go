package compare

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Column is a column of a compared table.
type Column struct {
	Name string
	// Type is the column's type as information_schema.columns has it in
	// data_type, in lower case.
	Type string
	// Bits is the width of a BIT column.
	Bits int
}

// null is the canonical form of NULL.
const null = "∅"

// fromTable is the canonical form of a value as the server's text protocol
// gives it, in a session in UTC.
func (c *Column) fromTable(text string) (string, error) {
	switch c.Type {
	case "decimal", "numeric":
		return canonicalNumber(text)
	case "float":
		f, err := strconv.ParseFloat(text, 32)
		return strconv.FormatFloat(f, 'g', 6, 64), err // the server prints six digits
	case "double":
		f, err := strconv.ParseFloat(text, 64)
		return strconv.FormatFloat(f, 'g', -1, 64), err
	case "json":
		return canonicalJSON([]byte(text))
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return base64.StdEncoding.EncodeToString([]byte(text)), nil
	case "bit":
		return bits(text), nil
	case "datetime", "timestamp":
		return canonicalTime(strings.Replace(text, " ", "T", 1) + "Z")
	case "time":
		return duration(text), nil
	}
	return text, nil
}

// fromJSON is the canonical form of a value in a document, decoded with
// json.Number.
func (c *Column) fromJSON(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return null, nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case json.Number:
		return c.fromNumber(v)
	case string:
		return c.fromText(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return canonicalJSON(b)
}

func (c *Column) fromNumber(n json.Number) (string, error) {
	i, err := n.Int64()
	if err != nil {
		return c.fromTable(n.String())
	}
	switch c.Type {
	case "date":
		return time.Unix(i*86400, 0).UTC().Format(time.DateOnly), nil
	case "datetime":
		return instant(i, c), nil
	case "time":
		return microDuration(i), nil
	case "bigint", "int", "mediumint", "smallint", "tinyint", "year", "bit":
		return n.String(), nil
	}
	return c.fromTable(n.String())
}

// instant is a DATETIME that travelled as ms or as µs: ms of the years that
// databases have are below 10^14, µs above it, but for those before 1973.
func instant(i int64, c *Column) string {
	if c.Bits > 3 {
		return time.UnixMicro(i).UTC().Format(canonicalLayout)
	}
	return time.UnixMilli(i).UTC().Format(canonicalLayout)
}

func (c *Column) fromText(s string) (string, error) {
	switch c.Type {
	case "decimal", "numeric":
		if n, err := canonicalNumber(s); err == nil {
			return n, nil
		}
		return "", fmt.Errorf("column %s: %q is no number", c.Name, s)
	case "timestamp", "datetime":
		return canonicalTime(s)
	case "json":
		return canonicalJSON([]byte(s))
	}
	return s, nil // base64 of binary columns, and plain text
}

const canonicalLayout = "2006-01-02T15:04:05.000000Z"

func canonicalTime(s string) (string, error) {
	if strings.HasPrefix(s, "0000-00-00") {
		return null, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return "", fmt.Errorf("reading a time: %w", err)
	}
	return t.UTC().Format(canonicalLayout), nil
}

func canonicalNumber(s string) (string, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", fmt.Errorf("%q is no number", s)
	}
	return r.RatString(), nil
}

// duration is a TIME column's text with six digits of fraction.
func duration(s string) string {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + (fraction + "000000")[:6]
}

func microDuration(us int64) string {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	s := us / 1_000_000
	return fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, s/3600, s/60%60, s%60, us%1_000_000)
}

// bits is a BIT column's bytes as a number.
func bits(s string) string { return new(big.Int).SetBytes([]byte(s)).String() }

// canonicalJSON is a JSON text with sorted keys and numbers in lowest terms.
func canonicalJSON(b []byte) (string, error) {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("reading JSON: %w", err)
	}
	var out strings.Builder
	writeJSON(&out, v)
	return out.String(), nil
}

func writeJSON(out *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		out.WriteByte('{')
		for _, k := range keys {
			fmt.Fprintf(out, "%q:", k)
			writeJSON(out, v[k])
			out.WriteByte(',')
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for _, e := range v {
			writeJSON(out, e)
			out.WriteByte(',')
		}
		out.WriteByte(']')
	case json.Number:
		n, err := canonicalNumber(v.String())
		if err != nil {
			n = v.String()
		}
		out.WriteString(n)
	case string:
		fmt.Fprintf(out, "%q", v)
	default:
		fmt.Fprint(out, v)
	}
}
