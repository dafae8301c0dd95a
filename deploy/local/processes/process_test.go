package processes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func group(t *testing.T) *Group {
	t.Helper()
	g, err := NewGroup(filepath.Join(t.TempDir(), "logs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Stop(time.Second) })
	return g
}

func start(t *testing.T, g *Group, name, script string) *Process {
	t.Helper()
	p, err := g.Start(Command{Name: name, Program: "/bin/sh", Args: []string{"-c", script}, Env: []string{"GREETING=hello"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says waits for a text in the process's log.
func says(t *testing.T, p *Process, text string) {
	t.Helper()
	saysTimes(t, p, text, 1)
}

// saysTimes waits for a text to be there as many times.
func saysTimes(t *testing.T, p *Process, text string, times int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := p.Until(ctx, func(context.Context) error {
		if log, _ := os.ReadFile(p.Log()); strings.Count(string(log), text) < times {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProcessesAreKilledStartedAgainAndStopped(t *testing.T) {
	g := group(t)
	p := start(t, g, "one", `trap 'echo bye; exit 0' TERM; echo $GREETING $$; while :; do sleep 0.05; done`)
	says(t, p, "hello")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Ended(); err != nil {
		t.Errorf("a killed process is missed: %v", err)
	}
	if err := p.Kill(); err == nil {
		t.Error("a process is killed that does not run")
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	saysTimes(t, p, "hello", 2)
	if err := g.Stop(2 * time.Minute); err != nil {
		t.Error(err)
	}
	log, _ := os.ReadFile(p.Log())
	if strings.Count(string(log), "hello") != 2 || !strings.Contains(string(log), "bye") {
		t.Errorf("the log has %q", log)
	}
}

func TestAFrozenProcessGoesOnWhenItThaws(t *testing.T) {
	g := group(t)
	p := start(t, g, "one", `trap 'echo bye; exit 0' TERM; while :; do echo tick; sleep 0.01; done`)
	says(t, p, "tick")
	state := func() string {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(p.run.cmd.Process.Pid) + "/stat")
		return strings.Fields(string(stat))[2]
	}
	for range 3 {
		if err := p.Freeze(); err != nil {
			t.Fatal(err)
		}
		err := p.Until(t.Context(), func(context.Context) error {
			if state() != "T" {
				return errors.New("it is not frozen")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		log, _ := os.ReadFile(p.Log())
		if err := p.Thaw(); err != nil {
			t.Fatal(err)
		}
		saysTimes(t, p, "tick", strings.Count(string(log), "tick")+1)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(2 * time.Minute); err != nil { // it hears that it is to end
		t.Error(err)
	}
	if p.Freeze() == nil || p.Thaw() == nil {
		t.Error("a process that does not run is frozen and thawed")
	}
}

func TestComponentsOfOneBinaryHaveNamesOfTheirOwn(t *testing.T) {
	g := group(t)
	for _, want := range []string{"sleep", "sleep-2", "sleep-3"} {
		name := g.name("/bin/sleep")
		if name != want {
			t.Errorf("got %s, want %s", name, want)
		}
		start(t, g, name, "sleep 60")
	}
}

func TestAWaitEndsWhenNothingMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Stall
		for i := range 5 {
			for range 2 {
				if err := s.Check(strconv.Itoa(i / 2)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(stalled / 4)
			}
		}
		time.Sleep(stalled)
		if err := s.Check("2"); err == nil {
			t.Error("nothing has moved, and the wait goes on")
		}
		if err := s.Check("3"); err != nil {
			t.Errorf("it moves again: %v", err)
		}
	})
}

func TestProcessesThatEndByThemselvesAreMissed(t *testing.T) {
	g := group(t)
	p := start(t, g, "short", "echo why; exit 3")
	err := p.Until(t.Context(), func(context.Context) error { return errors.New("never") })
	if err == nil || !strings.Contains(err.Error(), "why") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if err := g.Ended(); err == nil {
		t.Error("the group does not know")
	}
}

func TestProcessesThatDoNotStopAreKilled(t *testing.T) {
	g := group(t)
	p := start(t, g, "stubborn", `trap '' TERM; echo here; while :; do sleep 0.05; done`)
	says(t, p, "here")
	if err := p.Stop(200 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("got %v", err)
	}
}

// TestMain is also the owner that TestProcessesEndWithTheirOwner kills.
func TestMain(m *testing.M) {
	if folder := os.Getenv("WEIR_TEST_OWNER"); folder != "" {
		g, err := NewGroup(folder)
		if err == nil {
			_, err = g.Start(Command{Name: "child", Program: "/bin/sh", Args: []string{"-c", "echo $$; exec sleep 60"}})
		}
		if err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(m.Run())
}

func TestProcessesEndWithTheirOwner(t *testing.T) {
	folder := t.TempDir()
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), "WEIR_TEST_OWNER="+folder)
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	for deadline := time.Now().Add(2 * time.Minute); child == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(folder, "child.log"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err := owner.Process.Kill(); err != nil || child == 0 {
		t.Fatalf("child %d, %v", child, err)
	}
	_ = owner.Wait()
	for deadline := time.Now().Add(2 * time.Minute); alive(child); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives its owner", child)
		}
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil
}

func TestPositionsAreOrdered(t *testing.T) {
	order := []string{"", `{"file":"binlog.000009","pos":700}`, `{"file":"binlog.000010","pos":4}`, `{"file":"binlog.000010","pos":157,"gtids":"x"}`, `{"file":"binlog.1000000","pos":4}`}
	for i, a := range order {
		for j, b := range order {
			p, errP := parsePosition(a)
			q, errQ := parsePosition(b)
			if errP != nil || errQ != nil || p.compare(q) < 0 != (i < j) {
				t.Errorf("%s and %s: %d, %v, %v", a, b, p.compare(q), errP, errQ)
			}
		}
	}
	if _, err := parsePosition("no JSON"); err == nil {
		t.Error("a position that is no JSON is read")
	}
}

func TestBinariesAreBuilt(t *testing.T) {
	root, err := Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "bin")
	if err := Build(t.Context(), root, folder, "./deploy/local/kfake"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(folder, "kfake")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if err := Build(t.Context(), root, folder, "./absent"); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v", err)
	}
}
