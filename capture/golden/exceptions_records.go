package golden

import (
	"slices"
	"strings"
)

// recordException is a documented difference of a whole record.
type recordException struct {
	name, reason string
	cases
	applies func(k *comparison, r *Record) bool
}

// wrongOfDebezium are records that Debezium publishes and that must not be.
var wrongOfDebezium = []recordException{
	{
		name: "XA ROLLBACK", reason: "Debezium publishes rows at XA PREPARE, and so those of a transaction that was rolled back then",
		cases: cases{"binlog-xa", "binlog-xa-tx", "mariadb-binlog"},
		applies: func(_ *comparison, r *Record) bool {
			return r.isRow("t2", "2", "c") && strings.HasPrefix(r.Topic, "binlog-xa") || r.isRow("t", "5", "c") && strings.HasPrefix(r.Topic, "mariadb-binlog")
		},
	},
	{
		name: "deletes with older options", reason: "Debezium 3 writes the text null for a delete and ignores drop.tombstones=false; it is a real tombstone, and the one behind the delete another",
		cases:   cases{"smt-unwrap-old-none"},
		applies: func(_ *comparison, r *Record) bool { return r.Value != nil && payload(*r.Value) == "null" },
	},
	{
		name: "BEGIN without END", reason: "Debezium begins a transaction for every GTID of MariaDB, DDL and the phases of XA too, and never ends those",
		cases: cases{"mariadb-binlog"},
		applies: func(k *comparison, r *Record) bool {
			return r.Topic == k.topics.transactions && !slices.ContainsFunc(k.want, func(o Record) bool {
				return o.Topic == r.Topic && textOf(o.Key) == textOf(r.Key) && member(payload(textOf(o.Value)), "status") == `"END"`
			})
		},
	},
	{
		name: "behind the recorded log", reason: "the connector still ran while the next case's statements were, whose log this case does not have",
		cases: cases{"*"},
		applies: func(k *comparison, r *Record) bool {
			file := member(payload(textOf(r.Value)), "source", "file")
			return k.part == PartStream && file != "" && !slices.Contains(k.c.Meta.BinlogFiles, strings.Trim(file, `"`))
		},
	},
}

// missingOfDebezium are records that Debezium does not publish and has to.
var missingOfDebezium = []recordException{
	{
		name: "PARTIAL_JSON", reason: "Debezium loses updates of binlog_row_value_options=PARTIAL_JSON",
		cases:   cases{"binlog-partial-json"},
		applies: func(_ *comparison, r *Record) bool { return r.isRow("t", "", "u") },
	},
	{
		name: "log_bin_compress", reason: "Debezium does not see rows of compressed events",
		cases: cases{"mariadb-binlog"},
		applies: func(_ *comparison, r *Record) bool {
			return r.isRow("t", "6", "c") || r.isRow("t", "6", "d") || r.isRow("t", "6", "")
		},
	},
	{
		name: "tombstones that drop.tombstones=false keeps", reason: "Debezium 3 ignores the option and drops them",
		cases:   cases{"smt-unwrap-old-*"},
		applies: func(_ *comparison, r *Record) bool { return r.Value == nil && strings.Contains(r.Topic, ".cust") },
	},
	{
		name: "XA in transaction metadata", reason: "Debezium has no BEGIN and END of an XA transaction, or no END",
		cases: cases{"binlog-xa-tx", "mariadb-binlog"},
		applies: func(k *comparison, r *Record) bool {
			return r.Topic == k.topics.transactions && !slices.ContainsFunc(k.want, func(o Record) bool {
				return o.Topic == r.Topic && textOf(o.Key) == textOf(r.Key) && member(payload(textOf(o.Value)), "status") == `"END"`
			})
		},
	},
}

// moved are records that both publish, but not in the same place of the topic.
var moved = []recordException{
	{
		name: "XA COMMIT", reason: "Debezium publishes rows at XA PREPARE; they are published at XA COMMIT, behind what was committed between the two",
		cases:   cases{"binlog-xa"},
		applies: func(_ *comparison, r *Record) bool { return r.isRow("t2", "5", "c") },
	},
}

// isRow reports whether a record is a change of a table's row with the id (any
// if ""), of an operation; a tombstone's is "".
func (r *Record) isRow(table, id, op string) bool {
	if !strings.HasSuffix(r.Topic, "."+table) || id != "" && member(payload(textOf(r.Key)), "id") != id {
		return false
	}
	if r.Value == nil {
		return op == ""
	}
	return op != "" && member(payload(*r.Value), "op") == `"`+op+`"`
}
