package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is what a process runs.
type Command struct {
	Name    string // of the process, and of its log
	Program string
	Args    []string
	Env     []string // besides this process's own
}

// Group is processes that were started together and end together, at the latest
// with the process that started them. Their logs are in one folder.
type Group struct {
	folder string

	mu  sync.Mutex
	all []*Process
}

// name is a name for one more process: the second of a program is called
// <program>-2.
func (g *Group) name(program string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := filepath.Base(program)
	for n := 2; slices.ContainsFunc(g.all, func(p *Process) bool { return p.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", filepath.Base(program), n)
	}
	return name
}

// NewGroup is an empty group whose logs go to a folder.
func NewGroup(folder string) (*Group, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of logs: %w", err)
	}
	return &Group{folder: folder}, nil
}

// Process is a command that can be started and ended over and over.
type Process struct {
	Command
	log string // path

	mu    sync.Mutex
	run   *running         // nil: not started, or ended as asked
	ended *os.ProcessState // of the run that ended last as asked, nil before
	count int
}

// running is one run of a process.
type running struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, when done
}

// end says how a run that is done ended.
func (r *running) end() error {
	if r.err == nil {
		return errors.New("exit status 0")
	}
	return r.err
}

// Start starts a process.
func (g *Group) Start(c Command) (*Process, error) {
	p := &Process{Command: c, log: filepath.Join(g.folder, c.Name+".log")}
	if err := os.RemoveAll(p.log); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	g.mu.Lock()
	g.all = append(g.all, p)
	g.mu.Unlock()
	return p, p.Start()
}

// Start starts the process again; it must not be running.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	// The process ends when it is told to, not with a context.
	cmd := exec.Command(p.Program, p.Args...) //nolint:noctx // see above
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	r := &running{cmd: cmd, done: make(chan struct{})}
	go func() {
		r.err = cmd.Wait()
		close(r.done)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = r
	p.count++
	return nil
}

// take returns the run, of which nobody is told any more how it ended.
func (p *Process) take() *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.run
	p.run = nil
	return r
}

// wait waits for the end of a run and keeps what it took.
func (p *Process) wait(r *running) {
	<-r.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = r.cmd.ProcessState
}

// Kill ends the process at once, as a crash of the machine would. It returns
// when the process is gone, and an error if it was not running.
func (p *Process) Kill() error {
	r := p.take()
	if r == nil {
		return fmt.Errorf("killing %s: it does not run", p.Name)
	}
	err := r.cmd.Process.Kill()
	p.wait(r)
	if err != nil {
		return fmt.Errorf("killing %s: it had ended by itself: %w\n%s", p.Name, r.end(), p.LogTail())
	}
	return nil
}

// Freeze stops the process where it is, as a machine does that is suspended; it
// neither ends nor answers until Thaw. It may be killed meanwhile.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets the process go on after Freeze.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Signal sends the process a signal; an error says that it does not run.
func (p *Process) Signal(s os.Signal) error {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return fmt.Errorf("sending %s to %s: it does not run", s, p.Name)
	}
	if err := r.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending %s to %s: %w\n%s", s, p.Name, err, p.LogTail())
	}
	return nil
}

// Stop asks the process to end and waits for it. An error says that it did not
// end within patience, so that it was killed, or not with exit code 0.
func (p *Process) Stop(patience time.Duration) error {
	r := p.take()
	if r == nil {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = r.cmd.Process.Signal(syscall.SIGCONT) // one that is frozen would not hear it
	defer p.wait(r)
	select {
	case <-r.done:
	case <-time.After(patience):
		_ = r.cmd.Process.Kill() // it may have ended now
		<-r.done
		return fmt.Errorf("stopping %s: it did not end within %v\n%s", p.Name, patience, p.LogTail())
	}
	if r.err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", p.Name, r.err, p.LogTail())
	}
	return nil
}

// PID is the id of the process, 0 if it was not started or ended as asked.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return 0
	}
	return p.run.cmd.Process.Pid
}

// Ended is an error if the process should run and does not.
func (p *Process) Ended() error {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return fmt.Errorf("%s ended by itself: %w\n%s", p.Name, r.end(), p.LogTail())
	default:
		return nil
	}
}

// Ended is an error if any of the processes should run and does not.
func (g *Group) Ended() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, p := range g.all {
		errs = append(errs, p.Ended())
	}
	return errors.Join(errs...)
}

// Stop asks all processes to end, those that were started last first, and waits
// for each.
func (g *Group) Stop(patience time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for i := len(g.all) - 1; i >= 0; i-- {
		errs = append(errs, g.all[i].Stop(patience))
	}
	return errors.Join(errs...)
}

// lines is how much of a log is shown.
const lines = 15

// LogTail is a heading and the end of the process's log.
func (p *Process) LogTail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return p.log + " ends with:\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Log is the path of the process's log.
func (p *Process) Log() string { return p.log }

// Until calls probe until it returns nil, but not beyond the end of ctx or of
// the process.
func (p *Process) Until(ctx context.Context, probe func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := probe(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ended := p.Ended(); ended != nil {
			return ended
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w\n%s", p.Name, err, p.LogTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
