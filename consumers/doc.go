// Package consumers is the runtime that every sink runs in: group membership,
// one worker per partition, decoding, transforms, batches, retry, dead letters
// and the commit gate. A sink brings a sink.Writer or a sink.RangeWriter and
// nothing else of this.
package consumers
