package servers

import (
	"golang.org/x/sys/unix"
)

// LimitFiles lets the running server make no file longer than size bytes: from there on its writes fail, as on a disk
// that is full. A server that is started again has no limit.
func (p *Private) LimitFiles(size uint64) {
	p.tb.Helper()
	running, alive := readProcess(p.node.path("pid"))
	if !alive {
		p.tb.Fatalf("limiting %s: it does not run", p.node.name)
	}
	var limit unix.Rlimit
	err := unix.Prlimit(running.pid, unix.RLIMIT_FSIZE, nil, &limit)
	if err == nil {
		limit.Cur = size
		err = unix.Prlimit(running.pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil {
		p.tb.Fatalf("limiting %s: %v", p.node.name, err)
	}
}
