package routing

import (
	"fmt"
	"math"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/transform"
)

// partitionRouting is Debezium's PartitionRouting: the partition of a change
// follows from fields of its envelope.
type partitionRouting struct {
	fields     []path
	partitions int32
	hash       func(*cdc.Field, cdc.Value) (int32, error)
	scratch    cdc.Row
}

func newPartitionRouting(o *transform.Options) transform.Transform {
	t := &partitionRouting{hash: hashCode, partitions: int32(number(o, "partition.topic.num", "", 1, math.MaxInt32))}
	o.Need("partition.payload.fields", "the fields that decide, such as change.city,source.table")
	for _, item := range o.List("partition.payload.fields") {
		t.fields = append(t.fields, newPath(item))
	}
	if o.OneOf("partition.hash.function", "java", "murmur") == "murmur" {
		t.hash = murmurCode
	}
	return t
}

// number is the property as a whole number; without a default it has to be set.
func number(o *transform.Options, name, otherwise string, low, high int) int {
	want := fmt.Sprintf("a number from %d to %d", low, high)
	text := o.Text(name, otherwise)
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		o.Fail(name, want)
		return low
	}
	return n
}

// Apply chooses the partition of r where it is a change that has one of the
// fields; a field that is missing or null does not count.
func (t *partitionRouting) Apply(r *cdc.Record) (bool, error) {
	e := transform.Envelope(r)
	if e == nil || e.Op == cdc.OpTruncate || e.Op == cdc.OpMessage {
		return true, nil
	}
	t.scratch.Reset(scratchSchema)
	var sum int32
	some := false
	for _, p := range t.fields {
		v, f := p.find(e, &t.scratch)
		if f == nil {
			continue
		}
		h, err := t.hash(f, v)
		if err != nil {
			return false, fmt.Errorf("choosing a partition: %w", err)
		}
		sum, some = sum+h, true
	}
	if some {
		r.Placed, r.Place = true, t.place(sum)
	}
	return true, nil
}

// place is the partition of a hash.
func (t *partitionRouting) place(hash int32) int32 {
	hash &= math.MaxInt32
	if hash == math.MaxInt32 {
		hash = 0
	}
	return hash % t.partitions
}

// scratchSchema is that of rows which only lend their memory.
var scratchSchema = cdc.NewSchema("")

// temporalText is the text that Kafka Connect holds of a time with a zone.
func temporalText(f *cdc.Field, v *cdc.Value) []byte { return json.AppendText(nil, f, v) }
