package servers

import (
	"golang.org/x/sys/unix"
)

// LimitFiles lets the running broker make no file longer than size bytes: from there on its writes fail, as on a disk
// that is full. A broker that is started again has no limit.
func (b Broker) LimitFiles(size uint64) {
	b.tb.Helper()
	p, alive := readProcess(b.node.path("pid"))
	if !alive {
		b.tb.Fatalf("limiting %s: it does not run", b.node.name)
	}
	var limit unix.Rlimit
	err := unix.Prlimit(p.pid, unix.RLIMIT_FSIZE, nil, &limit)
	if err == nil {
		limit.Cur = size
		err = unix.Prlimit(p.pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil {
		b.tb.Fatalf("limiting %s: %v", b.node.name, err)
	}
}
