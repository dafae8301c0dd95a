package lint

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var proof = regexp.MustCompile("`([a-z0-9/]+): (Test[A-Za-z0-9_]+)`")

// TestGuaranteesNameTheirTests: every proof that docs/guarantees.md names is a
// test that exists.
func TestGuaranteesNameTheirTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := proof.FindAllSubmatch(text, -1)
	if len(found) < 30 {
		t.Fatalf("only %d proofs are named", len(found))
	}
	for _, m := range found {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(string(m[1])), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		exists := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			exists = exists || bytes.Contains(source, []byte("\nfunc "+string(m[2])+"(t "))
		}
		if !exists {
			t.Errorf("%s has no %s", m[1], m[2])
		}
	}
}
