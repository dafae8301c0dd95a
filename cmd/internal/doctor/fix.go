package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fix writes corrected copies of the files that were checked to a folder, which
// is made if it is not there. It returns the paths of the copies, in the order of
// the files. The files themselves stay as they are; a copy takes the place of no
// file.
func (r *Report) Fix(folder string) ([]string, error) {
	changes := make(map[string][]Change)
	for i := range r.Findings {
		for _, c := range r.Findings[i].Write {
			file, _, _ := strings.Cut(c.File, "+") // of several that are merged, the first is the connector's
			changes[file] = append(changes[file], c)
		}
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of corrected files: %w", err)
	}
	var copies []string
	var errs []error
	for _, checked := range r.Checked {
		file, _, _ := strings.Cut(checked, "+")
		copied, err := fixFile(file, folder, changes[file])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		copies = append(copies, copied)
	}
	return copies, errors.Join(errs...)
}

func fixFile(file, folder string, changes []Change) (string, error) {
	data, err := os.ReadFile(file)
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
