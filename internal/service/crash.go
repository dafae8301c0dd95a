package service

import (
	"runtime/debug"
	"syscall"
)

// crashBySignal makes a panic in any goroutine end the process by SIGABRT, with
// the stacks of all goroutines on standard error: Go's own exit code for it, 2,
// is ExitConfiguration, after which nobody would start the process again. No
// core file is left, since memory holds passwords.
func crashBySignal() {
	debug.SetTraceback("crash")
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // lowering is always allowed
}
