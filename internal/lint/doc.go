// Package lint holds the rules of the house that a compiler does not know, as
// tests: which way imports point (docs/design.md), that every package says what
// it is for, and what no file may contain.
package lint
