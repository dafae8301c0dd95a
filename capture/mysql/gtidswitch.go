package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// completeGTIDs gives a position from before the server's GTIDs were switched on
// the transactions before it that have some already. Without them the next
// connection, which goes by GTIDs, would be sent these once more.
func (s *Source) completeGTIDs(ctx context.Context, p *position) error {
	if s.srv.mariadb || !s.srv.gtid {
		return nil
	}
	for ; p != nil; p = p.Prepared {
		if p.GTIDs != "" {
			continue
		}
		set, err := s.gtidsBefore(ctx, p)
		if err != nil {
			return fmt.Errorf("reading the GTIDs before %s:%d: %w", p.File, p.Pos, err)
		}
		p.GTIDs = set.String()
	}
	return nil
}

// gtidsBefore reads p's log file from its start: it begins with the GTIDs of all
// files before it.
func (s *Source) gtidsBefore(ctx context.Context, p *position) (*gtidSet, error) {
	conn := s.conn
	conn.ServerID = 1<<31 | rand.Uint32() // beside the stream's own, which it would end
	d, err := conn.openDump(ctx, false, start{file: p.File, pos: fileHeaderSize})
	if err != nil {
		return nil, unavailable(err)
	}
	defer d.Close()
	defer context.AfterFunc(ctx, func() { d.Close() })()
	parse := newParser(d.checksum, func(*tableMap) (*plan, error) { return nil, nil })
	parse.seek(fileHeaderSize)
	set := &gtidSet{}
	var buffer []byte
	for parse.pos < p.Pos {
		if buffer, err = d.event(buffer[:0]); err != nil {
			return nil, ended(err)
		}
		e, err := parse.parse(buffer[1:])
		if err != nil {
			return nil, err
		}
		switch e.kind {
		case eventGTID:
			set.add(&e.gtid)
		case eventPreviousGTIDs:
			before, err := parsePreviousGTIDs(e.data)
			if err != nil {
				return nil, err
			}
			set.union(before)
		}
	}
	return set, nil
}
