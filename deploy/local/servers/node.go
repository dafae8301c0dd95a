package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// node is one server process and its folder.
type node struct {
	local     *Local
	name      string
	dir       string
	preferred []int // ports to listen on; 0: any free one
	ports     []int // the chosen ones, set once the node runs
	args      []string
	recipe    recipe
}

// recipe says how a kind of server is run.
type recipe struct {
	// fetch makes the server's programs available; it may take minutes the first time.
	fetch func(ctx context.Context) error
	// command writes the configuration and, into an empty folder, the initial data; it returns the server's command.
	command func(ctx context.Context, n *node) (*exec.Cmd, error)
	// probe returns nil when the server serves requests.
	probe func(ctx context.Context, n *node) error
	// pidFile is the file in the node's folder to which a server that leaves the foreground by itself writes its process
	// id; its command returns then. Empty: the command is the server.
	pidFile string
}

// path is a file in the node's folder.
func (n *node) path(elements ...string) string {
	return filepath.Join(append([]string{n.dir}, elements...)...)
}

// ensure starts the node unless it runs already; other processes that want the same wait meanwhile.
func (n *node) ensure(ctx context.Context) error {
	unlock, err := lockFile(ctx, n.dir+".lock", func() {
		n.local.progress.say(n.name, "waiting", "it is being started")
	})
	if err != nil {
		return err
	}
	defer unlock()
	if n.running(ctx) {
		return nil
	}
	return n.start(ctx)
}

// running tells whether the node's process of an earlier start lives and answers; one that does not answer in time is
// killed.
func (n *node) running(ctx context.Context) bool {
	p, alive := readProcess(n.path("pid"))
	if !alive {
		return false
	}
	var err error
	if n.ports, err = readPorts(n.path("ports")); err == nil {
		ctx, cancel := context.WithTimeout(ctx, startPatience)
		defer cancel()
		err = waitUntil(ctx, p, n.probe, n.path("log"))
	}
	if err != nil {
		n.local.progress.say(n.name, "restarting", err.Error())
		p.kill()
	}
	return err == nil
}

// start fetches, prepares and starts the node, and returns when it answers.
func (n *node) start(ctx context.Context) error {
	if err := n.recipe.fetch(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := makeFolder(n.dir); err != nil {
		return err
	}
	n.endUnknown()
	var err error
	if n.ports, err = choosePorts(n.path("ports"), n.preferred); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	cmd, err := n.recipe.command(ctx, n)
	if err != nil {
		return err
	}
	p, err := n.launch(ctx, cmd)
	if err != nil {
		return err
	}
	if err := waitUntil(ctx, p, n.probe, n.path("log")); err != nil {
		p.kill()
		return err
	}
	n.local.progress.say(n.name, "started", fmt.Sprintf("%-16s %s", address(n.ports[0]), since(begin)))
	return nil
}

// launch starts the command and writes the pid file.
func (n *node) launch(ctx context.Context, cmd *exec.Cmd) (process, error) {
	if n.recipe.pidFile == "" {
		pid, err := launch(ctx, cmd, n.path("log"))
		if err != nil {
			return process{}, err
		}
		p := processOf(pid)
		return p, p.write(n.path("pid"))
	}
	if err := run(cmd); err != nil {
		n.endUnknown() // the launcher was killed, perhaps, and the server not
		return process{}, err
	}
	p, alive := readProcess(n.path(n.recipe.pidFile))
	if !alive {
		return process{}, fmt.Errorf("reading the process id from %s: no such process", n.path(n.recipe.pidFile))
	}
	p = processOf(p.pid)
	return p, p.write(n.path("pid"))
}

// endUnknown kills a server of this folder that nobody knows of: one that leaves the foreground by itself, and whose
// launcher, or who started it, was killed before its process id was kept.
func (n *node) endUnknown() {
	if n.recipe.pidFile == "" {
		return
	}
	p, alive := readProcess(n.path(n.recipe.pidFile))
	if !alive {
		return
	}
	// The file may be old and the id another process's by now: ours has the folder in its arguments.
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if err == nil && bytes.Contains(arguments, []byte(n.dir+"/")) {
		p.kill()
	}
}

func (n *node) probe(ctx context.Context) error { return n.recipe.probe(ctx, n) }

// down stops the node cleanly if it runs.
func (n *node) down(ctx context.Context) error {
	unlock, err := lockFile(ctx, n.dir+".lock", nil)
	if err != nil {
		return err
	}
	defer unlock()
	p, alive := readProcess(n.path("pid"))
	if !alive {
		n.endUnknown()
		return nil
	}
	begin := time.Now()
	p.stop(stopPatience)
	n.local.progress.say(n.name, "stopped", since(begin))
	return os.Remove(n.path("pid"))
}
