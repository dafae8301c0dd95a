package mysql

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// gtidHeader is the event that opens a transaction.
type gtidHeader struct {
	// Of MySQL: the transaction is uuid:tag:number; all zero where anonymous,
	// which is what a server without GTIDs writes.
	anonymous bool
	uuid      [16]byte
	tag       []byte // empty: none
	number    int64
	// Of MariaDB: domain-server-sequence.
	mariadb        bool
	domain, server uint32
	sequence       uint64

	// originalMicros is the commit's time at the server it was first made on,
	// immediateMicros at the server that wrote this log, µs since the epoch; 0
	// where the log does not say (MariaDB, MySQL before 8.0).
	originalMicros, immediateMicros uint64
	// size is the transaction's in bytes, this event included; 0 if unknown.
	size uint64
	// standalone says that no commit follows: the transaction is one statement.
	// ddl says that it is DDL. MariaDB only.
	standalone, ddl bool
	// pendingAlter says that the statement is an ALTER TABLE that has only begun,
	// or was given up: of binlog_alter_two_phase. MariaDB only.
	pendingAlter bool
	// preparedXA and completedXA say that the transaction is the first or the
	// second phase of the XA transaction xa, in the form of xaPrepare.id.
	// MariaDB only.
	preparedXA, completedXA bool
	xa                      []byte

	text []byte // xa's memory
}

// appendText appends the transaction's id as the server writes it; nothing for
// an anonymous one.
func (g *gtidHeader) appendText(dst []byte) []byte {
	if g.mariadb {
		dst = append(strconv.AppendUint(dst, uint64(g.domain), 10), '-')
		dst = append(strconv.AppendUint(dst, uint64(g.server), 10), '-')
		return strconv.AppendUint(dst, g.sequence, 10)
	}
	if g.anonymous {
		return dst
	}
	dst = append(appendUUID(dst, &g.uuid), ':')
	if len(g.tag) > 0 {
		dst = append(append(dst, g.tag...), ':')
	}
	return strconv.AppendInt(dst, g.number, 10)
}

func appendUUID(dst []byte, u *[16]byte) []byte {
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// keep returns a copy of g that stays valid, in the memory of old, which it
// replaces.
func (g *gtidHeader) keep(old gtidHeader) gtidHeader {
	out := *g
	out.text = append(append(old.text[:0], g.tag...), g.xa...)
	out.tag, out.xa = out.text[:len(g.tag)], out.text[len(g.tag):]
	return out
}

// reset keeps the memory.
func (g *gtidHeader) reset() { *g = gtidHeader{text: g.text[:0]} }

// parse reads a GTID event. Everything behind the number came with a later
// version and may be missing.
func (g *gtidHeader) parse(b []byte, anonymous bool) error {
	g.reset()
	c := cursor{b: b}
	c.skip(1)
	copy(g.uuid[:], c.take(16))
	g.number = int64(c.u64())
	g.anonymous = anonymous
	if c.bad {
		return errMalformed
	}
	if len(c.b) < 1+16+7 || c.u8() != 2 { // 2: logical timestamps
		return nil
	}
	c.skip(16)
	const original = 1 << 55 // there is a second timestamp
	g.immediateMicros = c.uint(7)
	g.originalMicros = g.immediateMicros
	if g.immediateMicros&original != 0 {
		g.immediateMicros &^= original
		g.originalMicros = c.uint(7)
	}
	if len(c.b) > 0 {
		g.size = c.packed()
	}
	return c.err()
}

// The fields of a tagged GTID event by their number; the numbers are stable,
// readers skip what they do not know.
const (
	taggedFlags = iota
	taggedUUID
	taggedNumber
	taggedTag
	taggedLastCommitted
	taggedSequence
	taggedImmediateTime
	taggedOriginalTime
	taggedSize
	taggedImmediateVersion
	taggedOriginalVersion
	taggedTicket
)

// parseTagged reads a GTID event of MySQL 8.3 and newer, which is written by
// the server's library mysql::serialization: fields with their number in front,
// in order, absent ones left out, all integers of variable length.
func (g *gtidHeader) parseTagged(b []byte) error {
	g.reset()
	c := cursor{b: b}
	version := c.varUint()
	c.varUint() // size
	c.varUint() // the last field that a reader has to know
	if !c.bad && version != 1 {
		return fmt.Errorf("serialization version %d is not known", version)
	}
	original := false
	for len(c.b) > 0 && !c.bad {
		switch field := c.varUint(); field {
		case taggedFlags:
			c.varUint()
		case taggedUUID:
			for i := range g.uuid { // each byte is a number of its own
				g.uuid[i] = byte(c.varUint())
			}
		case taggedNumber:
			g.number = c.varInt()
		case taggedTag:
			g.tag = c.varText()
		case taggedLastCommitted, taggedSequence:
			c.varInt()
		case taggedImmediateTime:
			g.immediateMicros = c.varUint()
		case taggedOriginalTime:
			g.originalMicros, original = c.varUint(), true
		case taggedSize:
			g.size = c.varUint()
		case taggedImmediateVersion, taggedOriginalVersion, taggedTicket:
			c.varUint()
		default: // of a later version; its size is not said, but it is behind all that matters
			c.b = nil
		}
	}
	if !original {
		g.originalMicros = g.immediateMicros
	}
	return c.err()
}

// varUint reads an integer of 1 to 9 bytes: as many ones at the low end of the
// first byte as bytes follow it.
func (c *cursor) varUint() uint64 {
	first := c.u8()
	more := 0
	for more < 8 && first&(1<<more) != 0 {
		more++
	}
	rest := c.take(more)
	if c.bad {
		return 0
	}
	if more >= 7 { // nothing of the number is in the first byte
		return littleEndian(rest)
	}
	return littleEndian(rest)<<(7-more) | uint64(first)>>(more+1)
}

// varInt reads a signed integer: its sign is in the lowest bit, negative ones
// are complemented.
func (c *cursor) varInt() int64 {
	u := c.varUint()
	if u&1 != 0 {
		return int64(^(u >> 1))
	}
	return int64(u >> 1)
}

func (c *cursor) varText() []byte {
	n := c.varUint()
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	return c.take(int(n))
}

// The flags of MariaDB's GTID event.
const (
	mariadbStandalone  = 1
	mariadbGroupCommit = 2
	mariadbDDL         = 32
	mariadbPreparedXA  = 64
	mariadbCompletedXA = 128

	// Of the byte of flags behind.
	mariadbStartAlter    = 2
	mariadbRollbackAlter = 8
)

func (g *gtidHeader) parseMariaDB(b []byte, server uint32) error {
	g.reset()
	c := cursor{b: b}
	g.mariadb, g.server = true, server
	g.sequence, g.domain = c.u64(), c.u32()
	flags := c.u8()
	g.standalone, g.ddl = flags&mariadbStandalone != 0, flags&mariadbDDL != 0
	g.preparedXA, g.completedXA = flags&mariadbPreparedXA != 0, flags&mariadbCompletedXA != 0
	if flags&mariadbGroupCommit != 0 {
		c.skip(8)
	}
	if g.preparedXA || g.completedXA {
		format, global, branch := c.u32(), c.u8(), c.u8()
		g.text = appendXAID(g.text[:0], c.take(int(global)), c.take(int(branch)), format)
		g.xa = g.text
	}
	err := c.err()
	if len(c.b) > 0 { // since 10.5
		g.pendingAlter = c.u8()&(mariadbStartAlter|mariadbRollbackAlter) != 0
	}
	return err
}

// gtidSet is a set of MySQL's transactions: intervals by server and tag, sorted
// by both. The zero value is empty.
type gtidSet struct {
	groups []gtidGroup
	last   int // where add was last
}

type gtidGroup struct {
	uuid      [16]byte
	tag       string
	intervals []gtidInterval // sorted, apart
}

// gtidInterval is first, first+1 … last.
type gtidInterval struct{ first, last int64 }

// find returns where the group is, or would be.
func (s *gtidSet) find(uuid *[16]byte, tag []byte) (int, bool) {
	if s.last < len(s.groups) {
		if g := &s.groups[s.last]; g.uuid == *uuid && g.tag == string(tag) {
			return s.last, true
		}
	}
	for i := range s.groups {
		g := &s.groups[i]
		c := bytes.Compare(g.uuid[:], uuid[:])
		if c == 0 {
			c = strings.Compare(g.tag, string(tag))
		}
		if c >= 0 {
			return i, c == 0
		}
	}
	return len(s.groups), false
}

// group returns the group, made if there is none.
func (s *gtidSet) group(uuid *[16]byte, tag []byte) *gtidGroup {
	i, ok := s.find(uuid, tag)
	if !ok {
		s.groups = slices.Insert(s.groups, i, gtidGroup{uuid: *uuid, tag: string(tag)})
	}
	s.last = i
	return &s.groups[i]
}

// add adds the transaction that h opens, unless it is anonymous. It allocates
// only for a server or a tag that the set has not seen.
func (s *gtidSet) add(h *gtidHeader) {
	if h.anonymous || h.mariadb {
		return
	}
	g := s.group(&h.uuid, h.tag)
	if n := len(g.intervals); n > 0 && g.intervals[n-1].last+1 == h.number {
		g.intervals[n-1].last++
		return
	}
	g.add(gtidInterval{h.number, h.number})
}

// add merges in v.
func (g *gtidGroup) add(v gtidInterval) {
	from, _ := slices.BinarySearchFunc(g.intervals, v.first, func(i gtidInterval, first int64) int {
		return cmp.Compare(i.last, first-1) // the first that touches v or is behind it
	})
	to := from
	for to < len(g.intervals) && g.intervals[to].first <= v.last+1 {
		v.first, v.last = min(v.first, g.intervals[to].first), max(v.last, g.intervals[to].last)
		to++
	}
	if to == from+1 {
		g.intervals[from] = v
		return
	}
	g.intervals = slices.Replace(g.intervals, from, to, v)
}

// has reports whether the transaction that h opens is in the set.
func (s *gtidSet) has(h *gtidHeader) bool {
	i, ok := s.find(&h.uuid, h.tag)
	return ok && s.groups[i].covers(gtidInterval{h.number, h.number})
}

func (g *gtidGroup) covers(v gtidInterval) bool {
	i, _ := slices.BinarySearchFunc(g.intervals, v.first, func(i gtidInterval, first int64) int {
		return cmp.Compare(i.last, first)
	})
	return i < len(g.intervals) && g.intervals[i].first <= v.first && v.last <= g.intervals[i].last
}

// contains reports whether all of o is in s.
func (s *gtidSet) contains(o *gtidSet) bool {
	for i := range o.groups {
		g := &o.groups[i]
		at, ok := s.find(&g.uuid, []byte(g.tag))
		for _, v := range g.intervals {
			if !ok || !s.groups[at].covers(v) {
				return false
			}
		}
	}
	return true
}

// equal reports whether both have the same transactions.
func (s *gtidSet) equal(o *gtidSet) bool { return s.contains(o) && o.contains(s) }

// empty reports whether there is no transaction in s.
func (s *gtidSet) empty() bool { return len(s.groups) == 0 }

// union adds all of o to s.
func (s *gtidSet) union(o *gtidSet) {
	for i := range o.groups {
		g := s.group(&o.groups[i].uuid, []byte(o.groups[i].tag))
		for _, v := range o.groups[i].intervals {
			g.add(v)
		}
	}
}

// intersection returns what is in both.
func (s *gtidSet) intersection(o *gtidSet) *gtidSet {
	out := &gtidSet{}
	for i := range s.groups {
		g := &s.groups[i]
		at, ok := o.find(&g.uuid, []byte(g.tag))
		if !ok {
			continue
		}
		for _, a := range g.intervals {
			for _, b := range o.groups[at].intervals {
				if first, last := max(a.first, b.first), min(a.last, b.last); first <= last {
					out.group(&g.uuid, []byte(g.tag)).add(gtidInterval{first, last})
				}
			}
		}
	}
	return out
}

// difference returns what is in s and not in o.
func (s *gtidSet) difference(o *gtidSet) *gtidSet {
	out := &gtidSet{}
	for i := range s.groups {
		g := &s.groups[i]
		var holes []gtidInterval
		if at, ok := o.find(&g.uuid, []byte(g.tag)); ok {
			holes = o.groups[at].intervals
		}
		for _, v := range g.intervals {
			for _, h := range holes {
				if h.last < v.first || h.first > v.last {
					continue
				}
				if v.first < h.first {
					out.group(&g.uuid, []byte(g.tag)).add(gtidInterval{v.first, h.first - 1})
				}
				v.first = h.last + 1
			}
			if v.first <= v.last {
				out.group(&g.uuid, []byte(g.tag)).add(v)
			}
		}
	}
	return out
}

// clone returns a copy that shares no memory.
func (s *gtidSet) clone() *gtidSet {
	out := &gtidSet{groups: slices.Clone(s.groups)}
	for i := range out.groups {
		out.groups[i].intervals = slices.Clone(out.groups[i].intervals)
	}
	return out
}

// String is the set as the server writes it.
func (s *gtidSet) String() string { return string(s.append(nil)) }

// append appends the set as the server writes it, on one line.
func (s *gtidSet) append(dst []byte) []byte {
	for i := range s.groups {
		g := &s.groups[i]
		switch {
		case i > 0 && s.groups[i-1].uuid == g.uuid:
		case i > 0:
			dst = appendUUID(append(dst, ','), &g.uuid)
		default:
			dst = appendUUID(dst, &g.uuid)
		}
		if g.tag != "" {
			dst = append(append(dst, ':'), g.tag...)
		}
		for _, v := range g.intervals {
			dst = strconv.AppendInt(append(dst, ':'), v.first, 10)
			if v.last > v.first {
				dst = strconv.AppendInt(append(dst, '-'), v.last, 10)
			}
		}
	}
	return dst
}

// parseGTIDSet reads a set as MySQL writes it, or as a person does: white
// space, any order, overlaps.
func parseGTIDSet(text string) (*gtidSet, error) {
	out := &gtidSet{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if err := out.parseServer(part); err != nil {
			return nil, fmt.Errorf("reading GTID set %q: %w", part, err)
		}
	}
	return out, nil
}

// parseServer reads uuid:1-5:7:tag:1-3.
func (s *gtidSet) parseServer(text string) error {
	parts := strings.Split(text, ":")
	uuid, err := parseUUID(strings.TrimSpace(parts[0]))
	if err != nil {
		return err
	}
	tag, fresh := "", true // fresh: no interval of tag was read
	for _, part := range parts[1:] {
		part = strings.ToLower(strings.TrimSpace(part))
		if isTag(part) {
			tag, fresh = part, true
			continue
		}
		v, err := parseInterval(part)
		if err != nil {
			return err
		}
		s.group(&uuid, []byte(tag)).add(v)
		fresh = false
	}
	if fresh {
		return fmt.Errorf("%w: no interval", errMalformed)
	}
	return nil
}

// isTag: a letter or underscore, then also digits, at most 32.
func isTag(s string) bool {
	if s == "" || len(s) > 32 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func parseUUID(text string) (u [16]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("%w: %q is no UUID", errMalformed, text)
	}
	return [16]byte(b), nil
}

func parseInterval(text string) (v gtidInterval, err error) {
	first, last, span := strings.Cut(text, "-")
	if v.first, err = strconv.ParseInt(strings.TrimSpace(first), 10, 64); err != nil {
		return v, fmt.Errorf("%w: %q is no interval", errMalformed, text)
	}
	v.last = v.first
	if span {
		v.last, err = strconv.ParseInt(strings.TrimSpace(last), 10, 64)
	}
	if err != nil || v.first < 1 || v.last < v.first || v.last == 1<<63-1 {
		return v, fmt.Errorf("%w: %q is no interval", errMalformed, text)
	}
	return v, nil
}

// parsePreviousGTIDs reads the set in an event of eventPreviousGTIDs.
func parsePreviousGTIDs(b []byte) (*gtidSet, error) {
	c := cursor{b: b}
	out := &gtidSet{}
	count := c.u64()
	tagged := count>>56 == 1 // the format is in both end bytes
	if tagged {
		count = count << 8 >> 16
	}
	for ; count > 0 && !c.bad; count-- {
		var uuid [16]byte
		copy(uuid[:], c.take(16))
		var tag []byte
		if tagged {
			tag = c.varText()
		}
		for n := c.u64(); n > 0 && !c.bad; n-- {
			v := gtidInterval{int64(c.u64()), int64(c.u64()) - 1}
			if v.first < 1 || v.last < v.first {
				return nil, errMalformed
			}
			out.group(&uuid, tag).add(v)
		}
	}
	return out, c.err()
}

// appendBinary appends the set as parsePreviousGTIDs reads it and as
// COM_BINLOG_DUMP_GTID sends it: in the older format where there is no tag.
func (s *gtidSet) appendBinary(dst []byte) []byte {
	tagged := slices.ContainsFunc(s.groups, func(g gtidGroup) bool { return g.tag != "" })
	count := uint64(len(s.groups))
	if tagged {
		count = count<<8 | 1<<56 | 1
	}
	dst = binary.LittleEndian.AppendUint64(dst, count)
	for i := range s.groups {
		g := &s.groups[i]
		dst = append(dst, g.uuid[:]...)
		if tagged {
			dst = append(append(dst, byte(len(g.tag))<<1), g.tag...)
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(g.intervals)))
		for _, v := range g.intervals {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v.first))
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v.last+1))
		}
	}
	return dst
}

// mariadbGTID is domain-server-sequence.
type mariadbGTID struct {
	domain, server uint32
	sequence       uint64
}

// gtidList is a place in MariaDB's log: the last transaction of each domain, by
// domain. The zero value is the log's very beginning.
type gtidList []mariadbGTID

// add moves the place behind the transaction that h opens. It allocates only
// for a domain that the list has not seen.
func (l *gtidList) add(h *gtidHeader) {
	if h.mariadb {
		l.put(mariadbGTID{h.domain, h.server, h.sequence})
	}
}

func (l *gtidList) put(g mariadbGTID) {
	i, ok := l.find(g.domain)
	if ok {
		(*l)[i] = g
		return
	}
	*l = slices.Insert(*l, i, g)
}

func (l gtidList) find(domain uint32) (int, bool) {
	return slices.BinarySearchFunc(l, domain, func(g mariadbGTID, d uint32) int { return cmp.Compare(g.domain, d) })
}

// contains reports whether l is, in every domain of o, at or behind o. Sequence
// numbers grow within a domain, whichever server writes.
func (l gtidList) contains(o gtidList) bool {
	for _, g := range o {
		if i, ok := l.find(g.domain); !ok || l[i].sequence < g.sequence {
			return false
		}
	}
	return true
}

// has reports whether the transaction that h opens is at or before l.
func (l gtidList) has(h *gtidHeader) bool {
	i, ok := l.find(h.domain)
	return ok && l[i].sequence >= h.sequence
}

// String is the list as the server writes it.
func (l gtidList) String() string { return string(l.append(nil)) }

func (l gtidList) append(dst []byte) []byte {
	for i, g := range l {
		if i > 0 {
			dst = append(dst, ',')
		}
		h := gtidHeader{mariadb: true, domain: g.domain, server: g.server, sequence: g.sequence}
		dst = h.appendText(dst)
	}
	return dst
}

// parseMariaDBGTIDs reads a list as MariaDB writes it: 0-1-5,1-1-7.
func parseMariaDBGTIDs(text string) (gtidList, error) {
	var out gtidList
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		var n [3]uint64
		fields := strings.Split(part, "-")
		if len(fields) != len(n) {
			return nil, fmt.Errorf("reading GTID %q: %w: domain-server-sequence is expected", part, errMalformed)
		}
		for i := range n {
			bits := 32
			if i == 2 {
				bits = 64
			}
			var err error
			if n[i], err = strconv.ParseUint(fields[i], 10, bits); err != nil {
				return nil, fmt.Errorf("reading GTID %q: %w: domain-server-sequence is expected", part, errMalformed)
			}
		}
		out.put(mariadbGTID{uint32(n[0]), uint32(n[1]), n[2]})
	}
	return out, nil
}

// parseGTIDList reads the list in an event of eventGTIDList. A domain is there
// once per server that ever wrote in it; the last of a domain is its newest.
func parseGTIDList(b []byte) (gtidList, error) {
	c := cursor{b: b}
	count := c.u32() & 0x0fffffff // the rest are flags
	var out gtidList
	for ; count > 0 && !c.bad; count-- {
		out.put(mariadbGTID{c.u32(), c.u32(), c.u64()})
	}
	if c.bad {
		return nil, errMalformed
	}
	return out, nil
}
