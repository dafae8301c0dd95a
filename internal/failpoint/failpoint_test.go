package failpoint_test

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// program builds testdata/steps.
func program(t *testing.T, tags string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "steps")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", path, "./testdata/steps")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return path
}

const all = "begin 1\nend 1\nbegin 2\nend 2\nbegin 3\nend 3\n"

func TestSteps(t *testing.T) {
	plain, tagged := program(t, ""), program(t, "failpoint")
	for _, c := range []struct {
		name, path, variable string
		output, says         string
		signal               syscall.Signal
		code                 int
	}{
		{name: "a released binary knows nothing of it", path: plain, variable: "publisher.begin", output: all},
		{name: "nothing is asked for", path: tagged, output: all},
		{name: "the first passage", path: tagged, variable: "publisher.begin", output: "begin 1\n", says: "failpoint: publisher.begin:1: kill\n", signal: syscall.SIGKILL},
		{name: "a later one", path: tagged, variable: "publisher.ended:2", output: "begin 1\nend 1\nbegin 2\nend 2\n", says: "failpoint: publisher.ended:2: kill\n", signal: syscall.SIGKILL},
		{name: "the first of several", path: tagged, variable: "publisher.ended:3,publisher.begin:2", output: "begin 1\nend 1\nbegin 2\n", says: "failpoint: publisher.begin:2: kill\n", signal: syscall.SIGKILL},
		{name: "one that does not come", path: tagged, variable: "publisher.ended:4", output: all},
		{name: "an unknown step", path: tagged, variable: "publisher.bogus", says: "failpoint: reading WEIR_FAILPOINT=\"publisher.bogus\": there is no step \"publisher.bogus\"\n", code: 2},
		{name: "no number", path: tagged, variable: "publisher.begin:x", says: "failpoint: reading WEIR_FAILPOINT=\"publisher.begin:x\": \"x\" is no number of a passage\n", code: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var output, says bytes.Buffer
			cmd := exec.CommandContext(t.Context(), c.path)
			cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "WEIR_FAILPOINT="+c.variable), &output, &says
			var ended *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
				t.Fatal(err)
			}
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if output.String() != c.output || says.String() != c.says || status.Signaled() != (c.signal != 0) ||
				status.Signaled() && status.Signal() != c.signal || !status.Signaled() && status.ExitStatus() != c.code {
				t.Errorf("%v\n%s%s", status, &output, &says)
			}
		})
	}
}

func TestAStepStopsUntilItIsWoken(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), program(t, "failpoint"))
	cmd.Env = append(os.Environ(), "WEIR_FAILPOINT=publisher.begin:2:stop")
	var output bytes.Buffer
	cmd.Stdout = &output
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(says).ReadString('\n'); err != nil || line != "failpoint: publisher.begin:2: stop\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it did not stop: %v, %v", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || output.String() != all {
		t.Errorf("%v\n%s", err, &output)
	}
}
