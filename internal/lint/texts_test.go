package lint

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of the module.
const root = "../.."

// forbidden are texts that no file may have, put together so that this file has
// none of them.
var forbidden = []struct {
	text  *regexp.Regexp
	files string // ending, "" for all
	why   string
}{
	{regexp.MustCompile(`\.\./sha` + `red\b`), "", "names a place outside of the project"},
	{regexp.MustCompile(`\bTO` + `DO\b|\bFIX` + `ME\b|\bXX` + `X\b`), ".go", "is not done"},
	{regexp.MustCompile(`\b[tb]\.Sk` + `ip`), ".go", "skips a test"},
}

// unread are folders that hold nothing that was written here.
var unread = map[string]bool{".git": true, ".task": true, "node_modules": true}

func TestForbiddenTexts(t *testing.T) {
	read := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if unread[entry.Name()] {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a file of the project: %w", err)
		}
		read++
		for _, finding := range findings(path, data) {
			t.Error(finding)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 20 {
		t.Errorf("only %d files are read", read)
	}
}

// findings are the forbidden texts of a file, with their lines.
func findings(path string, data []byte) []string {
	if bytes.IndexByte(data, 0) >= 0 { // not a text
		return nil
	}
	var out []string
	for _, f := range forbidden {
		if !strings.HasSuffix(path, f.files) {
			continue
		}
		for _, at := range f.text.FindAllIndex(data, -1) {
			out = append(out, fmt.Sprintf("%s:%d: %q %s", path, 1+bytes.Count(data[:at[0]], []byte{'\n'}), data[at[0]:at[1]], f.why))
		}
	}
	return out
}

func TestFindingsFind(t *testing.T) {
	for text, want := range map[string]int{
		"see ../sha" + "red/docs": 1, "// TO" + "DO: later": 1, "t.Sk" + "ip()": 1, "b.Sk" + "ipNow()": 1, "shared servers": 0, "context.Background()": 0,
	} {
		if got := findings("a.go", []byte("package a\n"+text)); len(got) != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
