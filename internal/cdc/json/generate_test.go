package json

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// generator makes random records; sloppy ones use other orders, white space and
// needless escapes.
type generator struct {
	*rand.Rand
	sloppy bool
}

func newGenerator(seed, style uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, style)), sloppy: style%2 == 1}
}

// field makes a field of any type, without a name.
func (g *generator) field(depth int) cdc.Field {
	f := cdc.Field{Optional: true}
	switch n := g.IntN(14 + 2*depth); n {
	case 0, 1, 2, 3:
		f.Type = []cdc.Type{cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64}[n]
	case 4:
		f.Type = cdc.Double
	case 5:
		f.Type = cdc.Float
	case 6:
		f.Type = cdc.Boolean
	case 7, 8, 9:
		f.Type = cdc.Text
	case 10:
		f.Type = cdc.Binary
	case 11, 12:
		f.Type, f.Semantic, f.SchemaVersion, f.Scale = cdc.Binary, cdc.Decimal, 1, g.IntN(31)
		f.Params = []cdc.Param{{Name: "scale", Value: fmt.Sprint(f.Scale)}}
	case 13:
		f.Type, f.Semantic, f.SchemaVersion = cdc.Int64, cdc.MicroTimestamp, 1
	case 14, 16:
		f.Type, f.Struct = cdc.Struct, g.schema("s", 3, depth-1)
	default:
		element := g.field(depth - 1)
		f.Type, f.Element = cdc.Array, &element
	}
	return f
}

// schema makes a schema of up to most fields.
func (g *generator) schema(name string, most, depth int) *cdc.Schema {
	fields := make([]cdc.Field, 1+g.IntN(most))
	for i := range fields {
		fields[i] = g.field(depth)
		fields[i].Name = fmt.Sprintf("%d:%s", i, g.text(6))
	}
	return cdc.NewSchema(name, fields...)
}

// envelope makes the text of a change of s; with its schema if inline.
func (g *generator) envelope(s *cdc.Schema, inline bool) []byte {
	source := []string{
		`"version":"3"`, `"connector":` + g.string(8), `"name":` + g.string(5), `"ts_ms":` + fmt.Sprint(g.Int64N(1e15)),
		`"query":` + g.string(30), `"row":0`, `"gtid":` + []string{"null", `"a:1"`}[g.IntN(2)],
	}
	members := []string{
		`"before":` + g.row(s), `"after":` + g.row(s), `"source":` + g.object(source), `"transaction":` + g.transaction(),
		`"op":"` + string("cudr"[g.IntN(4)]) + `"`, `"ts_ms":17`, `"ts_us":17001`, `"ts_ns":17001002`,
	}
	if g.IntN(3) == 0 {
		members = append(members, `"x":[{"y":"}]\u0041"},1.5e3,[],{}]`)
	}
	out := g.object(members)
	if !inline {
		return []byte(out)
	}
	schema := string(AppendSchema(nil, EnvelopeSchema(s, ordersSource), Options{}))
	return []byte(g.object([]string{`"schema":` + schema, `"payload":` + out}))
}

func (g *generator) transaction() string {
	if g.IntN(2) == 0 {
		return "null"
	}
	return g.object([]string{`"id":` + g.string(5), `"total_order":` + fmt.Sprint(g.IntN(100)), `"data_collection_order":3`})
}

func (g *generator) object(members []string) string {
	if g.sloppy {
		g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteString("," + g.space())
		}
		b.WriteString(g.space() + m + g.space())
	}
	return b.String() + "}"
}

func (g *generator) space() string {
	if !g.sloppy {
		return ""
	}
	return []string{"", "", " ", "\n\t", " \r\n"}[g.IntN(5)]
}

func (g *generator) row(s *cdc.Schema) string {
	if g.IntN(5) == 0 {
		return "null"
	}
	return g.members(s)
}

func (g *generator) members(s *cdc.Schema) string {
	var members []string
	for i := range s.Fields {
		if g.sloppy && g.IntN(9) == 0 {
			continue
		}
		f := &s.Fields[i]
		members = append(members, string(AppendString(nil, []byte(f.Name)))+":"+g.space()+g.value(f))
	}
	return g.object(members)
}

func (g *generator) value(f *cdc.Field) string {
	if g.IntN(6) == 0 {
		return "null"
	}
	b := make([]byte, g.IntN(20))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	switch f.Type {
	case cdc.Boolean:
		return []string{"true", "false"}[g.IntN(2)]
	case cdc.Float:
		return string(AppendDouble(nil, float64(float32(g.NormFloat64()*math.Pow(10, float64(g.IntN(60)-30)))), 32))
	case cdc.Double:
		return string(AppendDouble(nil, g.NormFloat64()*math.Pow(10, float64(g.IntN(600)-300)), 64))
	case cdc.Text:
		return g.string(40)
	case cdc.Struct:
		return g.members(f.Struct)
	case cdc.Array:
		var elements []string
		for range g.IntN(4) {
			elements = append(elements, g.space()+g.value(f.Element)+g.space())
		}
		return "[" + strings.Join(elements, ",") + "]"
	case cdc.Int8, cdc.Int16, cdc.Int32, cdc.Int64:
		bits := map[cdc.Type]int{cdc.Int8: 8, cdc.Int16: 16, cdc.Int32: 32, cdc.Int64: 64}[f.Type]
		return fmt.Sprint(int64(g.Uint64()) >> (64 - bits + g.IntN(bits)))
	}
	if f.Semantic != cdc.Decimal {
		return string(appendBase64(nil, b))
	}
	return g.decimal(f, b)
}

func (g *generator) decimal(f *cdc.Field, b []byte) string {
	unscaled := int64(g.Uint64()) >> g.IntN(64)
	switch g.IntN(4) {
	case 0:
		return string(appendBase64Int(nil, unscaled))
	case 1:
		return string(appendBase64(nil, append(b, byte(g.Uint32()))))
	case 2:
		return string(appendSmallDecimal(nil, unscaled, f.Scale, decimalText(g.IntN(2))))
	}
	return string(appendBigDecimal(nil, append(b, 1), f.Scale, decimalText(g.IntN(2))))
}

func (g *generator) text(n int) string {
	pieces := []string{"a", "b", "Z", "0", " ", "é", "東", "😀", `"`, `\`, "/", "\n", "\t", "\x01", "}", "{", `},"transaction":`, "[", ",", "\u2028", "long plain text of some length"}
	var b strings.Builder
	for range g.IntN(n) {
		b.WriteString(pieces[g.IntN(len(pieces))])
	}
	return b.String()
}

func (g *generator) string(n int) string {
	s := g.text(n)
	if !g.sloppy {
		return string(AppendString(nil, []byte(s)))
	}
	var b bytes.Buffer
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case g.IntN(3) == 0 && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case g.IntN(20) == 0:
			b.WriteString(`\ud800`) // half a pair
		default:
			q := AppendString(nil, []byte(string(r)))
			b.Write(q[1 : len(q)-1])
		}
	}
	return b.String() + `"`
}
