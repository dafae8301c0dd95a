//go:build !linux

package processes

import "syscall"

// attributes give a process a group of its own, so that Ctrl-C reaches it only
// through its owner.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
