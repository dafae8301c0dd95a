package mysql

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// FuzzColumn reads one value of a column of any type, in a rows event of any
// kind: numbers, decimals, dates, texts of every character set, geometries.
func FuzzColumn(f *testing.F) {
	for _, s := range []struct {
		typ   columnType
		meta  []byte
		image string
	}{
		{typeTiny, nil, "\x00\xff"}, {typeLongLong, nil, "\x00\xff\xff\xff\xff\xff\xff\xff\x7f"}, {typeDouble, []byte{8}, "\x00\x00\x00\x00\x00\x00\x00\xf8\x7f"},
		{typeNewDecimal, []byte{65, 30}, "\x00\x80" + string(make([]byte, 29))}, {typeBit, []byte{4, 1}, "\x00\x0f\xff"}, {typeYear, nil, "\x00\x7c"},
		{typeDate, nil, "\x00\x5f\xd0\x0f"}, {typeTime2, []byte{6}, "\x00\x00\x00\x00\x00\x00\x01"}, {typeDatetime2, []byte{3}, "\x00\x99\xb2\xbe\xfb\xbb\x27\x0f"},
		{typeTimestamp2, []byte{6}, "\x00\x65\x53\xf1\x00\x0f\x42\x3f"}, {typeVarchar, []byte{255, 0}, "\x00\x05h\xc3\x28\xff!"}, {typeString, []byte{254, 20}, "\x00\x03abc"},
		{typeString, []byte{247, 1}, "\x00\x02"}, {typeString, []byte{248, 1}, "\x00\x03"}, {typeBlob, []byte{2}, "\x00\x03\x00abc"},
		{typeGeometry, []byte{4}, "\x00\x19\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00" + string(make([]byte, 16))}, {typeJSON, []byte{4}, "\x00\x02\x00\x00\x00\x04\x01"},
		{typeVector, []byte{4}, "\x00\x08\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40"}, {typeVarcharCompressed, []byte{100, 0}, "\x00\x04\x00abc"},
		{typeDatetime, nil, "\x00\x01\x02\x03\x04\x05\x06\x07\x08"}, {typeTimestamp, nil, "\x00\x01\x02\x03\x04"}, {typeTime, nil, "\x00\x01\x02\x83"},
	} {
		for flags := range uint16(3) {
			f.Add(uint8(s.typ), s.meta, 45+80*flags, []byte(s.image), 37*flags)
		}
	}
	kinds := []eventType{writeRowsEvent, updateRowsEvent, deleteRowsEvent, partialUpdateRowsEvent, writeRowsCompressedEvent}
	f.Fuzz(func(_ *testing.T, typ uint8, meta []byte, collation uint16, image []byte, flags uint16) {
		if len(meta) > 200 {
			return
		}
		table := append(make([]byte, tableHeaderSize), 1, 'd', 0, 1, 't', 0, 1, typ, byte(len(meta)))
		table = append(append(table, meta...), 1)
		table = append(table, metaSigns, 1, byte(flags>>8), metaDefaultCharset, 3, 0xfc, byte(collation), byte(collation>>8), metaNames, 2, 1, 'c')
		table = append(table, metaChoiceDefaultCharset, 3, 0xfc, byte(collation), byte(collation>>8), metaEnumChoices, 5, 2, 1, 'x', 1, 0xff, metaSetChoices, 5, 2, 1, 'y', 1, 'z')
		kind := kinds[int(flags>>4)%len(kinds)]
		rows := append(make([]byte, 8), 2, 0, 1, 1)
		if rowsShapes[kind].op == 'u' {
			rows = append(rows, 1)
		}
		rows[6] = rowsStatementEnd
		log := plainEvent(tableMapEvent, 0, 0, table...)
		readAnyLog(append(log, plainEvent(kind, 0, 0, append(rows, image...)...)...), uint8(flags))
	})
}

// FuzzCharset makes UTF-8 of any bytes in any character set.
func FuzzCharset(f *testing.F) {
	var names []string
	for name := range charsets() {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range names {
		f.Add(uint8(i), []byte("a\x80\xff\xa4\xa2\xd8\x00\xdc\x00\x00\x01\xf6"))
	}
	f.Fuzz(func(t *testing.T, i uint8, text []byte) {
		c := charsets()[names[int(i)%len(names)]]
		if c.utf8 || c.binary {
			return
		}
		if out := c.appendUTF8([]byte("x"), text); !utf8.Valid(out) || out[0] != 'x' {
			t.Errorf("%s: %q becomes %q", c.name, text, out)
		}
	})
}

// FuzzStored reads what was stored of definitions and positions: it is refused,
// or serves.
func FuzzStored(f *testing.F) {
	h := newHistory(&SchemaOptions{Prefix: "p"}, false)
	s := &ddlSession{database: "d"}
	h.load([]byte(`{"file":"b.1","pos":4}`), 1, ddlLocale{"utf8mb4", "utf8mb4_bin"}, map[string]ddlLocale{"d": {"latin1", "latin1_bin"}}, nil)
	h.apply([]byte(`{"file":"b.1","pos":9}`), 2, "CREATE TABLE t (a INT PRIMARY KEY, b ENUM('x','y') DEFAULT 'y', c DECIMAL(9,2), d DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3))", s)
	for _, b := range h.Entries() {
		f.Add(b)
	}
	f.Add((&position{File: "b.1", Pos: 4, GTIDs: uuidA + ":1-5", Prepared: &position{File: "b.1"}}).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePosition(b); err == nil {
			if again, err := parsePosition(p.marshal()); err != nil || again.compare(&p) != 0 {
				t.Errorf("%s becomes %s: %v", b, p.marshal(), err)
			}
		}
		h := newHistory(&SchemaOptions{Prefix: "p"}, false)
		start := []byte(`{"seq":0,"at":{},"start":true,"charset":"utf8mb4","collation":"utf8mb4_bin"}`)
		if h.restore(map[string][]byte{historyPrefix + "0": start, historyPrefix + "1": b}, func([]byte) bool { return true }) != nil {
			return
		}
		h.apply([]byte(`{}`), 3, "ALTER TABLE d.t ADD COLUMN z INT, RENAME COLUMN a TO k", &ddlSession{database: "d"})
		for _, name := range h.known() {
			_, _ = h.table(name.database, name.name)
		}
	})
}

// FuzzCompressed: what a server compresses is read again, in every form, and
// what none has compressed takes no more memory than it says nor than it has.
func FuzzCompressed(f *testing.F) {
	events := plainEvent(xidEvent, 0, 0, make([]byte, 8)...)
	f.Add([]byte("text"), uint64(4))
	f.Add(events, uint64(len(events)))
	f.Add(bytes.Repeat(events, 40_000), uint64(1<<40))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\xf8\x00"), uint64(9)) // a frame that asks for a window of gigabytes
	f.Fuzz(func(t *testing.T, b []byte, size uint64) {
		for _, compressed := range [][]byte{b, zstdOf(b)} {
			p := newParser(false, func(*tableMap) (*plan, error) { return nil, nil })
			payload := binary.LittleEndian.AppendUint64([]byte{payloadCompression, 1, payloadZstd, payloadUncompressedSize, 9, 0xfe}, size)
			if e, err := p.parse(plainEvent(payloadEvent, 0, 0, append(append(payload, payloadEnd), compressed...)...)); err == nil && e.kind == eventPayload {
				_ = p.payload(func(*event) error { return nil })
			}
		}
		var z inflater
		_, _ = z.record(b)
		if len(b) == 0 || len(b) > 1<<24 {
			return
		}
		head := binary.BigEndian.AppendUint32([]byte{0x84}, uint32(len(b)))
		if got, err := z.record(append(head, zlibOf(b)...)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q comes back as %q: %v", b, got, err)
		}
		if got, err := z.inflateRaw(nil, flateOf(b), len(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q comes back as %q: %v", b, got, err)
		}
	})
}

var zstdWriter, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))

func zstdOf(b []byte) []byte { return zstdWriter.EncodeAll(b, nil) }

func zlibOf(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func flateOf(b []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.DefaultCompression)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}
