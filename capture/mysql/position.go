package mysql

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// position is where in the log a resume begins: what a MySQL or MariaDB source
// stores. A transaction is read from its start, then the first Events of its
// log events, and the first Row rows of the next, are known already.
type position struct {
	// File and Pos are the start of the next transaction, or of the one that
	// was being reported.
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
	// GTIDs are the transactions before it, in the server's own form; empty
	// where the server has none.
	GTIDs string `json:"gtids,omitempty"`
	Event int    `json:"event,omitempty"`
	Row   int    `json:"row,omitempty"`
	// ServerID and ServerUUID say whose files these are; MariaDB has no UUID.
	ServerID   uint32 `json:"server_id,omitempty"`
	ServerUUID string `json:"server_uuid,omitempty"`
	// Seconds is the time of the last event, s since the epoch.
	Seconds uint32 `json:"ts_sec,omitempty"`
	// Prepared is where the log has to be read from for the rows of XA
	// transactions that are prepared; what lies between it and this position
	// was reported.
	Prepared *position `json:"prepared,omitempty"`
}

// marshal is the position as it is stored.
func (p *position) marshal() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // text and numbers always can be written
	}
	return b
}

// parsePosition reads what marshal wrote.
func parsePosition(b []byte) (position, error) {
	var p position
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("reading position %q: %w", b, err)
	}
	if p.File == "" {
		return p, fmt.Errorf("reading position %q: it names no log file", b)
	}
	return p, nil
}

// compare orders positions of one server's log by file, position, event and row.
func (p *position) compare(o *position) int {
	return cmp.Or(compareFiles(p.File, o.File), cmp.Compare(p.Pos, o.Pos), cmp.Compare(p.Event, o.Event), cmp.Compare(p.Row, o.Row))
}

// compareFiles orders log files of one server by their number, which has six
// digits until it needs more. Files of different base names, of which only one
// can be the current, are ordered by name.
func compareFiles(a, b string) int {
	baseA, numberA, okA := splitFile(a)
	baseB, numberB, okB := splitFile(b)
	if !okA || !okB || baseA != baseB {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(numberA, numberB)
}

// splitFile splits binlog.000042.
func splitFile(name string) (base string, number uint64, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, 0, false
	}
	number, err := strconv.ParseUint(name[dot+1:], 10, 63)
	return name[:dot], number, err == nil
}
