package servers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scratch is a set with folders of its own, and what it says.
func scratch(t *testing.T) (*Local, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	local, err := Open(Options{Cache: t.TempDir(), Data: t.TempDir(), Progress: &said})
	if err != nil {
		t.Fatal(err)
	}
	return local, &said
}

// sleeper is a recipe whose server is a shell that says a line and sleeps; answers tells whether it answers.
func sleeper(answers func(n *node) bool) recipe {
	return recipe{
		fetch: func(context.Context) error { return nil },
		command: func(context.Context, *node) (*exec.Cmd, error) {
			return exec.Command("/bin/sh", "-c", "echo hello from the server; exec sleep 600"), nil
		},
		probe: func(_ context.Context, n *node) error {
			if !answers(n) {
				return errors.New("no answer")
			}
			return nil
		},
	}
}

func always(*node) bool { return true }

func pidOf(t *testing.T, n *node) int {
	t.Helper()
	p, alive := readProcess(n.path("pid"))
	if !alive {
		t.Fatalf("%s does not run", n.name)
	}
	return p.pid
}

func TestAServerIsStartedOnceAndFoundAgain(t *testing.T) {
	local, _ := scratch(t)
	first, second := local.shared("s", sleeper(always), 0), local.shared("s", sleeper(always), 0)
	for _, n := range []*node{first, second} {
		if err := n.ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := pidOf(t, first), pidOf(t, second); a != b {
		t.Errorf("started twice: %d and %d", a, b)
	}
	if first.ports[0] != second.ports[0] {
		t.Errorf("ports %v and %v", first.ports, second.ports)
	}
	if err := first.down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, alive := readProcess(first.path("pid")); alive {
		t.Error("it runs after down")
	}
}

func TestAServerThatDoesNotAnswerIsReplaced(t *testing.T) {
	local, said := scratch(t)
	n := local.shared("s", sleeper(always), 0)
	if err := n.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.down(context.Background()) })
	old := pidOf(t, n)
	n.recipe = sleeper(func(n *node) bool { p, _ := readProcess(n.path("pid")); return p.pid != old })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if n.running(ctx) {
		t.Error("a deaf server counts as running")
	}
	if err := n.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pidOf(t, n) == old || !strings.Contains(said.String(), "restarting") {
		t.Errorf("not replaced; said:\n%s", said)
	}
}

func TestAFailedStartShowsTheLogsTail(t *testing.T) {
	local, _ := scratch(t)
	recipe := sleeper(func(*node) bool { return false })
	recipe.command = func(context.Context, *node) (*exec.Cmd, error) {
		return exec.Command("/bin/sh", "-c", "echo the disk is full; exit 3"), nil
	}
	err := local.shared("s", recipe, 0).ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error: %v", err)
	}
}

func TestATakenPortIsAvoided(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	taken := listener.Addr().(*net.TCPAddr).Port
	ports, err := choosePorts(filepath.Join(t.TempDir(), "ports"), []int{taken, 0})
	if err != nil {
		t.Fatal(err)
	}
	if ports[0] == taken || ports[0] == 0 || ports[1] == 0 || ports[0] == ports[1] {
		t.Errorf("ports %v with %d taken", ports, taken)
	}
}

func TestAChosenPortStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports")
	first, err := choosePorts(file, []int{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	second, err := choosePorts(file, []int{0, 0})
	if err != nil || fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("ports %v, then %v, %v", first, second, err)
	}
}

func TestAReusedProcessIDIsNotOurs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	own := processOf(os.Getpid())
	if err := own.write(file); err != nil {
		t.Fatal(err)
	}
	if _, alive := readProcess(file); !alive {
		t.Error("our own process counts as dead")
	}
	own.start += "1"
	if err := own.write(file); err != nil {
		t.Fatal(err)
	}
	if _, alive := readProcess(file); alive {
		t.Error("a process that started at another time counts as ours")
	}
}

func TestPrivateServersOfADeadProcessAreSwept(t *testing.T) {
	local, _ := scratch(t)
	n, release, err := local.private("s", sleeper(always), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	local.sweep()
	if _, alive := readProcess(n.path("pid")); !alive {
		t.Fatal("swept while its owner lives")
	}
	orphan, _ := readProcess(n.path("pid"))
	// Another folder of the same shape whose owner's lock is free: what a dead process leaves behind.
	dead := filepath.Join(local.data, "private", "dead")
	if err := os.Rename(n.dir, dead); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dead+".owner", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	local.sweep()
	if orphan.alive() || exists(dead) || exists(dead+".owner") {
		t.Error("the orphan is still there")
	}
	release()
}

func TestAFetchThatFailsLeavesNothing(t *testing.T) {
	local, _ := scratch(t)
	fetch := func(result error) (string, error) {
		return local.fetchOnce(t.Context(), "thing-1", "test", func(_ context.Context, dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644), result)
		})
	}
	if _, err := fetch(io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error: %v", err)
	}
	if exists(filepath.Join(local.cache, "thing-1")) {
		t.Error("half of it is in the cache")
	}
	dir, err := fetch(nil)
	if err != nil || !exists(filepath.Join(dir, "f")) {
		t.Errorf("the second attempt: %s, %v", dir, err)
	}
	if again, err := fetch(io.ErrUnexpectedEOF); err != nil || again != dir {
		t.Errorf("fetched again: %s, %v", again, err)
	}
}

// TestLockHelper is another process for TestALockEndsWithItsProcess.
func TestLockHelper(t *testing.T) {
	path := os.Getenv("WEIR_TEST_LOCK")
	if path == "" {
		return
	}
	if _, err := lockFile(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	time.Sleep(time.Minute)
}

func TestALockEndsWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockHelper$")
	cmd.Env = append(os.Environ(), "WEIR_TEST_LOCK="+path)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("helper said %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := lockFile(ctx, path, func() { waited = true }); !errors.Is(err, context.DeadlineExceeded) || !waited {
		t.Errorf("locking what another process holds: %v, waited %v", err, waited)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	unlock, err := lockFile(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestDebianMirrorIsReadFromBothFormats(t *testing.T) {
	for name, text := range map[string]string{
		"sources.list":                  "# deb http://old.example/debian x main\ndeb http://mirror.example/debian bookworm main\n",
		"sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
	} {
		etc := t.TempDir()
		file := filepath.Join(etc, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		if mirror, err := debianMirror(etc); err != nil || mirror != "http://mirror.example/debian" {
			t.Errorf("%s: %q, %v", name, mirror, err)
		}
	}
	if mirror, err := debianMirror(t.TempDir()); err == nil {
		t.Errorf("no sources: %q", mirror)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for _, test := range []struct {
		version      []int
		major, minor int
		want         bool
	}{
		{[]int{9, 7, 4}, 8, 0, true}, {[]int{8, 0}, 8, 0, true}, {[]int{5, 7, 44}, 8, 0, false},
		{[]int{10, 4, 1}, 10, 5, false}, {[]int{11, 0}, 10, 5, true}, {nil, 1, 0, false},
	} {
		if got := atLeast(test.version, test.major, test.minor); got != test.want {
			t.Errorf("%v at least %d.%d: %v", test.version, test.major, test.minor, got)
		}
	}
}
