package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// launch starts cmd in a session of its own, its output appended to log, and forgets it: the process belongs to init,
// outlives ours and ctx, leaves no zombie and needs no goroutine to wait for it. It returns the process id.
func launch(ctx context.Context, cmd *exec.Cmd, log string) (int, error) {
	script := `log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!`
	args := append([]string{"-c", script, "sh", log}, cmd.Args...)
	args[4] = cmd.Path
	shell := exec.CommandContext(ctx, "/bin/sh", args...)
	shell.Dir, shell.Env = cmd.Dir, cmd.Env
	shell.SysProcAttr = cmd.SysProcAttr
	if shell.SysProcAttr == nil {
		shell.SysProcAttr = &syscall.SysProcAttr{}
	}
	shell.SysProcAttr.Setsid = true
	output, err := shell.Output()
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(output)))
}

// run runs cmd to its end; its output is the error's text when it does not succeed.
func run(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(cmd.Path), err, lastLines(output.String(), 25))
	}
	return nil
}

// process is a running process as a pid file names it: the start time guards against a reused process id.
type process struct {
	pid   int
	start string
}

// processOf looks up when the process started.
func processOf(pid int) process {
	start, _ := startTime(pid)
	return process{pid: pid, start: start}
}

// readProcess reads a pid file; ok is false when there is none, or its process is gone.
func readProcess(path string) (p process, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return process{}, false
	}
	if n, _ := fmt.Sscan(string(text), &p.pid, &p.start); n == 0 || p.pid <= 1 {
		return process{}, false
	}
	return p, p.alive()
}

// write keeps the process in a pid file.
func (p process) write(path string) error {
	return os.WriteFile(path, fmt.Appendf(nil, "%d %s\n", p.pid, p.start), 0o644)
}

// alive tells whether the process runs; a zombie does not.
func (p process) alive() bool {
	if syscall.Kill(p.pid, 0) == syscall.ESRCH {
		return false
	}
	start, running := startTime(p.pid)
	return running && (p.start == "" || start == p.start)
}

// stop asks the process to end, and kills it when it has not within the patience.
func (p process) stop(patience time.Duration) {
	if !p.alive() {
		return
	}
	_ = syscall.Kill(p.pid, syscall.SIGTERM)
	for deadline := time.Now().Add(patience); p.alive() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	p.kill()
}

// kill ends the process at once and returns when it is gone.
func (p process) kill() {
	for deadline := time.Now().Add(10 * time.Second); p.alive() && time.Now().Before(deadline); {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		time.Sleep(5 * time.Millisecond)
	}
}

// startTime reads a process's start time in clock ticks since boot (proc(5), field 22). Without /proc the time is
// empty and the process counts as running.
func startTime(pid int) (start string, running bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return "", !exists("/proc/self/stat")
	}
	// The name in parentheses may hold anything: count from its end.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if err != nil || len(fields) < 20 {
		return "", false
	}
	return fields[19], fields[0] != "Z" && fields[0] != "X"
}

// waitUntil calls probe until it answers nil, the process dies, or ctx ends; the error ends with the log's last lines.
func waitUntil(ctx context.Context, p process, probe func(context.Context) error, log string) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := probe(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case !p.alive():
			return fmt.Errorf("the process ended\n%s", logTail(log))
		case ctx.Err() != nil:
			return fmt.Errorf("no answer in time: %w\n%s", err, logTail(log))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// logTail is a heading and the last lines of a log file.
func logTail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return path + " ends with:\n" + lastLines(string(text), 25)
}

// lastLines cuts text to its last n lines.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
