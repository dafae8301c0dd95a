package mysql

import (
	"fmt"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
)

// snapshotSession is the statement that makes a session's SELECTs return what
// rowReader reads: TIMESTAMP in UTC, text in its column's character set as the
// log has it, CHAR without padding.
const snapshotSession = "SET SESSION time_zone = '+00:00', character_set_results = NULL, sql_mode = ''"

// rowReader turns the rows of a SELECT, as the binary protocol of prepared
// statements has them, into the rows that the log's images of them become. The
// binary protocol is read faster than the text protocol, and FLOAT is exact in
// it only. It is used by one goroutine at a time.
type rowReader struct {
	table *TableSchema
	steps []step
	extra int
	// list is what has to be selected, in this order: expressions over the
	// table's columns, separated by commas, without aliases.
	list string
}

// newRowReader compiles the reading of rows of t. On MariaDB JSON is text.
func newRowReader(t *TableSchema, o *ValueOptions, mariadb bool) (*rowReader, error) {
	p := &rowReader{table: t, extra: len(t.Fields) - len(t.Value.Fields), steps: make([]step, len(t.Fields))}
	var list []string
	for i := range t.Fields {
		c := &t.Definition.Columns[t.Ordinals[i]]
		s, err := newStep(c, &t.Fields[i], o)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		s.at = i
		expression := "`" + strings.ReplaceAll(c.Name, "`", "``") + "`"
		switch s.kind {
		case kindInt:
			s.layWireInteger(c)
		case kindFloat:
			s.width = 4
		case kindDouble:
			s.width = 8
		case kindYear:
			s.width = 2
		case kindEnum, kindSet: // by number, as in the log
			s.width = 8
			expression = "CAST(" + expression + " AS UNSIGNED) | 0" // | is a BIGINT on MariaDB too
		case kindJSON:
			if mariadb {
				s.op = opText
			}
		}
		p.steps[i] = s
		list = append(list, expression)
	}
	p.list = strings.Join(list, ", ")
	return p, nil
}

// layWireInteger: integers lie as in the log, but MEDIUMINT in four bytes.
func (s *step) layWireInteger(c *Column) {
	s.layInteger(&mapColumn{}, c)
	switch s.op {
	case opInt24:
		s.op, s.width = opInt32, 4
	case opUint24:
		s.op, s.width = opUint32, 4
	}
}

// decode decodes one packet of a result's rows into r. Text and bytes in r may
// point into the packet.
func (p *rowReader) decode(r *cdc.Row, packet []byte) error {
	r.Reset(p.table.Value)
	for range p.extra {
		r.Values = append(r.Values, cdc.Value{})
	}
	const reserved = 2 // bits in front of the first column's
	c := cursor{b: packet}
	if c.u8() != 0 {
		return fmt.Errorf("%w: no row of the binary protocol", errMalformed)
	}
	nulls := c.take((len(p.steps) + 7 + reserved) / 8)
	if c.bad {
		return errMalformed
	}
	for i := range p.steps {
		if bit := i + reserved; nulls[bit>>3]&(1<<(bit&7)) != 0 {
			continue
		}
		err := p.steps[i].decodeWire(r, &c)
		if err == nil && c.bad {
			err = errMalformed
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", p.table.Definition.Columns[p.table.Ordinals[i]].Name, err)
		}
	}
	return nil
}

// decodeWire decodes one value of the binary protocol.
func (s *step) decodeWire(r *cdc.Row, c *cursor) error {
	v := &r.Values[s.at]
	switch s.kind {
	case kindInt, kindFloat, kindDouble:
		n, err := s.decode(r, c.b)
		c.skip(n)
		return err
	case kindText:
		s.setText(r, v, c.text())
	case kindBinary:
		s.setBinary(r, v, c.text())
	case kindJSON:
		s.setJSON(r, v, c.text())
	case kindDecimal:
		return s.setDecimal(r, v, c.text())
	case kindEnum:
		return s.setEnum(v, c.u64())
	case kindSet:
		return s.setSet(r, v, c.u64())
	case kindYear:
		*v = cdc.Int(int64(c.u16()))
	case kindBit:
		s.setWireBits(r, v, c.text())
	case kindGeometry:
		return setGeometry(r, v, c.text(), s.op == opPoint)
	case kindVector:
		return setVector(r, v, c.text())
	case kindUUID, kindINET4, kindINET6:
		*v = cdc.String(c.text())
	case kindTime:
		s.setTime(r, v, wireTime(c))
	default:
		return s.decodeWireDate(r, v, c)
	}
	return nil
}

// decodeWireDate decodes DATE, DATETIME and TIMESTAMP.
func (s *step) decodeWireDate(r *cdc.Row, v *cdc.Value, c *cursor) error {
	day, us := wireDatetime(c)
	switch {
	case c.bad:
		return errMalformed
	case s.kind == kindDate:
		return s.setDate(r, v, day)
	case s.kind == kindDatetime:
		return s.setDatetime(r, v, day, us)
	case day.year == 0: // the zero date
		s.setTimestamp(r, v, 0, 0)
	default:
		seconds := daysOf(day.year, day.month, day.day)*secondsOfDay + us/1e6
		s.setTimestamp(r, v, seconds, us%1e6)
	}
	return nil
}

// wireDatetime reads a date and µs of the day; what is zero at the end is left
// out.
func wireDatetime(c *cursor) (day date, us int64) {
	n := c.u8()
	if n >= 4 {
		day = date{int(c.u16()), int(c.u8()), int(c.u8())}
	}
	if n >= 7 {
		us = (int64(c.u8())*3600 + int64(c.u8())*60 + int64(c.u8())) * 1e6
	}
	if n >= 11 {
		us += int64(c.u32())
	}
	c.bad = c.bad || n != 0 && n != 4 && n != 7 && n != 11 || day.month > 15
	return day, us
}

// wireTime reads a TIME in µs.
func wireTime(c *cursor) int64 {
	n := c.u8()
	if n == 0 {
		return 0
	}
	negative := c.u8() != 0
	us := int64(c.u32()) * secondsOfDay
	us = (us + int64(c.u8())*3600 + int64(c.u8())*60 + int64(c.u8())) * 1e6
	if n >= 12 {
		us += int64(c.u32())
	}
	c.bad = c.bad || n != 8 && n != 12
	if negative {
		return -us
	}
	return us
}

// setJSON stores the server's text in the form that the log's binary takes.
func (s *step) setJSON(r *cdc.Row, v *cdc.Value, text []byte) {
	if s.op == opText {
		*v = cdc.String(text)
		return
	}
	*v = cdc.String(r.Keep(appendCompactJSON(r.Tail(len(text)), text)))
}

// setDecimal stores a DECIMAL in the server's text, which ZEROFILL pads.
func (s *step) setDecimal(r *cdc.Row, v *cdc.Value, text []byte) error {
	switch s.op {
	case opDecimalText:
		for len(text) > 1 && text[0] == '0' && text[1] != '.' {
			text = text[1:]
		}
		*v = cdc.String(text)
	case opDecimalDouble:
		*v = cdc.Float64(parseDouble(text))
	default:
		var ok bool
		if *v, ok = parseDecimal(r, text, s.decimal.scale); !ok {
			return fmt.Errorf("%w: decimal %q", errMalformed, text)
		}
	}
	return nil
}

// setWireBits stores a BIT, which is big-endian.
func (s *step) setWireBits(r *cdc.Row, v *cdc.Value, b []byte) {
	if s.op == opBitBool {
		*v = cdc.Bool(len(b) > 0 && b[len(b)-1]&1 != 0)
		return
	}
	s.setBits(r, v, b)
}
