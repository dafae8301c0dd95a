package main

import (
	"fmt"
	"time"
)

// window is over what time a pace is measured.
const window = 30 * time.Second

// pace estimates when a group will have read everything.
type pace struct {
	samples []sample
}

// sample is how far a group was at a time.
type sample struct {
	at          time.Time
	done, total int64
}

// add takes how far the partitions are now.
func (p *pace) add(now time.Time, moves []move) {
	s := sample{at: now}
	for _, m := range moves {
		s.total += m.end - m.start
		s.done += max(0, m.committed-m.start)
	}
	p.samples = append(p.samples, s)
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= window {
		p.samples = p.samples[1:]
	}
}

// line is the progress in a line: share, records, records a second, time left.
func (p *pace) line() string {
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	share := int64(100)
	if last.total > 0 {
		share = 100 * min(last.done, last.total) / last.total
	}
	text := fmt.Sprintf("%3d %%  %s of %s records", share, count(last.done), count(last.total))
	passed := last.at.Sub(first.at).Seconds()
	if passed <= 0 || last.done <= first.done {
		return text
	}
	each := float64(last.done-first.done) / passed
	text += fmt.Sprintf(", %s/s", count(int64(each)))
	// New records come too: what counts is how much faster than they it reads.
	if gain := each - float64(last.total-first.total)/passed; gain > 0 && last.done < last.total {
		text += fmt.Sprintf(", %s left", duration(float64(last.total-last.done)/gain))
	}
	return text
}
