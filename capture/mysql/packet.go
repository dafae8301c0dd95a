package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// eventType is the type byte of a log event, as the server's sources name it.
type eventType uint8

const (
	queryEvent              eventType = 2
	stopEvent               eventType = 3
	rotateEvent             eventType = 4
	intvarEvent             eventType = 5
	appendBlockEvent        eventType = 9
	deleteFileEvent         eventType = 11
	randEvent               eventType = 13
	userVarEvent            eventType = 14
	formatDescriptionEvent  eventType = 15
	xidEvent                eventType = 16
	beginLoadQueryEvent     eventType = 17
	executeLoadQueryEvent   eventType = 18
	tableMapEvent           eventType = 19
	writeRowsV1Event        eventType = 23
	updateRowsV1Event       eventType = 24
	deleteRowsV1Event       eventType = 25
	incidentEvent           eventType = 26
	heartbeatEvent          eventType = 27
	ignorableEvent          eventType = 28
	rowsQueryEvent          eventType = 29
	writeRowsEvent          eventType = 30
	updateRowsEvent         eventType = 31
	deleteRowsEvent         eventType = 32
	gtidEvent               eventType = 33
	anonymousGTIDEvent      eventType = 34
	previousGTIDsEvent      eventType = 35
	transactionContextEvent eventType = 36
	viewChangeEvent         eventType = 37
	xaPrepareEvent          eventType = 38
	partialUpdateRowsEvent  eventType = 39
	payloadEvent            eventType = 40
	heartbeatV2Event        eventType = 41
	gtidTaggedEvent         eventType = 42

	// MariaDB's own.
	annotateRowsEvent           eventType = 160
	binlogCheckpointEvent       eventType = 161
	mariadbGTIDEvent            eventType = 162
	mariadbGTIDListEvent        eventType = 163
	startEncryptionEvent        eventType = 164
	queryCompressedEvent        eventType = 165
	writeRowsCompressedV1Event  eventType = 166
	updateRowsCompressedV1Event eventType = 167
	deleteRowsCompressedV1Event eventType = 168
	writeRowsCompressedEvent    eventType = 169
	updateRowsCompressedEvent   eventType = 170
	deleteRowsCompressedEvent   eventType = 171
)

// eventKind is what an event means to the capture, whichever of the servers'
// event types carried it.
type eventKind uint8

const (
	eventOther         eventKind = iota // nothing that the capture has to know
	eventFormat                         // a log file begins: event.format
	eventRotate                         // event.rotate
	eventStop                           // the server was stopped; the next file follows
	eventPreviousGTIDs                  // what is in the files before: event.data, see parsePreviousGTIDs
	eventGTIDList                       // the same of MariaDB: event.data, see parseGTIDList
	eventGTID                           // a transaction begins: event.gtid
	eventQuery                          // event.query
	eventXID                            // a transaction commits
	eventXAPrepare                      // an XA transaction is prepared, or commits in one phase: event.xa
	eventTableMap                       // event.table
	eventRows                           // event.rows
	eventRowsQuery                      // the statement behind the rows that follow: event.data, UTF-8 or not
	eventPayload                        // a compressed transaction: parser.payload
	eventHeartbeat                      // event.rotate is how far the log was read
	eventIncident                       // the log has a gap: event.data says why
	eventStatement                      // statement-based replication of a change of rows
)

// The flags of an event's header that matter here.
const (
	flagInUse     = 0x01 // of a format description: the file is being written
	flagIgnorable = 0x80
)

const (
	fileHeaderSize  = 4 // of a log file, before its first event
	eventHeaderSize = 19
	checksumSize    = 4
)

// event is one event of the log, parsed. It is valid, and all it points to,
// until the parser's next call; only the members that its kind names mean
// anything.
type event struct {
	kind     eventKind
	typ      eventType
	flags    uint16
	serverID uint32
	seconds  uint32 // since the epoch, when the statement began; 0 for events made up for the connection
	// start and end are the event's place in its file, beyond 4 GiB too. An
	// event in a payload has the payload's. end is 0 for events that are in no
	// file.
	start, end uint64

	format formatDescription
	rotate logPosition
	gtid   gtidHeader
	query  query
	xa     xaPrepare
	table  *tableEntry
	rows   rows
	data   []byte
}

// logPosition is a place in the log: of a rotate event where it goes on, of a
// heartbeat how far it was read.
type logPosition struct {
	file []byte
	pos  uint64
}

// xaPrepare is the end of the first phase of an XA transaction.
type xaPrepare struct {
	onePhase bool // it commits at once
	id       []byte
}

// formatDescription opens every log file.
type formatDescription struct {
	serverVersion string
	mariadb       bool
	checksum      bool // CRC32 at the end of every event
	// postHeaders are the sizes of the fixed part by event type, from type 1.
	postHeaders []byte
}

// parser parses the events of one log in its order. What it returns points
// into the packet given to it or into its own memory; nothing is allocated for
// an event whose table map was seen before.
type parser struct {
	tables  tableCache
	pos     uint64 // end of the last event
	ev      event
	format  formatDescription
	inflate inflater
	unpack  payloadReader
	xa      []byte
	head    [eventHeaderSize]byte
	inside  bool // within a payload
}

// newParser returns a parser that asks resolve for the plan of each table map
// it has not seen since the last forgetTables: nil for a table that is not
// captured. checksum is whether events carry a checksum before a format
// description says so: what was agreed with the server. The table map that
// resolve is given is its own to keep.
func newParser(checksum bool, resolve func(*tableMap) (*plan, error)) *parser {
	p := &parser{tables: tableCache{resolve: resolve, known: map[string]*tableEntry{}}}
	p.format.checksum = checksum
	return p
}

// forgetTables makes the parser ask for every plan again: after DDL.
func (p *parser) forgetTables() { clear(p.tables.known) }

// seek says where in its file the next event lies.
func (p *parser) seek(pos uint64) { p.pos = pos }

// parse parses one event: a header of 19 bytes, a body, and a checksum where
// the log has them. Its errors name type and position.
func (p *parser) parse(raw []byte) (*event, error) {
	e := &p.ev
	body, err := p.frame(e, raw)
	if err == nil {
		err = p.body(e, body)
	}
	if err != nil {
		return nil, fmt.Errorf("reading log event of type %d at position %d: %w", e.typ, e.start, err)
	}
	return e, nil
}

// frame reads the header and takes the checksum off.
func (p *parser) frame(e *event, raw []byte) (body []byte, err error) {
	if len(raw) < eventHeaderSize {
		return nil, errMalformed
	}
	e.kind = eventOther
	e.seconds = binary.LittleEndian.Uint32(raw)
	e.typ = eventType(raw[4])
	e.serverID = binary.LittleEndian.Uint32(raw[5:])
	size := binary.LittleEndian.Uint32(raw[9:])
	e.flags = binary.LittleEndian.Uint16(raw[17:])
	if p.inside {
		if uint64(size) != uint64(len(raw)) {
			return nil, errMalformed
		}
		return raw[eventHeaderSize:], nil
	}
	p.place(e, binary.LittleEndian.Uint32(raw[13:]), size)
	if uint64(size) != uint64(len(raw)) {
		return nil, fmt.Errorf("%w: the header says %d bytes, there are %d", errMalformed, size, len(raw))
	}
	if e.typ == formatDescriptionEvent {
		if err := p.parseFormat(raw); err != nil {
			return nil, err
		}
	}
	if !p.format.checksum {
		return raw[eventHeaderSize:], nil
	}
	if len(raw) < eventHeaderSize+checksumSize {
		return nil, errMalformed
	}
	raw, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if got, want := p.checksum(e, raw), binary.LittleEndian.Uint32(sum); got != want {
		return nil, fmt.Errorf("checksum is %08x, the log says %08x: damaged on disk or on the way", got, want)
	}
	return raw[eventHeaderSize:], nil
}

// place works out the event's position. The header has the low 32 bits of its
// end; a file may be longer, for a transaction is never split.
func (p *parser) place(e *event, low, size uint32) {
	e.start, e.end = p.pos, 0
	if low == 0 {
		return
	}
	end := p.pos&^0xffffffff | uint64(low)
	if end < p.pos && p.pos-end > 1<<31 {
		end += 1 << 32
	}
	if end >= uint64(size) {
		e.start = end - uint64(size)
	}
	e.end = end
}

// checksum is CRC32 over all but the checksum. A format description was summed up
// before it was marked as of a file in use.
func (p *parser) checksum(e *event, raw []byte) uint32 {
	if e.typ != formatDescriptionEvent || e.flags&flagInUse == 0 {
		return crc32.ChecksumIEEE(raw)
	}
	copy(p.head[:], raw)
	p.head[17] &^= flagInUse
	return crc32.Update(crc32.ChecksumIEEE(p.head[:]), crc32.IEEETable, raw[eventHeaderSize:])
}

// body parses what comes behind the header and moves the parser's position.
func (p *parser) body(e *event, b []byte) error {
	var err error
	switch e.typ {
	case tableMapEvent:
		e.kind = eventTableMap
		e.table, err = p.tables.add(b)
	case writeRowsV1Event, updateRowsV1Event, deleteRowsV1Event,
		writeRowsEvent, updateRowsEvent, deleteRowsEvent, partialUpdateRowsEvent:
		err = p.parseRows(e, b)
	case gtidEvent, anonymousGTIDEvent:
		e.kind = eventGTID
		err = e.gtid.parse(b, e.typ == anonymousGTIDEvent)
	case gtidTaggedEvent:
		e.kind = eventGTID
		err = e.gtid.parseTagged(b)
	case mariadbGTIDEvent:
		e.kind = eventGTID
		err = e.gtid.parseMariaDB(b, e.serverID)
	case queryEvent:
		e.kind = eventQuery
		err = e.query.parse(b)
	case xidEvent:
		e.kind = eventXID
	case payloadEvent:
		e.kind = eventPayload
		err = p.unpack.parse(b)
	case rotateEvent:
		err = p.parseRotate(e, b)
	default:
		err = p.rare(e, b)
	}
	if !p.inside {
		p.advance(e)
	}
	return err
}

// advance moves the parser behind e. A format description is sent again when
// reading starts in the middle of a file.
func (p *parser) advance(e *event) {
	switch e.kind {
	case eventRotate:
		p.pos = e.rotate.pos
	case eventHeartbeat:
		p.pos = max(p.pos, e.rotate.pos)
	case eventFormat:
		if p.pos <= fileHeaderSize && e.end != 0 {
			p.pos = e.end
		}
	default:
		if e.end != 0 {
			p.pos = e.end
		}
	}
}

// rare parses the types that are not in every transaction.
func (p *parser) rare(e *event, b []byte) error {
	switch e.typ {
	case formatDescriptionEvent:
		e.kind, e.format = eventFormat, p.format
	case stopEvent:
		e.kind = eventStop
	case previousGTIDsEvent:
		e.kind, e.data = eventPreviousGTIDs, b
	case mariadbGTIDListEvent:
		e.kind, e.data = eventGTIDList, b
	case xaPrepareEvent:
		return p.parseXAPrepare(e, b)
	case rowsQueryEvent: // a length that is cut to one byte, then the text
		if len(b) == 0 {
			return errMalformed
		}
		e.kind, e.data = eventRowsQuery, b[1:]
	case annotateRowsEvent:
		e.kind, e.data = eventRowsQuery, b
	case heartbeatEvent:
		e.kind, e.rotate = eventHeartbeat, logPosition{b, e.end}
	case heartbeatV2Event:
		return parseHeartbeat(e, b)
	case incidentEvent:
		c := cursor{b: b}
		c.skip(2)
		e.kind, e.data = eventIncident, c.take(int(c.u8()))
		return c.err()
	case queryCompressedEvent:
		return p.parseCompressedQuery(e, b)
	case writeRowsCompressedV1Event, updateRowsCompressedV1Event, deleteRowsCompressedV1Event,
		writeRowsCompressedEvent, updateRowsCompressedEvent, deleteRowsCompressedEvent:
		return p.parseRows(e, b)
	case intvarEvent, randEvent, userVarEvent: // of the statement that follows
	case appendBlockEvent, deleteFileEvent, beginLoadQueryEvent, executeLoadQueryEvent:
		e.kind = eventStatement
	case startEncryptionEvent:
		return errors.New("the log file is encrypted and can only be read through the server")
	case ignorableEvent, transactionContextEvent, viewChangeEvent, binlogCheckpointEvent:
	default:
		if e.flags&flagIgnorable == 0 {
			return errors.New("events of this type are not known, and the event does not say that it can be ignored")
		}
	}
	return nil
}

// parseFormat reads a format description before its checksum can be checked,
// for it says whether there is one.
func (p *parser) parseFormat(raw []byte) error {
	c := cursor{b: raw[eventHeaderSize:]}
	version := c.u16()
	server := c.take(50)
	c.skip(4)
	size := c.u8()
	if c.bad || len(c.b) < checksumSize+1 {
		return errMalformed
	}
	if version != 4 || size != eventHeaderSize {
		return fmt.Errorf("log format version %d with event headers of %d bytes is not supported; 4 and %d are (MySQL 5.6 and newer)", version, size, eventHeaderSize)
	}
	server, _, _ = bytes.Cut(server, []byte{0})
	algorithm := c.b[len(c.b)-checksumSize-1]
	if algorithm > 1 {
		return fmt.Errorf("checksum algorithm %s is not known", strconv.Itoa(int(algorithm)))
	}
	if p.format.serverVersion != string(server) {
		p.format.serverVersion = string(server)
	}
	p.format.mariadb = bytes.Contains(server, []byte("MariaDB"))
	p.format.checksum = algorithm == 1
	p.format.postHeaders = append(p.format.postHeaders[:0], c.b[:len(c.b)-checksumSize-1]...)
	p.tables.mariadb = p.format.mariadb
	return nil
}

// parseRotate reads where the log goes on. A rotate event that is in no file
// opens a connection.
func (p *parser) parseRotate(e *event, b []byte) error {
	c := cursor{b: b}
	e.kind = eventRotate
	e.rotate.pos = c.u64()
	e.rotate.file = c.b
	p.tables.endStatement()
	return c.err()
}

// parseHeartbeat reads a heartbeat of version 2, whose position is not cut to
// 32 bits: fields of type, length and content until type 0.
func parseHeartbeat(e *event, b []byte) error {
	e.kind, e.rotate = eventHeartbeat, logPosition{}
	c := cursor{b: b}
	for !c.bad {
		typ := c.u8()
		if typ == 0 {
			break
		}
		field := cursor{b: c.text()}
		switch typ {
		case 1:
			e.rotate.file = field.b
		case 2:
			e.rotate.pos = field.packed()
			c.bad = c.bad || field.bad
		}
	}
	return c.err()
}

// parseXAPrepare makes the transaction's id the text that XA COMMIT and XA
// ROLLBACK name it by in the log.
func (p *parser) parseXAPrepare(e *event, b []byte) error {
	c := cursor{b: b}
	e.kind = eventXAPrepare
	e.xa.onePhase = c.u8() != 0
	format, global, branch := c.u32(), c.u32(), c.u32()
	if c.bad || uint64(global)+uint64(branch) > uint64(len(c.b)) {
		return errMalformed
	}
	p.xa = appendXAID(p.xa[:0], c.take(int(global)), c.take(int(branch)), format)
	e.xa.id = p.xa
	return nil
}

// appendXAID appends X'6731',X”,1.
func appendXAID(dst, global, branch []byte, format uint32) []byte {
	for _, part := range [...][]byte{global, branch} {
		dst = append(dst, 'X', '\'')
		for _, c := range part {
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		dst = append(dst, '\'', ',')
	}
	return strconv.AppendUint(dst, uint64(format), 10)
}

const hexDigits = "0123456789abcdef"
