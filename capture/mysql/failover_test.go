package mysql

import (
	"errors"
	"testing"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

const serverA, serverB = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"

// TestPlaceAfterFailover: file and position of the server before say nothing of
// the one that took over, even where its file has the same name.
func TestPlaceAfterFailover(t *testing.T) {
	s := &Source{srv: &server{gtid: true, uuid: serverA}, uuid: serverB, origin: serverA, file: "binlog.000002", pos: 5000, gtids: &gtidSet{}}
	r := &run{s: s}
	for range 2 {
		if err := r.rotate(&event{rotate: logPosition{[]byte("binlog.000002"), 4}}); err != nil {
			t.Fatal(err)
		}
		if p := s.place(); p.Pos < 4 || p.Pos == 5000 || p.ServerUUID != serverB {
			t.Fatalf("the place is %+v", p)
		}
		s.pos = 300 // an event later, a reconnect to the same server does not go back
	}
	if s.pos != 300 {
		t.Errorf("the position went back to %d", s.pos)
	}
}

// TestMarksOfAnotherServer: what was read from a server that the stream does not
// read from any more does not count, since its end cannot be told.
func TestMarksOfAnotherServer(t *testing.T) {
	for _, srv := range []server{{gtid: true, uuid: serverA}, {gtid: true, mariadb: true, uuid: "1"}, {uuid: serverA}} {
		s := &Source{srv: &srv, served: &srv}
		p := position{File: "binlog.000002", Pos: 500, ServerUUID: srv.uuid}
		if srv.gtid && !srv.mariadb {
			p.GTIDs = serverA + ":1-5"
		}
		if !s.Covers(p.mark(), p.marshal()) {
			t.Errorf("%+v: a mark does not cover its own position", srv)
		}
		if !s.Reached(p.marshal(), p.mark()) {
			t.Errorf("%+v: a position has not reached itself", srv)
		}
		s.served = &server{uuid: serverB}
		other := position{File: "binlog.000001", Pos: 4, ServerUUID: serverB}
		if s.Reached(p.marshal(), other.mark()) {
			t.Errorf("%+v: a place in the log of one server has passed a mark of another", srv)
		}
		if s.Covers(p.mark(), p.marshal()) {
			t.Errorf("%+v: a mark of the server before counts", srv)
		}
		r := &reader{source: s, uuid: srv.uuid}
		if _, err := r.view(t.Context(), &capture.Table{}); err == nil {
			t.Errorf("%+v: a reader goes on with the server before", srv)
		}
	}
}

// TestCaughtUpKeepsWhatWasPassed: transactions of which nothing is reported, and
// which the stream passed on its way to the first that is, stay in the position.
func TestCaughtUpKeepsWhatWasPassed(t *testing.T) {
	s := &Source{srv: &server{gtid: true}, gtids: gtids(t, serverA+":1-5:9-10")}
	s.xa.known = &place{gtids: gtids(t, serverA+":1-8")}
	s.tx.known, s.tx.head.number = true, 11
	s.tx.head.uuid = s.gtids.groups[0].uuid
	if s.reported() || s.xa.known != nil || s.gtids.String() != serverA+":1-10" {
		t.Errorf("behind the known place the transactions are %s", s.gtids)
	}
	m := &Source{srv: &server{mariadb: true, gtid: true}, list: gtidList{{0, 1, 5}, {1, 1, 9}}}
	m.xa.known = &place{list: gtidList{{0, 1, 7}, {1, 1, 8}, {2, 1, 1}}}
	m.tx.known, m.tx.head = true, gtidHeader{mariadb: true, domain: 0, server: 1, sequence: 8}
	if m.reported() || m.list.String() != "0-1-7,1-1-9,2-1-1" {
		t.Errorf("behind the known place the transactions are %s", m.list)
	}
}

// TestAnotherServerWithoutGTIDs: the server that is asked is the one that counts,
// not the one that the Source was opened with: a file of the same name on
// another one is another file.
func TestAnotherServerWithoutGTIDs(t *testing.T) {
	c := connection(t, servers.MySQL(t), nil)
	conn, err := c.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &Source{srv: &server{uuid: serverA}}
	p, err := s.end(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.continues(t.Context(), conn, &p); !errors.Is(err, capture.ErrNoContinuity) {
		t.Errorf("a position of another server: %v", err)
	}
	now, err := identify(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	p.ServerUUID = now.uuid
	if err := s.continues(t.Context(), conn, &p); err != nil {
		t.Errorf("a position of the server itself: %v", err)
	}
}
