package mysql

import (
	"bytes"
)

// query is a statement in the log: the ends of transactions and DDL, as text.
type query struct {
	thread    uint32
	errorCode uint16
	database  []byte // the session's; may be empty
	sql       []byte // in the client's character set
	sqlMode   uint64
	flags     uint32 // options of the session
	// Collations by number, 0 where not said: of sql, of the session's
	// connection, of new databases (collation_server), of the session's database,
	// of utf8mb4 where none is named (default_collation_for_utf8mb4).
	client, connection, server, ofDatabase, utf8mb4 int
	// implicitTimestamps is explicit_defaults_for_timestamp=OFF.
	implicitTimestamps bool
	timeZone           []byte // empty where the statement does not depend on it
}

// queryKind is what a statement means for a transaction.
type queryKind uint8

const (
	queryOther     queryKind = iota // DDL and everything else that is one transaction by itself
	queryBegin                      // of a transaction
	queryCommit                     // of one that touched a table without transactions
	queryRollback                   // the same, undone but for that table
	querySavepoint                  // set, released, or rolled back to: nothing to do, what was undone is not in the log
	queryXAStart
	queryXAEnd
	queryXACommit
	queryXARollback
	queryDML // rows changed by a statement, which are not in the log
)

// The kinds of status variables of a query, and the sizes of those that are
// passed over.
const (
	statusFlags = iota
	statusSQLMode
	statusOldCatalog
	statusAutoIncrement
	statusCharset
	statusTimeZone
	statusCatalog
	statusTimeNames
	statusDatabaseCharset
	statusTableMap
	statusDataWritten
	statusInvoker
	statusUpdatedDatabases
	statusMicroseconds
	statusCommitTime
	statusCommitTime2
	statusExplicitDefaults
	statusDDLTransaction
	statusDefaultCollation
	statusRequireKey
	statusTableEncryption

	statusMariaDBMicroseconds = 128
	statusMariaDBTransaction  = 129
	statusMariaDBGTIDFlags    = 130
)

var statusSizes = map[uint8]int{
	statusAutoIncrement: 4, statusTimeNames: 2, statusTableMap: 8, statusDataWritten: 4, statusMicroseconds: 3,
	statusDDLTransaction: 8, statusRequireKey: 1, statusTableEncryption: 1,
	statusMariaDBMicroseconds: 3, statusMariaDBTransaction: 8, statusMariaDBGTIDFlags: 2,
}

// parse reads a query event.
func (q *query) parse(b []byte) error {
	c := cursor{b: b}
	*q = query{thread: c.u32()}
	c.skip(4)
	database := int(c.u8())
	q.errorCode = c.u16()
	status := cursor{b: c.take(int(c.u16()))}
	q.database = c.take(database)
	c.skip(1)
	q.sql = c.b
	if c.bad {
		return errMalformed
	}
	if len(q.sql) != 5 || string(q.sql) != "BEGIN" { // of which nobody asks for more
		q.parseStatus(&status)
	}
	return nil
}

// parseStatus reads status variables as far as they are known, which is how the
// server's own replicas do it: the size of an unknown one is not said.
func (q *query) parseStatus(c *cursor) {
	for len(c.b) > 0 && !c.bad {
		switch kind := c.u8(); kind {
		case statusFlags:
			q.flags = c.u32()
		case statusSQLMode:
			q.sqlMode = c.u64()
		case statusCharset:
			q.client, q.connection, q.server = int(c.u16()), int(c.u16()), int(c.u16())
		case statusTimeZone:
			q.timeZone = c.take(int(c.u8()))
		case statusDatabaseCharset:
			q.ofDatabase = int(c.u16())
		case statusDefaultCollation:
			q.utf8mb4 = int(c.u16())
		case statusExplicitDefaults:
			q.implicitTimestamps = c.u8() == 0
		case statusOldCatalog:
			c.skip(int(c.u8()) + 1)
		case statusCatalog:
			c.skip(int(c.u8()))
		case statusInvoker:
			c.skip(int(c.u8()))
			c.skip(int(c.u8()))
		case statusUpdatedDatabases:
			skipNames(c)
		default:
			size, ok := statusSizes[kind]
			if !ok {
				return
			}
			c.skip(size)
		}
	}
}

// skipNames passes over the databases that a statement changed: a count, then
// names that end with 0; 254 stands for too many to name.
func skipNames(c *cursor) {
	const tooMany = 254
	n := c.u8()
	if n == tooMany {
		return
	}
	for ; n > 0; n-- {
		_, rest, ok := bytes.Cut(c.b, []byte{0})
		if !ok {
			c.b, c.bad = nil, true
			return
		}
		c.b = rest
	}
}

// text is the statement in UTF-8.
func (q *query) text() string {
	cs, err := charsetByCollation(q.client)
	if err != nil {
		return string(q.sql) // clients speak UTF-8 unless they say otherwise
	}
	return string(cs.appendUTF8(nil, q.sql))
}

// kind says what the statement means for the transaction.
func (q *query) kind() queryKind {
	sql := skipComments(q.sql)
	word, rest := nextWord(sql)
	switch {
	case isWord(word, "BEGIN"):
		return queryBegin
	case isWord(word, "COMMIT"):
		return queryCommit
	case isWord(word, "ROLLBACK"):
		if next, _ := nextWord(skipComments(rest)); isWord(next, "TO") {
			return querySavepoint
		}
		return queryRollback
	case isWord(word, "SAVEPOINT"), isWord(word, "RELEASE"):
		return querySavepoint
	case isWord(word, "XA"):
		return xaKind(rest)
	case isWord(word, "INSERT"), isWord(word, "UPDATE"), isWord(word, "DELETE"), isWord(word, "REPLACE"),
		isWord(word, "LOAD"), isWord(word, "WITH"),
		isWord(word, "SELECT"), isWord(word, "DO"), isWord(word, "CALL"): // of a function that changes rows
		return queryDML
	case isWord(word, "ANALYZE"): // MariaDB runs the statement that it analyzes
		if next, _ := nextWord(skipComments(rest)); !isWord(next, "TABLE") && !isWord(next, "LOCAL") && !isWord(next, "NO_WRITE_TO_BINLOG") {
			return queryDML
		}
	case isWord(word, "SET"):
		return settingsKind(rest)
	}
	return queryOther
}

// settingsKind is the kind of MariaDB's SET STATEMENT … FOR, that of what follows.
func settingsKind(rest []byte) queryKind {
	if word, _ := nextWord(skipComments(rest)); !isWord(word, "STATEMENT") {
		return queryOther
	}
	p := &ddlParser{in: string(rest), tokens: ddlTokens(string(rest), ddlDialect{mariadb: true})}
	p.settings(&ddlStatement{})
	q := query{sql: rest[p.peek().start:]}
	return q.kind()
}

func xaKind(rest []byte) queryKind {
	word, _ := nextWord(skipComments(rest))
	switch {
	case isWord(word, "START"), isWord(word, "BEGIN"):
		return queryXAStart
	case isWord(word, "END"):
		return queryXAEnd
	case isWord(word, "COMMIT"):
		return queryXACommit
	case isWord(word, "ROLLBACK"):
		return queryXARollback
	}
	return queryOther
}

// xaID is the transaction that an XA statement names, in the form of
// xaPrepare.id: the server writes the statements of the log itself.
func (q *query) xaID() []byte {
	_, rest := nextWord(skipComments(q.sql))
	_, rest = nextWord(skipComments(rest))
	id, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" ")) // ONE PHASE may follow
	return id
}

// skipComments passes over white space and comments; those that MySQL executes
// are no comments, and what is in them counts.
func skipComments(sql []byte) []byte {
	for {
		sql = bytes.TrimLeft(sql, " \t\r\n\f\v;(")
		switch {
		case bytes.HasPrefix(sql, []byte("/*!")), bytes.HasPrefix(sql, []byte("/*M!")):
			sql = bytes.TrimLeft(sql[3:], "!0123456789")
		case bytes.HasPrefix(sql, []byte("/*")):
			_, rest, ok := bytes.Cut(sql[2:], []byte("*/"))
			if !ok {
				return nil
			}
			sql = rest
		case bytes.HasPrefix(sql, []byte("#")), bytes.HasPrefix(sql, []byte("-- ")), bytes.HasPrefix(sql, []byte("--\n")):
			_, sql, _ = bytes.Cut(sql, []byte("\n"))
		default:
			return sql
		}
	}
}

// nextWord splits off the letters at the head.
func nextWord(sql []byte) (word, rest []byte) {
	n := 0
	for n < len(sql) && (sql[n]|0x20 >= 'a' && sql[n]|0x20 <= 'z' || sql[n] == '_') {
		n++
	}
	return sql[:n], sql[n:]
}

func isWord(word []byte, upper string) bool {
	return len(word) == len(upper) && bytes.EqualFold(word, []byte(upper))
}
