package mysql

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// seedLogs are the events of recorded logs, without checksums, one behind the
// other, about size bytes of each log.
func seedLogs(f testing.TB, size int) [][]byte {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(goldenFolder(), "*", "binlog", "*.[0-9]*"))
	if err != nil || len(files) == 0 {
		f.Fatal("no logs to start from: ", err)
	}
	var out [][]byte
	for _, file := range files {
		r, err := openFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var log []byte
		for len(log) < size {
			raw, err := r.next()
			if err != nil {
				break
			}
			if len(raw) > size/2 {
				continue
			}
			if raw[4] != byte(formatDescriptionEvent) {
				log = append(log, plainEvent(eventType(raw[4]), 0, 0, raw[eventHeaderSize:len(raw)-checksumSize]...)...)
			}
		}
		r.close()
		out = append(out, log)
	}
	return out
}

// FuzzLog reads what looks like a log, tables by its own metadata, and must
// neither panic nor hang.
func FuzzLog(f *testing.F) {
	for i, log := range seedLogs(f, 3_000) {
		f.Add(log, uint8(i))
	}
	f.Fuzz(func(_ *testing.T, log []byte, flags uint8) { readAnyLog(log, flags) })
}

// TestDamagedLogs reads recorded logs in which bytes were changed behind the
// checksums' back, which reaches further than fuzzing does in a short time.
func TestDamagedLogs(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for i, log := range seedLogs(t, 12_000) {
		for range 300 {
			damaged := bytes.Clone(log)
			for range 1 + r.IntN(6) {
				damaged[r.IntN(len(damaged))] = byte([]uint32{0, 1, 0x7f, 0x80, 0xff, r.Uint32()}[r.IntN(6)])
			}
			readAnyLog(damaged, uint8(i))
		}
	}
}

// readAnyLog reads events that lie one behind the other; the flags choose the
// server and the options.
func readAnyLog(log []byte, flags uint8) {
	o := &liveOptions[int(flags>>1)%len(liveOptions)]
	p := newParser(false, func(m *tableMap) (*plan, error) {
		d, err := m.definition()
		if err != nil {
			return nil, nil
		}
		s, err := NewTableSchema(d, &SchemaOptions{Values: *o})
		if err != nil {
			return nil, nil
		}
		return newPlan(s, m, o)
	})
	p.tables.mariadb = flags&1 != 0
	var before, after cdc.Row
	var c change
	var handle func(e *event) error
	handle = func(e *event) error {
		switch e.kind {
		case eventPayload:
			return p.payload(handle)
		case eventRows:
			for {
				if more, err := e.rows.next(&c, &before, &after); err != nil || !more {
					return err
				}
				before.Size()
				after.Size()
			}
		case eventQuery:
			e.query.kind()
			e.query.xaID()
			_ = e.query.text()
		case eventGTID:
			e.gtid.appendText(nil)
		case eventPreviousGTIDs:
			_, _ = parsePreviousGTIDs(e.data)
		case eventGTIDList:
			_, _ = parseGTIDList(e.data)
		}
		return nil
	}
	_ = splitEvents(log, func(raw []byte) error {
		if e, err := p.parse(raw); err == nil {
			_ = handle(e)
		}
		return nil
	})
}

// FuzzJSON reads binary documents: what is read is valid JSON, and stays it
// under changes.
func FuzzJSON(f *testing.F) {
	c := loadCorpus()
	var base [][]byte
	for _, raw := range c.events[:200] {
		e, err := c.parser.parse(raw)
		if err != nil || e.kind != eventRows {
			continue
		}
		if doc, err := e.rows.table.plan.raw(9, e.rows.present, e.rows.images); err == nil && len(doc) > 4 {
			base = append(base, append([]byte(nil), doc[4:]...))
		}
	}
	if len(base) < 10 {
		f.Fatal("no documents to start from")
	}
	for _, doc := range base[:10] {
		f.Add(doc, []byte("\x00\x07$.color\x03\x0c\x01x"))
		f.Add(doc, []byte("\x02\x09$.tags[1]\x01\x09$.tags[0]\x03\x05\x01\x00"))
		f.Add(doc, []byte("\x01\x0a$.\"a\\\"b\" \x03\x05\x01\x00\x00\x0c$.tags[last]\x02\x04\x00"))
	}
	f.Fuzz(func(t *testing.T, doc, diffs []byte) {
		if text, err := appendJSON(nil, doc); err == nil {
			if !json.Valid(text) {
				t.Errorf("%q is no JSON", text)
			}
			if compact := appendCompactJSON(nil, text); string(compact) != string(text) {
				t.Errorf("%q becomes %q", text, compact)
			}
		}
		if text, err := appendPatchedJSON(nil, doc, diffs); err == nil && !json.Valid(text) {
			t.Errorf("%q is no JSON", text)
		}
	})
}

// FuzzPacket reads rows of the binary protocol.
func FuzzPacket(f *testing.F) {
	c := loadCorpus()
	for _, p := range c.packets[:20] {
		f.Add(p)
	}
	reader := corpusReader()
	var row cdc.Row
	f.Fuzz(func(t *testing.T, packet []byte) {
		if err := reader.decode(&row, packet); err == nil && len(row.Values) != 12 {
			t.Error(row.Values)
		}
	})
}

// FuzzGTIDSet reads GTID sets: what is read is printed as what is read again.
func FuzzGTIDSet(f *testing.F) {
	f.Add(uuidA + ":1-5:7:tag:3-4," + uuidB + ":9")
	f.Add("0-1-2,3-4-5")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseGTIDSet(text); err == nil {
			again, err := parseGTIDSet(s.String())
			if err != nil || again.String() != s.String() || !again.equal(s) {
				t.Errorf("%q is %s, then %s: %v", text, s, again, err)
			}
			binary, err := parsePreviousGTIDs(s.appendBinary(nil))
			if err != nil || !binary.equal(s) {
				t.Errorf("%q is %s, then %s: %v", text, s, binary, err)
			}
		}
		if l, err := parseMariaDBGTIDs(text); err == nil {
			again, err := parseMariaDBGTIDs(l.String())
			if err != nil || again.String() != l.String() || strings.Contains(l.String(), " ") {
				t.Errorf("%q is %s, then %s: %v", text, l, again, err)
			}
		}
	})
}
