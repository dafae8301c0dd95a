package expression

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

func decimalOf(name string, precision, scale int) cdc.Field {
	f := decimalField(precision, scale, false)
	f.Name = name
	return f
}

var orders = cdc.NewSchema("shop.orders.Value",
	cdc.Field{Name: "id", Type: cdc.Int64},
	decimalOf("price", 10, 2),
	cdc.Field{Name: "quantity", Type: cdc.Int32, Optional: true},
	cdc.Field{Name: "status", Type: cdc.Text, Semantic: cdc.Enum, Optional: true},
	cdc.Field{Name: "rate", Type: cdc.Double, Optional: true},
	cdc.Field{Name: "ordered", Type: cdc.Int32, Semantic: cdc.Date},
	cdc.Field{Name: "changed", Type: cdc.Text, Semantic: cdc.ZonedTimestamp},
	cdc.Field{Name: "created", Type: cdc.Int64, Semantic: cdc.MicroTimestamp},
	cdc.Field{Name: "opens", Type: cdc.Int64, Semantic: cdc.MicroTime},
	cdc.Field{Name: "attributes", Type: cdc.Text, Semantic: cdc.JSON, Optional: true},
	cdc.Field{Name: "tags", Type: cdc.Text, Semantic: cdc.EnumSet},
	cdc.Field{Name: "paid", Type: cdc.Int16},
	cdc.Field{Name: "note", Type: cdc.Text, Optional: true},
	decimalOf("huge", 40, 10),
	cdc.Field{Name: "quota", Type: cdc.Int64, Optional: true},
)

var at = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)

func orderRow(schema *cdc.Schema) *cdc.Row {
	r := new(cdc.Row)
	r.Reset(schema)
	huge, _ := parseNumber([]byte("123456789012345678901234567890.0123456789"))
	b, _ := huge.twos(10, "")
	copy(r.Values, []cdc.Value{
		cdc.Int(7), cdc.SmallDecimal(1999), cdc.Int(3), cdc.String([]byte("PAID")), cdc.Float64(0.15),
		cdc.Int(at.Unix() / 86400), cdc.Micros(at.UnixMicro()), cdc.Int(at.UnixMicro()), cdc.Int(9 * 3600 * 1_000_000),
		cdc.String([]byte(`{"color":"red","size":{"w":2.50},"parts":[{"n":1},{"n":3}]}`)), cdc.String([]byte("gift,express")), cdc.Int(1),
		{}, cdc.BigDecimal(b), cdc.Uint(1<<63 + 5),
	})
	return r
}

// loose is the same order as schemaless JSON has it.
const loose = `{"id":7,"price":19.99,"quantity":3,"status":"PAID","rate":0.15,"ordered":"2026-11-22","changed":"2026-11-22T10:30:00Z",
"created":"2026-11-22 10:30:00","opens":"09:00:00","attributes":{"color":"red","size":{"w":2.50},"parts":[{"n":1},{"n":3}]},"tags":["gift","express"],
"paid":true,"note":null,"huge":123456789012345678901234567890.0123456789,"quota":9223372036854775813}`

func flat(t testing.TB, text string) *cdc.Row {
	t.Helper()
	m := new(json.Message)
	if err := json.NewReader(nil).ReadValue(m, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return m.Value
}

// records are the same order in every form there is.
func records(t testing.TB) map[string]*cdc.Record {
	key := new(cdc.Row)
	key.Reset(cdc.NewSchema("shop.orders.Key", cdc.Field{Name: "id", Type: cdc.Int64}))
	key.Values[0] = cdc.Int(7)
	base := func() *cdc.Record {
		return &cdc.Record{Route: "shop.orders", Key: key, Op: cdc.OpUpdate, Headers: []cdc.Header{{Key: "tenant", Value: []byte("a")}, {Key: "tenant", Value: []byte("b")}}}
	}
	envelope := func() *cdc.Envelope {
		before, after := orderRow(orders), orderRow(orders)
		before.Values[3] = cdc.String([]byte("NEW"))
		return &cdc.Envelope{Op: cdc.OpUpdate, Before: before, After: after, SourceJSON: []byte(`{"table":"orders","ts_ms":1795343400000,"pos":42}`), SourceMillis: at.UnixMilli(), Millis: at.UnixMilli()}
	}
	wrapped, plain, unwrapped, free := base(), base(), base(), base()
	plain.Envelope, unwrapped.Envelope, wrapped.Envelope, free.Envelope = envelope(), envelope(), envelope(), envelope()
	unwrapped.Value = unwrapped.Envelope.After
	free.Envelope.Before = flat(t, strings.Replace(loose, "PAID", "NEW", 1))
	free.Value = flat(t, loose)
	free.Envelope.After = free.Value
	transform.Whole(wrapped)
	return map[string]*cdc.Record{"envelope": plain, "unwrapped": unwrapped, "wrapped": wrapped, "schemaless": free}
}

// TestConditions are true of every form of the same order.
func TestConditions(t *testing.T) {
	all := records(t)
	for _, text := range []string{
		`price > 19.98 && price < 20`, `price == 19.99`, `price * quantity == 59.97`, `price * 3 >= '59.97'`, `price in [1, 19.99]`,
		`price * 0.1 == 1.999`, `price + 0.01 == 20`, `price - quantity == 16.99`, `price / 4 == 4.9975`, `quantity / 2 == 1.5`, `-price < 0`,
		`quantity % 2 == 1`, `quantity ** 3 == 27`, `1 / 3 > 0.333 and 1/3 < 0.334`,
		`huge > number('123456789012345678901234567890')`, `huge - number('123456789012345678901234567890') == 0.0123456789`, `huge * huge > huge`, `-huge < 0`,
		`quota == '9223372036854775813'`, `quota > 9223372036854775807`, `quota - 1 == '9223372036854775812'`,
		`status == 'PAID'`, `status != "NEW"`, `status in ['NEW', 'PAID']`, `not (status in ['NEW'])`, `status not in ['NEW']`, `status contains 'AI'`,
		`status startsWith 'PA' && status endsWith 'ID'`, `status matches '^P.+D$'`, `status matches 'A(?=I)'`, `lower(status) == 'paid'`, `len(status) == 4`,
		`rate == 0.15`, `rate < 0.2`, `price * rate == 2.9985`,
		`ordered == '2026-11-22'`, `ordered >= '2026-01-01'`, `ordered < '2026-11-23' && ordered > '2026-11-21T23:59:59Z'`, `ordered in '2026-11-01'..'2026-11-30'`,
		`changed > '2026-11-22'`, `timestamp(changed) == '2026-11-22T11:30:00+01:00'`, `created >= '2026-11-22 10:30'`, `created < '2026-11-22 10:30:01'`,
		`opens == '09:00:00'`, `year(date(changed)) == 2026`, `month(ordered) == 11 and weekday(ordered) == 7`, `millis(changed) == 1795343400000`,
		`attributes.color == 'red'`, `attributes.size.w == 2.5`, `attributes.parts[1].n == 3`, `attributes["color"] == 'red'`, `attributes.none.deeper == null`,
		`any(attributes.parts, .n > 2)`, `all(attributes.parts, {.n > 0})`, `count(attributes.parts, #.n == 1) == 1`, `none(attributes.parts, .n > 5)`,
		`'gift' in tags`, `tags contains 'express'`, `not ('g' in tags)`,
		`paid == true`, `paid`, `paid && true`, `note == null`, `note == nil`, `not (note == 'x')`, `note != 'x'`, `!(note > 5)`, `(note ?? 'none') == 'none'`, `note?.deeper == null`,
		`note + 1 == null`, `(note ?: 'x') == 'x'`, `coalesce(note, status) == 'PAID'`,
		`op == 'u'`, `value.op == 'u'`, `before.status == 'NEW' && after.status == 'PAID'`, `value.before.status != value.after.status`, `before.id == id`,
		`key.id == 7`, `this.price == 19.99`, `this["status"] == 'PAID'`, `source.table == 'orders'`, `value.source.table == "orders"`, `source.pos > 41`, `topic == 'shop.orders'`, `headers.tenant == 'b'`, `headers["tenant"] == 'b'`,
		`headers.none == null`, `ts == '2026-11-22T10:30:00Z'`, `ts >= '2026-11-22'`, `missing == null`, `before != null`, `value.before != null`, `value != null`,
		`price > 100 ? false : true`, `let gross = price * 2; gross == 39.98`, `let a = 1; let b = a + a; let a = b + 1; a + b == 5`, `(let a = 2; a) + (let b = 3; b) == 5`, `price | round(1) == 20`, `round(price, 1) == 20.0`, `floor(price) == 19`, `ceil(price) == 20`, `abs(-price) == price`,
		`min(price, quantity) == 3`, `max(price, quantity, 1) == 19.99`, `status + '-' + id == 'PAID-7'`, `concat(status, note, id) == 'PAID7'`, `substring(status, 1, 3) == 'AI'`, `status[-2:] == 'ID'`,
		`replace(status, 'A', 'O') == 'POID'`, `indexOf(status, 'I') == 2`, `upper(trim(' a ')) == 'A'`, `string(price) == '19.99'`, `number('1.50') == 1.5`, `int(price) == 19`, `5 < id < 9`,
	} {
		p, err := Compile(text, "")
		if err != nil {
			t.Error(err)
			continue
		}
		for form, r := range all {
			if ok, err := p.Test(r); !ok || err != nil {
				t.Errorf("%s: %s = %v, %v", form, text, ok, err)
			}
		}
	}
}

// TestNull: what a tombstone, a delete or an empty record has not is null.
func TestNull(t *testing.T) {
	for _, r := range []*cdc.Record{{Tombstone: true, Deleted: true}, {}, {Envelope: &cdc.Envelope{Op: cdc.OpTruncate}}} {
		for text, want := range map[string]bool{
			`price > 0`: false, `price < 0`: false, `price == 0`: false, `price == null`: true, `value.after.status == 'x'`: false, `key.id == 1`: false,
			`before == null && after == null`: true, `status contains 'x'`: false, `status in ['x']`: false, `'x' in tags`: false, `not paid`: true,
			`price * 2 > 1 || true`: true, `len(status) == 0`: false, `status matches '.*'`: false, `source.table == 'x'`: false, `any(tags, # == 'x')`: false,
		} {
			p, err := Compile(text, "")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Test(r); got != want || err != nil {
				t.Errorf("%s = %v, %v; want %v", text, got, err, want)
			}
		}
	}
}

// TestCheck: what is wrong with the types is said before a record is there.
func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		`price > 'cheap'`: "not a number", `quantity == 'x'`: "not a number", `ordered > 'soon'`: "not a date or time", `opens == 'noon'`: "not a time",
		`status * 2`: "needs numbers", `price + ordered`: "needs numbers", `status && true`: "needs a condition", `price ? 1 : 2`: "needs a condition",
		`not status`: "needs a condition", `prise > 1`: "no field prise; the row has id, price", `id in status`: "needs a list", `note.x == 1`: "needs a struct",
		`after.prise > 1`: "no field prise", `value.prise > 1`: "no field prise", `paid == 'maybe'`: "not a number",
	} {
		p, err := Compile(text, "")
		if err != nil {
			t.Error(err)
			continue
		}
		if err = p.Check(orders); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
		if IsMissing(err) != strings.Contains(want, "no field") {
			t.Errorf("%s: missing or not: %v", text, err)
		}
	}
	for _, text := range []string{`price > '10'`, `status == 'x'`, `value.op == 'u'`, `source.table == 'x'`, `headers.x > 1`, `note + price == 'x'`, `attributes.a.b > 3`} {
		p, err := Compile(text, "")
		if err != nil {
			t.Fatal(err)
		}
		whole := json.EnvelopeSchema(orders, cdc.NewSchema("source"))
		if err := errors.Join(p.Check(orders), p.Check(whole)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		``: "unexpected token", `price >`: "unexpected token", `price >> 1`: "unexpected token", `foo(1)`: "no function foo; there are abs", `round()`: "takes 1 to 2 arguments", `len(1,2)`: "takes 1 argument",
		`status matches price`: "in quotes", `status matches '('`: "regular expression", `headers == 1`: "name of a header", `name.equals('x')`: `instead of name.equals("x") write name == "x"`,
		`{"a": 1}`: "not part of this language", `[1,2]`: "right of in", `filter(tags, # == 1)`: "no function filter", `1 + true`: "needs numbers", `'a' * 2`: "needs numbers",
		`valueSchema.name == 'x'`: "not known here", `price == 1 and 'x'`: "needs a condition",
	} {
		if _, err := Compile(text, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

// TestEval: results are typed by the schema, and exact.
func TestEval(t *testing.T) {
	scale2 := 2
	for _, c := range []struct {
		text         string
		settings     Settings
		class        cdc.Type
		want         string
		scale, digit int
	}{
		{`price * quantity`, Settings{}, cdc.Binary, "59.97", 2, 20},
		{`price * price`, Settings{}, cdc.Binary, "399.6001", 4, 20},
		{`price * price`, Settings{Scale: &scale2}, cdc.Binary, "399.60", 2, 21},
		{`price * 0.125`, Settings{Scale: &scale2, Rounding: RoundUp}, cdc.Binary, "2.50", 2, 21},
		{`price * 0.125`, Settings{Scale: &scale2, Rounding: RoundFloor}, cdc.Binary, "2.49", 2, 21},
		{`price / 3`, Settings{}, cdc.Binary, "6.663333", 6, 14},
		{`price * rate`, Settings{}, cdc.Binary, "2.99850000", 8, 35},
		{`rate * 2`, Settings{}, cdc.Double, "0.3", 0, 0},
		{`rate * rate`, Settings{Scale: &scale2}, cdc.Binary, "0.02", 2, 21},
		{`quantity * 2`, Settings{}, cdc.Int64, "6", 0, 0},
		{`huge * huge`, Settings{}, cdc.Binary, "15241578753238836750495351562539247103252248135650053345677.50053345778750190521", 20, 65},
		{`-huge`, Settings{}, cdc.Binary, "-123456789012345678901234567890.0123456789", 10, 41},
		{`price`, Settings{}, cdc.Binary, "19.99", 2, 10},
		{`status`, Settings{}, cdc.Text, "PAID", 0, 0},
		{`status + '!'`, Settings{}, cdc.Text, "PAID!", 0, 0},
		{`'gold'`, Settings{}, cdc.Text, "gold", 0, 0},
		{`price > 5`, Settings{}, cdc.Boolean, "true", 0, 0},
		{`ordered`, Settings{}, cdc.Int32, "2026-11-22", 0, 0},
		{`changed`, Settings{}, cdc.Text, "2026-11-22T10:30:00Z", 0, 0},
		{`now()`, Settings{Now: func() time.Time { return at }}, cdc.Int64, "2026-11-22T10:30:00.000", 0, 0},
		{`paid == 1 ? price : 0`, Settings{}, cdc.Binary, "19.99", 2, 10},
		{`note ?? price`, Settings{}, cdc.Any, "19.99", 0, 0},
		{`note + 1`, Settings{}, cdc.Text, "", 0, 0},
		{`quota`, Settings{}, cdc.Int64, "9223372036854775813", 0, 0},
		{`attributes.size.w`, Settings{}, cdc.Any, "2.50", 0, 0},
	} {
		p, err := c.settings.Compile(c.text)
		if err != nil {
			t.Fatal(err)
		}
		r := records(t)["unwrapped"]
		var into cdc.Row
		into.Reset(noFields)
		v, f, err := p.Eval(r, &into)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := string(json.AppendText(nil, &f, &v)); got != c.want || f.Type != c.class || f.Scale != c.scale || f.Precision != c.digit || !f.Optional {
			t.Errorf("%s = %s of %+v; want %+v", c.text, got, f, c)
		}
	}
}

// TestEvalSchemaless: on rows of no types the results have none, and are exact.
func TestEvalSchemaless(t *testing.T) {
	for text, want := range map[string]string{
		`price * quantity`: "59.97", `price / 3`: "6.663333333333333333333333333333333", `huge * 2`: "246913578024691357802469135780.0246913578", `quantity + 1`: "4",
		`status`: "PAID", `attributes.size`: `{"w":2.50}`, `price * 1e19`: "199900000000000000000.00",
	} {
		p, err := Compile(text, "")
		if err != nil {
			t.Fatal(err)
		}
		var into cdc.Row
		into.Reset(noFields)
		v, f, err := p.Eval(records(t)["schemaless"], &into)
		if got := string(json.AppendText(nil, &f, &v)); err != nil || got != want || f.Type != cdc.Any {
			t.Errorf("%s = %s of %v, %v; want %s", text, got, f.Type, err, want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	for text, want := range map[string]string{
		`price / 0`: "division by zero", `quantity % (quantity - 3)`: "division by zero", `status * 2 > 1`: "needs a number", `quantity ** 2000 > 1`: "whole number from 0 to 999", `huge ** 300 > 1`: "more than 4000 digits",
		`attributes.parts['x'.y] == 1`: "", `-status == 1`: "needs a number",
	} {
		p, err := Compile(text, "")
		if err != nil {
			continue
		}
		if _, err := p.Test(records(t)["schemaless"]); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`'orders-' + lower(status)`: "orders-paid", `topic + '.' + headers.tenant`: "shop.orders.b", `note`: "<null>", `ordered`: "2026-11-22", `price`: "19.99", `ts`: "2026-11-22T10:30:00.000Z",
	} {
		p, err := Compile(text, "")
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := p.Text(records(t)["unwrapped"])
		if !ok {
			got = "<null>"
		}
		if got != want || err != nil {
			t.Errorf("%s = %q, %v", text, got, err)
		}
	}
}

func TestFields(t *testing.T) {
	p, err := Compile(`value.after.a > b && before.c == d.e && key.f == headers.g && topic == op && source.h == 1 && b > 0`, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Fields(), ","); got != "a,b,c,d" {
		t.Error(got)
	}
}

// TestTranslate has conditions as Debezium's documentation and users write them.
func TestTranslate(t *testing.T) {
	for theirs, ours := range map[string]string{
		`value.op == 'u' && value.before.id == 7`:               `value.op == "u" && value.before.id == 7`,
		`value.after.status == "PAID"`:                          `value.after.status == "PAID"`,
		`value.op === 'c' || value.op !== "d"`:                  `value.op == "c" || value.op != "d"`,
		`value.after.status.equals('PAID')`:                     `value.after.status == "PAID"`,
		`value.after.status.contains("AI")`:                     `value.after.status contains "AI"`,
		`value.after?.status?.startsWith('P')`:                  `value.after?.status startsWith "P"`,
		`'NEW'.equals(value.before.status)`:                     `"NEW" == value.before.status`,
		`value.after.status in ['NEW','PAID']`:                  `value.after.status in ["NEW", "PAID"]`,
		`['NEW','PAID'].includes(value.after.status)`:           `value.after.status in ["NEW", "PAID"]`,
		`value.after.status !in ['NEW']`:                        `not (value.after.status in ["NEW"])`,
		`return value.after.price > 10.00;`:                     `value.after.price > 10`,
		`value.after.status ==~ /P.*/`:                          `value.after.status matches "\\A(?:P.*)\\z"`,
		`value.after.status =~ 'A\\w'`:                          `value.after.status matches "A\\w"`,
		`value.after.status.toLowerCase() == 'paid'`:            `lower(value.after.status) == "paid"`,
		`value.after.status.equalsIgnoreCase('paid')`:           `lower(value.after.status) == lower("paid")`,
		`value.get('after').get('status') == 'PAID'`:            `value.after.status == "PAID"`,
		`headers.tenant.value == 'b'`:                           `headers.tenant.value == "b"`,
		`value.after.note == null ? true : false`:               `value.after.note == null ? true : false`,
		`(value.after.note ?: 'none') == 'none'`:                `(value.after.note ? value.after.note : "none") == "none"`,
		`!(value.op == 'd') && topic.startsWith('shop')`:        `!(value.op == "d") && topic startsWith "shop"`,
		`value.after.status.length() > 3 && key.id > 1`:         `len(value.after.status) > 3 && key.id > 1`,
		`value.source.table == 'orders' && value.op != 'd'`:     `value.source.table == "orders" && value.op != "d"`,
		`value.after.price * value.after.quantity == 59.97`:     `value.after.price * value.after.quantity == 59.97`,
		`Number(value.after.price) < 20 && value.after != null`: `number(value.after.price) < 20 && value.after != null`,
	} {
		for _, language := range []Language{"jsr223.groovy", "jsr223.graal.js"} {
			p, err := Compile(theirs, language)
			if err != nil {
				t.Error(err)
				continue
			}
			if p.String() != ours {
				t.Errorf("%s → %s; want %s", theirs, p, ours)
			}
			again, err := Compile(p.String(), "")
			if err != nil {
				t.Errorf("what is shown for %s is not ours: %v", theirs, err)
				continue
			}
			for form, r := range records(t) {
				first, err1 := p.Test(r)
				second, err2 := again.Test(r)
				if !first || !second || err1 != nil || err2 != nil {
					t.Errorf("%s: %s = %v, %v; %v, %v", form, theirs, first, err1, second, err2)
				}
			}
		}
	}
}

func TestNotTranslated(t *testing.T) {
	for theirs, want := range map[string]string{
		`def x = 1; value.op == 'u'`:                           "more than one statement",
		`value.after.items.any { it.n > 1 }`:                   "a block",
		`value.after.name.reverse() == 'x' && value.op == 'u'`: `.reverse() has no counterpart; without the property language, write it in Weir's: <value.after.name.reverse()> == "x" && value.op == "u"`,
		`"a${value.op}" == 'au'`:                               "write 'a' + b",
		`value.op == 'u`:                                       "a quote is not closed",
		`value.op ~~ 1`:                                        "cannot be read",
		`items.filter(x => x > 1)`:                             "there is a function",
	} {
		_, err := Compile(theirs, "jsr223.groovy")
		var n *NotTranslated
		if !errors.As(err, &n) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "write it in Weir's: ") {
			t.Errorf("%s: %v; want %q", theirs, err, want)
		}
	}
	if _, err := Compile("value.op == 'u'", "jsr223.jython"); err == nil || !strings.Contains(err.Error(), "Groovy and JavaScript are known") {
		t.Error(err)
	}
}
