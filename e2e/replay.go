package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/internal/admin"
)

// weirctl runs weirctl and returns its exit code and all it said.
func (f *fleet) weirctl(args ...string) (code int, said string, err error) {
	command := exec.CommandContext(f.t.Context(), filepath.Join(folder, "weirctl"), args...)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(output), nil
	}
	return 0, string(output), err
}

// instances are the slots of a sink.
func (c *chaos) instances(sink int) []*slot {
	first := c.sinks[sink][0]
	for _, s := range c.slots {
		if s.Component == first {
			return s.service
		}
	}
	return nil
}

// stopped does something while no instance of a sink runs.
func (c *chaos) stopped(sink int, do func()) {
	c.t.Helper()
	for _, s := range c.instances(sink) {
		s.Lock() // waits for what is being done to it
		defer s.Unlock()
		if !s.out {
			c.must(s.Stop(patience))
		}
	}
	do()
	for _, s := range c.instances(sink) {
		if !s.out {
			c.must(s.Restart(c.t.Context()))
		}
	}
}

// replay lets a sink read everything again, as operations.md says: it is
// stopped, its offsets are moved, it is started.
func (c *chaos) replay(sink int, says ...string) {
	c.t.Helper()
	file := c.sinks[sink][0].Config
	c.stopped(sink, func() {
		var said string
		c.must(c.until("the group to be empty", func(ctx context.Context) string {
			code, text, err := c.weirctl("reset", "-c", file, "--to", "earliest", "--yes")
			said = text
			switch {
			case err != nil:
				return err.Error()
			case code == 1 && strings.Contains(text, "the group has members"): // that were killed
				return text
			case code != 0:
				c.t.Errorf("weirctl reset: exit code %d\n%s", code, text)
			}
			return ""
		}))
		for _, want := range append(says, "The offsets are moved. Start the sink again.") {
			if !strings.Contains(said, want) {
				c.t.Errorf("weirctl reset does not say %q:\n%s", want, said)
			}
		}
	})
}

// lakeSays is what to do in place of a reset.
const lakeSays = `the offsets of a lake cannot be moved: its files are named by them, and rows would be missing or double.
To write everything again, give the sink a new name and a new folder (name, topics.dir) and remove the old folder when it has caught up`

// refuseLake asks for a reset of the lake, which is refused.
func (c *chaos) refuseLake() {
	c.t.Helper()
	for _, args := range [][]string{{}, {"--yes"}, {"--yes", "--topic", c.topic("orders"), "--partition", "0"}} {
		code, said, err := c.weirctl(append([]string{"reset", "-c", c.sinks[lakeSink][0].Config, "--to", "earliest"}, args...)...)
		if c.must(err); code != 1 || !strings.Contains(said, lakeSays) {
			c.t.Errorf("weirctl reset of the lake: exit code %d\n%s", code, said)
		}
	}
}

// resetLake moves the lake's offsets by other means, which know nothing of it:
// it refuses to go on, and says why, until they are what they were.
func (c *chaos) resetLake() {
	c.t.Helper()
	cluster, group := kadm.NewClient(c.kafka), "weir-"+c.prefix+"-weir-lake"
	var before kadm.OffsetResponses
	c.stopped(lakeSink, func() {
		var err error
		before, err = cluster.FetchOffsets(c.t.Context(), group)
		c.must(err)
		c.must(c.until("the group to be empty", func(ctx context.Context) string {
			moved := kadm.Offsets{}
			before.Each(func(o kadm.OffsetResponse) { moved.AddOffset(o.Topic, o.Partition, 0, -1) })
			return text(cluster.CommitAllOffsets(ctx, group, moved))
		}))
	})
	c.must(c.until("the lake to refuse", func(ctx context.Context) string {
		for _, s := range c.instances(lakeSink) {
			status, _ := s.Status(ctx) // it may be one that is out
			for _, task := range status.Tasks {
				if task.State == admin.Failed && strings.Contains(task.Problem.Text, "the committed offset was not set by a lake") &&
					strings.Contains(task.Problem.Do+task.Problem.Text, "begin anew with another group.id and another topics.dir") {
					return ""
				}
			}
		}
		return "no partition is FAILED"
	}))
	c.stopped(lakeSink, func() {
		c.must(c.until("the group to be empty", func(ctx context.Context) string {
			return text(cluster.CommitAllOffsets(ctx, group, before.Offsets()))
		}))
	})
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// rebuild builds the indexes anew, beside the caller, and once more from where it
// was if it is killed after a while. done is closed at its end.
func (c *chaos) rebuild(killed time.Duration) (done chan struct{}) {
	done, c.rebuilt = make(chan struct{}), true
	args := []string{"rebuild", "elasticsearch", "-c", c.sinks[searchSink][0].Config}
	c.beside.Go(func() error {
		defer close(done)
		if killed > 0 {
			first := exec.CommandContext(c.t.Context(), filepath.Join(folder, "weirctl"), args...)
			var said bytes.Buffer
			first.Stdout, first.Stderr = &said, &said
			if err := first.Start(); err != nil {
				return err
			}
			time.AfterFunc(killed, func() { _ = first.Process.Kill() }) // it may have ended
			if err := first.Wait(); err == nil {
				return nil // it was faster
			}
			c.t.Logf("killed: %s", said.String())
		}
		code, said, err := c.weirctl(args...)
		if err == nil && (code != 0 || !strings.Contains(said, "caught up: the aliases point to generation ")) {
			err = fmt.Errorf("weirctl rebuild: exit code %d\n%s", code, said)
		}
		c.t.Logf("rebuilt:\n%s", said)
		return err
	})
	return done
}

// checkLive looks which generation of the indexes is live, and that the sinks
// keep that one.
func (c *chaos) checkLive() {
	c.t.Helper()
	var live struct {
		Source struct {
			Generation int    `json:"generation"`
			Group      string `json:"group"`
		} `json:"_source"`
	}
	if !c.rebuilt {
		return
	}
	c.must(c.ask(c.t.Context(), http.MethodGet, "/weir-connectors/_doc/"+c.prefix+"-weir-elasticsearch", "", &live))
	if live.Source.Generation != 2 {
		c.t.Errorf("generation %d is live, want 2", live.Source.Generation)
	}
	for _, s := range c.instances(searchSink) {
		if status, err := s.Status(c.t.Context()); err != nil || status.Group != live.Source.Group {
			c.t.Errorf("%s is in group %q (%v), and %q is live", s.Name, status.Group, err, live.Source.Group)
		}
	}
}
