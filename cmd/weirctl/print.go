package main

import (
	"fmt"
	"io"
)

// printf prints for a person. If the terminal is gone there is nobody to tell.
func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// printLine prints a line of words for a person.
func printLine(w io.Writer, words ...any) { _, _ = fmt.Fprintln(w, words...) }
