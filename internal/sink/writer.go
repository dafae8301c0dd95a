// Package sink states the contracts between the consumer runtime and a sink:
// what a sink must promise so that the runtime can retry, dead-letter and
// commit on its behalf.
package sink

import (
	"context"
	"fmt"

	"github.com/weir-cdc/weir/internal/cdc"
)

// Writer is a sink that can write the same record twice without harm, because
// the target itself compares versions (Elasticsearch, Redis).
type Writer interface {
	// Write makes every record of batch durable in the target, or refused there
	// as older than what it holds. The records of one call are of one partition
	// and in offset order; calls for different partitions run concurrently. The
	// batch and all it points to may be read until Write returns.
	//
	// A nil error means all of it is durable. A *Rejected error names the
	// records that can never succeed; all others are durable then. Every other
	// error means that any part of the batch may be written: the runtime calls
	// again with the same batch after a back-off. When ctx ends, Write returns
	// soon, and whatever it had sent may still arrive.
	Write(ctx context.Context, batch []*cdc.Record) error
}

// Rejected says which records of a batch the target will never take.
type Rejected struct {
	Items []Rejection
}

// Rejection is one record that the target will never take.
type Rejection struct {
	Index  int   // in the batch
	Reason error // names the column or the rule; never holds a secret
}

// Error names the first rejection and how many there are.
func (r *Rejected) Error() string {
	if len(r.Items) == 0 {
		return "no record rejected"
	}
	if len(r.Items) == 1 {
		return fmt.Sprintf("record rejected: %v", r.Items[0].Reason)
	}
	return fmt.Sprintf("%d records rejected, the first: %v", len(r.Items), r.Items[0].Reason)
}

// Unwrap gives errors.Is and errors.As the reasons.
func (r *Rejected) Unwrap() []error {
	out := make([]error, len(r.Items))
	for i := range r.Items {
		out[i] = r.Items[i].Reason
	}
	return out
}
