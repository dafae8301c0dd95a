package processes

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU is the user and system time of the run that ended last by Stop or Kill, its
// start and end included; 0 before.
func (p *Process) CPU() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		return 0
	}
	return p.ended.UserTime() + p.ended.SystemTime()
}

// PeakRSS is the most memory, in bytes, that the process has had resident since
// it was started; it must be running. It is read from the kernel's status of the
// process: the figure of its usage when it has ended begins with the memory of
// the process that started it.
func (p *Process) PeakRSS() (int64, error) {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return 0, fmt.Errorf("asking for the memory of %s: it does not run", p.Name)
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("asking for the memory of %s: %w", p.Name, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("asking for the memory of %s: the system does not say", p.Name)
}
