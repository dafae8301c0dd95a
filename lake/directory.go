package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// directory is a store on a local file system, for trying out and for mounts.
// A file is written beside its place under a hidden name, synced, and then
// linked into place.
type directory struct{ root string }

func (d *directory) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// hidden is what marks an unfinished file, whose name begins with a dot.
const hidden = ".weir-upload-"

func (d *directory) upload(name string) upload { return &fileUpload{dir: d, name: name} }

func (d *directory) exists(_ context.Context, name string) (bool, error) {
	_, err := os.Stat(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d *directory) list(ctx context.Context, prefix string, each func(name string)) error {
	return d.walk(ctx, prefix, func(path, name string) error {
		each(name)
		return nil
	})
}

func (d *directory) remove(_ context.Context, name string) error {
	if err := os.Remove(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *directory) sweep(ctx context.Context, prefix string, match func(name string) bool) error {
	return d.walk(ctx, prefix, func(path, name string) error {
		base := name[strings.LastIndexByte(name, '/')+1:]
		if i := strings.Index(base, hidden); i > 0 && base[0] == '.' && match(base[1:i]) {
			return os.Remove(path)
		}
		return nil
	})
}

// walk calls each with the path and the slashed name of every file whose name
// begins with prefix.
func (d *directory) walk(ctx context.Context, prefix string, each func(path, name string) error) error {
	return filepath.WalkDir(d.path(prefix[:strings.LastIndexByte(prefix, '/')+1]), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.root, path)
		if err != nil {
			return err
		}
		if name = filepath.ToSlash(name); !strings.HasPrefix(name, prefix) {
			return nil
		}
		return each(path, name)
	})
}

func (d *directory) probe(context.Context) error {
	info, err := os.Stat(d.root)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", d.root)
	}
	return err
}

// fileUpload is one file on its way into a directory.
type fileUpload struct {
	dir  *directory
	name string
	temp *os.File
	size int64
	done bool
}

func (u *fileUpload) part(_ context.Context, body []byte) error {
	if u.temp == nil {
		place := u.dir.path(u.name)
		if err := os.MkdirAll(filepath.Dir(place), 0o777); err != nil {
			return err
		}
		temp, err := os.CreateTemp(filepath.Dir(place), "."+filepath.Base(place)+hidden+"*")
		if err != nil {
			return err
		}
		u.temp = temp
	}
	if _, err := u.temp.WriteAt(body, u.size); err != nil { // once more at the same place after an error
		return err
	}
	u.size += int64(len(body))
	return nil
}

func (u *fileUpload) commit(ctx context.Context, rest []byte, keep bool) error {
	if u.done {
		return nil
	}
	before := u.size
	if err := u.part(ctx, rest); err != nil {
		return err
	}
	defer func() { u.size = before }() // rest comes again after an error
	if err := u.temp.Chmod(0o644); err != nil {
		return err
	}
	if err := u.temp.Sync(); err != nil {
		return err
	}
	if err := u.place(keep); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errGone, err)
		}
		return err
	}
	u.done = true
	return u.temp.Close()
}

// place makes the file visible and the directory entries durable.
func (u *fileUpload) place(keep bool) error {
	place := u.dir.path(u.name)
	if keep {
		if err := os.Link(u.temp.Name(), place); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Remove(u.temp.Name()); err != nil {
			return err
		}
	} else if err := os.Rename(u.temp.Name(), place); err != nil {
		return err
	}
	for dir := filepath.Dir(place); ; dir = filepath.Dir(dir) {
		if err := syncDirectory(dir); err != nil || dir == u.dir.root || len(dir) <= len(u.dir.root) {
			return err
		}
	}
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (u *fileUpload) abort(context.Context) {
	if u.temp != nil && !u.done {
		u.temp.Close()
		os.Remove(u.temp.Name())
	}
}
