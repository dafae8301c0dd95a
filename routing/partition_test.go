package routing

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/weir-cdc/weir/internal/cdc"
)

// TestHashes has what Java 17 and io.debezium.util.MurmurHash3 say.
func TestHashes(t *testing.T) {
	decimal := func(scale int) *cdc.Field { return &cdc.Field{Type: cdc.Binary, Semantic: cdc.Decimal, Scale: scale} }
	textOf := func(s string) cdc.Value { return cdc.String([]byte(s)) }
	for _, c := range []struct {
		field        *cdc.Field
		value        cdc.Value
		java, murmur int32
	}{
		{textField, textOf(""), 0, 89125410},
		{textField, textOf("a"), 97, -1119243492},
		{textField, textOf("Bergen"), 1986297985, -1669849434},
		{textField, textOf("smt_partition_routing"), 1831949516, 1551442267},
		{textField, textOf("exactly 16 bytes"), -2109940860, -1274086255},
		{textField, textOf("seventeen bytes!!"), -1589948654, 1716455020},
		{textField, textOf("é😀ü"), 61901424, -663520812},
		{textField, textOf("0123456789012345678901234567890ü"), -1675490725, -1319140584},
		{&cdc.Field{Type: cdc.Int32}, cdc.Int(5), 5, -837177610},
		{&cdc.Field{Type: cdc.Int32}, cdc.Int(-5), -5, 1960881932},
		{longField, cdc.Int(-5), 4, 1233385530},
		{longField, cdc.Int(1<<63 - 1), -2147483648, -797218156},
		{anyField, cdc.Number([]byte("1.5")), 1073217536, -1122085266},
		{&cdc.Field{Type: cdc.Double}, cdc.Float64(1.5), 1073217536, -1122085266},
		{&cdc.Field{Type: cdc.Float}, cdc.Float32(2.25), 1074790400, -1046400417},
		{&cdc.Field{Type: cdc.Boolean}, cdc.Bool(true), 1231, -1891831265},
		{&cdc.Field{Type: cdc.Boolean}, cdc.Bool(false), 1237, -682375457},
		{decimal(2), cdc.SmallDecimal(1234), 38256, -1299364558},
		{decimal(2), cdc.SmallDecimal(-5), -153, 1012732202},
		{decimal(4), cdc.SmallDecimal(9223372036854775807), 2147482660, 510860877},
		{decimal(2), cdc.BigDecimal(twos("-12345678901234567890123456789012")), 1747325897, -975388065},
		{&cdc.Field{Type: cdc.Binary}, cdc.Bytes([]byte{1, 0xFE, 3}), 32613, -1459025727},
		{&cdc.Field{Type: cdc.Int64, Semantic: cdc.ConnectTimestamp}, cdc.Int(1704164645678), -937370974, 6125102},
		{&cdc.Field{Type: cdc.Int32, Semantic: cdc.ConnectDate}, cdc.Int(-1), 86399999, 913866341},
	} {
		if h, err := hashCode(c.field, c.value); err != nil || h != c.java {
			t.Errorf("the hash of %s is %d, %v; Java has %d", c.value, h, err, c.java)
		}
		if h, err := murmurCode(c.field, c.value); err != nil || h != c.murmur {
			t.Errorf("the murmur hash of %s is %d, %v; Debezium has %d", c.value, h, err, c.murmur)
		}
	}
	if _, err := hashCode(&cdc.Field{Type: cdc.Array}, cdc.List(nil)); err == nil {
		t.Error("an array has a hash")
	}
}

// TestPartitionRouting has the partitions of golden case smt-partition-routing,
// and what else there is.
func TestPartitionRouting(t *testing.T) {
	c := one(t, map[string]string{"type": "io.debezium.transforms.partitions.PartitionRouting",
		"partition.payload.fields": "change.city, source.table", "partition.topic.num": "3"})
	for _, x := range []struct {
		city, table string
		want        int32
	}{
		{`"Oslo"`, "cust", 2}, {`"Paris"`, "cust", 1}, {`"Bergen"`, "cust", 1}, {"null", "cust", 0},
		{`"Rome"`, "cust_2", 0}, {`"Roma"`, "cust_2", 2}, {`"Pisa"`, "cust_2", 0}, {`"Bari"`, "cust_2", 0},
	} {
		for _, form := range []string{
			`{"before":null,"after":{"city":%s},"source":{"table":"%s"},"op":"c","ts_ms":1}`,
			`{"before":{"city":%s},"after":null,"source":{"table":"%s"},"op":"d","ts_ms":1}`,
		} {
			r := read(t, "t", `{"id":1}`, fmt.Sprintf(form, x.city, x.table))
			if !apply(t, c, r) || !r.Placed || r.Place != x.want {
				t.Errorf("%s of %s goes to %d, %v; want %d", x.city, x.table, r.Place, r.Placed, x.want)
			}
		}
	}
}

func TestPartitionRoutingLeavesOthers(t *testing.T) {
	c := one(t, map[string]string{"type": "io.debezium.transforms.partitions.PartitionRouting",
		"partition.payload.fields": "after.nothing,before.score,after.name.first,transaction.id", "partition.topic.num": "3", "partition.hash.function": "murmur"})
	flat := change(cdc.OpCreate, nil, customer(1, "Ann", 5))
	flat.Value = flat.Envelope.After
	for name, r := range map[string]*cdc.Record{
		"tombstone":  read(t, "t", `{"id":1}`, ""),
		"unwrapped":  flat,
		"truncate":   change(cdc.OpTruncate, nil, nil),
		"null field": change(cdc.OpUpdate, customer(1, "Ann", 0), customer(1, "Ann", 5)),
		"no field":   change(cdc.OpCreate, nil, customer(1, "Ann", 5)),
	} {
		if !apply(t, c, r) || r.Placed {
			t.Errorf("%s is placed in %d", name, r.Place)
		}
	}
	for property, properties := range map[string]map[string]string{
		"partition.payload.fields": {"partition.topic.num": "3"},
		"partition.topic.num":      {"partition.payload.fields": "op", "partition.topic.num": "0"},
	} {
		properties["type"] = "io.debezium.transforms.partitions.PartitionRouting"
		refused(t, property, properties)
	}
}

// twos is the two's complement of a negative number.
func twos(decimal string) []byte {
	n, _ := new(big.Int).SetString(decimal, 10)
	size := n.BitLen()/8 + 1
	return n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size))).Bytes()
}
