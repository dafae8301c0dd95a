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

// limitMemory makes garbage be collected more often, the nearer the process
// comes to what it is to take: by itself Go lets garbage grow to as much as what
// is in use. GOMEMLIMIT, where it is set, is a person's word and stays.
func limitMemory(bytes int64, environ []string) {
	for _, v := range environ {
		if strings.HasPrefix(v, "GOMEMLIMIT=") {
			return
		}
	}
	debug.SetMemoryLimit(bytes)
}
