package service

import (
	"runtime/debug"
	"strings"
)

// Bounded is a Main that knows how much memory it takes.
type Bounded interface {
	// Memory is about how many bytes the component has at most, by its
	// configuration.
	Memory() int64
}

// Frugal is a Main that has the garbage collector work sooner than Go's default.
type Frugal interface {
	// Garbage is how much the heap may grow between two collections, in percent of
	// what is in use.
	Garbage() int
}

// limitGarbage sets it, unless GOGC in the environment is a person's word.
func limitGarbage(percent int, environ []string) {
	if !names(environ, "GOGC") {
		debug.SetGCPercent(percent)
	}
}

// limitMemory makes garbage be collected more often, the nearer the process
// comes to what it is to take: by itself Go lets garbage grow to as much as what
// is in use. GOMEMLIMIT, where it is set, is a person's word and stays.
func limitMemory(bytes int64, environ []string) {
	if !names(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(bytes)
	}
}

// names reports whether the environment has a variable.
func names(environ []string, variable string) bool {
	for _, v := range environ {
		if strings.HasPrefix(v, variable+"=") {
			return true
		}
	}
	return false
}
