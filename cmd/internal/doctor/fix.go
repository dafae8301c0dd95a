package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Fix writes corrected copies of the files that were checked to a folder, which
// is made if it is not there. It returns the paths of the copies, in the order of
// the files. The files themselves stay as they are; a copy takes the place of no
// file.
func (r *Report) Fix(folder string) ([]string, error) {
	changes := make(map[string][]Change)
	var errs []error
	for i := range r.Findings {
		for _, c := range r.Findings[i].Write {
			if c.elsewhere != "" {
				errs = append(errs, fmt.Errorf("correcting the files: %s is set by %s, and should be %q", c.Property, c.elsewhere, c.Text))
				continue
			}
			changes[c.File] = append(changes[c.File], c)
		}
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of corrected files: %w", err)
	}
	var copies []string
	for _, file := range r.files() {
		copied, err := fixFile(file, folder, changes[file])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		copies = append(copies, copied)
	}
	return copies, errors.Join(errs...)
}

// files are the files that were checked, each once.
func (r *Report) files() []string {
	var files []string
	for _, checked := range r.Checked {
		for file := range strings.SplitSeq(checked, "+") {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files
}

func fixFile(file, folder string, changes []Change) (string, error) {
	data, err := os.ReadFile(file)
	if path, block, ok := strings.Cut(file, "#"); ok && errors.Is(err, fs.ErrNotExist) {
		if len(changes) > 0 {
			return "", fmt.Errorf("changing %s in %s: it is in the block %s; write it by hand", changes[0].Property, path, block)
		}
		file = path
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("reading a configuration: %w", err)
	}
	if data, err = Corrected(file, data, changes); err != nil {
		return "", err
	}
	path := filepath.Join(folder, filepath.Base(file))
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it may hold passwords
	if err != nil {
		return "", fmt.Errorf("writing a corrected copy: %w", err)
	}
	_, err = out.Write(data)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("writing a corrected copy: %w", err)
	}
	return path, nil
}
