package main

import (
	"fmt"
	"io"
	"time"
)

// screen tells what happens, one short aligned line each.
type screen struct {
	out   io.Writer
	began time.Time
}

// step begins a part of the demo.
func (s *screen) step(name string) { s.print("\n%s\n", name) }

// line is something that happened: who, what, and details, as the servers'
// progress has it.
func (s *screen) line(who, what, detail string) { s.print("  %-22s %-10s %s\n", who, what, detail) }

func (s *screen) print(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

// seconds renders the time since.
func seconds(since time.Time) string { return fmt.Sprintf("%.1f s", time.Since(since).Seconds()) }
