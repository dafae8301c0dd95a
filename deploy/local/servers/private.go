package servers

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

var privateCount atomic.Int64

// private is a node in a folder of its own that belongs to this process: when the process dies without ending it,
// sweep does.
func (l *Local) private(name string, recipe recipe, ports int, args []string) (n *node, release func(), err error) {
	id := name + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(privateCount.Add(1), 10)
	dir := filepath.Join(l.data, "private", id)
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return nil, nil, err
	}
	owner, err := tryLock(dir + ".owner")
	if err != nil {
		return nil, nil, err
	}
	n = &node{local: l, name: id, dir: dir, preferred: make([]int, ports), recipe: recipe, args: args}
	return n, func() {
		endPrivate(dir)
		_ = owner.Close()
	}, nil
}

// sweep ends private servers whose process is gone: its lock on the owner file is free.
func (l *Local) sweep() {
	owners, _ := filepath.Glob(filepath.Join(l.data, "private", "*.owner"))
	for _, path := range owners {
		file, err := tryLock(path)
		if err != nil {
			continue
		}
		endPrivate(path[:len(path)-len(".owner")])
		_ = file.Close()
	}
}

// endPrivate kills the server in dir and removes everything of it. Nobody needs its data any more.
func endPrivate(dir string) {
	if p, alive := readProcess(filepath.Join(dir, "pid")); alive {
		p.kill()
	}
	if err := os.RemoveAll(dir); err == nil || errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(dir + ".owner")
	}
}
