package processes

import "syscall"

// attributes give a process a group of its own, so that Ctrl-C reaches it only
// through its owner, and let the kernel end it when the owner dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
