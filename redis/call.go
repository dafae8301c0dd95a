package redis

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"
)

// callSize is how many records one call of the script has, at most: a call keeps
// the server from everything else.
const callSize = 64

// call is one call of the script. Its memory is used again.
type call struct {
	items []int
	// args are the command's. Most of them point into texts and counts, since an
	// argument that is not a pointer takes memory of its own.
	args    []any
	texts   []string
	counts  []int
	command *redis.IntSliceCmd
}

// round sends open items, as many as one pipeline has, and returns the reason of
// one that is still open.
func (s *Sink) round(ctx context.Context, b *batch) (reason error) {
	s.makeCalls(b)
	if len(b.calls) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	start := time.Now()
	pipe := s.client.Pipeline()
	for i := range b.calls {
		c := &b.calls[i]
		s.arguments(b, c)
		c.command = redis.NewIntSliceCmd(ctx, c.args...)
		c.command.SetFirstKeyPos(firstKey)
		_ = pipe.Process(ctx, c.command) // it is queued
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	s.metrics.pipelines.Inc()
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	b.whole = false
	for i := range b.calls {
		if err := s.settle(b, &b.calls[i]); err != nil {
			b.whole = b.whole || isUnknownScript(err)
			reason = err
			s.metrics.retried.Inc()
		}
	}
	return reason
}

// makeCalls groups the first open items: by slot on a cluster, in the order of
// the batch.
func (s *Sink) makeCalls(b *batch) {
	b.calls = b.calls[:0]
	var current map[int]int // slot → index in calls
	if s.config.Cluster {
		current = map[int]int{}
	}
	left := s.config.BatchSize
	for i := range b.items {
		if b.items[i].done {
			continue
		}
		if left--; left < 0 {
			break
		}
		at, ok := len(b.calls)-1, len(b.calls) > 0
		if s.config.Cluster {
			at, ok = current[b.items[i].slot]
		}
		if !ok || len(b.calls[at].items) >= callSize {
			at = len(b.calls)
			b.addCall()
			if s.config.Cluster {
				current[b.items[i].slot] = at
			}
		}
		b.calls[at].items = append(b.calls[at].items, i)
	}
}

// addCall adds an empty call, with the memory of one that was there before.
func (b *batch) addCall() {
	if n := len(b.calls); n < cap(b.calls) {
		b.calls = b.calls[:n+1]
		b.calls[n].items = b.calls[n].items[:0]
		return
	}
	b.calls = append(b.calls, call{})
}

// firstKey is where the first key stands among the arguments.
const firstKey = 3

// arguments makes those of a call: EVALSHA, the script's name, how many keys there are,
// the keys, and what guard.lua takes beside them.
func (s *Sink) arguments(b *batch, c *call) {
	n := len(c.items)
	spans := 0
	for _, i := range c.items {
		spans += b.items[i].texts[1] - b.items[i].texts[0]
	}
	c.begin(2*n+2*n+spans, n)
	name, script := "evalsha", &guardSHA
	if b.whole {
		name, script = "eval", &guard
	}
	c.args = append(c.args, name, script, 2*n)
	for _, i := range c.items {
		c.text(b.bytes(b.items[i].guard))
		c.text(b.bytes(b.items[i].key))
	}
	form := "s"
	if s.config.Hash {
		form = "h"
	}
	c.args = append(c.args, form, s.config.TTL.Milliseconds(), s.config.Retention.Milliseconds())
	for _, i := range c.items {
		x := &b.items[i]
		c.args = append(c.args, &x.topic)
		c.text(b.bytes(x.version))
		c.count(x.texts[1] - x.texts[0])
		for _, span := range b.spans[x.texts[0]:x.texts[1]] {
			c.text(b.bytes(span))
		}
	}
}

// begin makes room for so many texts and counts: what arguments point to must
// not move.
func (c *call) begin(texts, counts int) {
	c.args = c.args[:0]
	if c.texts = c.texts[:0]; cap(c.texts) < texts {
		c.texts = make([]string, 0, texts+texts/4)
	}
	if c.counts = c.counts[:0]; cap(c.counts) < counts {
		c.counts = make([]int, 0, counts)
	}
}

// text adds an argument. The bytes stay as they are until the call is answered.
func (c *call) text(t []byte) {
	c.texts = append(c.texts, unsafe.String(unsafe.SliceData(t), len(t)))
	c.args = append(c.args, &c.texts[len(c.texts)-1])
}

func (c *call) count(n int) {
	c.counts = append(c.counts, n)
	c.args = append(c.args, &c.counts[len(c.counts)-1])
}

// settle takes the answers of one call.
func (s *Sink) settle(b *batch, c *call) error {
	answers, err := c.command.Result()
	if err != nil {
		return err
	}
	if len(answers) != len(c.items) {
		return fmt.Errorf("the script answered for %d of %d keys", len(answers), len(c.items))
	}
	var written, stale, unguarded int
	for k, i := range c.items {
		x := &b.items[i]
		x.done = true
		switch answers[k] {
		case answerForeign:
			if x.left {
				continue // another topic has it by now
			}
			s.reject(b, x.record, fmt.Errorf("the key %s belongs to another topic: two topics under one cache.prefix have this key; give each its own, for example with ${topic}", b.bytes(x.key)))
		case answerStale:
			stale++
		case answerUnguarded:
			unguarded++
		default:
			written++
		}
	}
	s.metrics.written.Add(float64(written))
	s.metrics.stale.Add(float64(stale))
	s.metrics.unguarded.Add(float64(unguarded))
	return nil
}

func isUnknownScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}
