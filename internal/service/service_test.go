package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// TestMain runs a real process of the fake component where a test asked for one.
func TestMain(m *testing.M) {
	if how := os.Getenv("SERVICE_TEST_RUN"); how != "" {
		os.Exit(Start(program(&fake{how: how})))
	}
	os.Exit(m.Run())
}

// fake is a component that ends as how says.
type fake struct {
	how     string
	check   error
	running chan struct{}
}

func (f *fake) Status() admin.Status                     { return admin.Status{Name: "fake"} }
func (f *fake) Ready() error                             { return nil }
func (f *fake) Pause(context.Context) error              { return nil }
func (f *fake) Resume(context.Context) error             { return nil }
func (f *fake) Skip(context.Context, admin.Record) error { return errors.ErrUnsupported }
func (f *fake) Check(context.Context) error              { return f.check }

func (f *fake) Run(ctx context.Context) error {
	if f.running != nil {
		close(f.running)
	}
	switch f.how {
	case "fail":
		return errors.New("the topic is gone")
	case "halt":
		return fmt.Errorf("resuming: %w", &Halt{errors.New("continuity is lost")})
	case "panic":
		panic("oh no")
	case "panic beside":
		go func() { panic("oh no") }()
		time.Sleep(time.Minute)
	case "hang":
		select {}
	case "end":
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func program(f *fake) Program {
	return Program{
		Name: "weir-fake", Short: "a fake", Classes: []string{"com.company.FakeSinkConnector"}, Examples: "weir-fake --config shop.json\nweir-fake --validate",
		Tables: []config.Table{
			{Name: "Fake", Doc: "Of the fake.", Properties: []config.Property{
				{Name: "target.url", Required: true, Doc: "Where to write."},
				{Name: "target.password", Type: config.Secret, Doc: "The password there."},
				{Name: "target.size", Type: config.Int, Default: "3", Doc: "How much."},
				{Name: "target.kind", Inert: "there is one kind"},
			}},
			admin.Properties("127.0.0.1:0"),
		},
		New: func(env Environment) (Main, error) {
			counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_fake_total", Help: "Fakes."})
			env.Metrics.MustRegister(counter)
			var errs []error
			if env.Values.String("target.url") == "nowhere" {
				errs = append(errs, env.Values.Error("target.url", "a place"))
			}
			if env.Values.Int("target.size") == 13 {
				panic("unlucky")
			}
			return f, errors.Join(errs...)
		},
	}
}

// ran is what a run left behind.
type ran struct {
	code           int
	stdout, stderr string
}

func run(f *fake, environ []string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := Run(program(f), Process{Args: args, Environ: environ, Stdin: strings.NewReader("name=piped\ntarget.url=u"), Stdout: &stdout, Stderr: &stderr,
		Patience: time.Second, Abort: func(int) {}})
	return ran{code, stdout.String(), stderr.String()}
}

var good = []string{"--set", "name=n", "--set", "target.url=u"}

func TestHelpAndVersion(t *testing.T) {
	for _, flag := range []string{"--help", "-h", "-help"} {
		r := run(&fake{}, nil, flag)
		for _, want := range []string{"weir-fake: a fake", "  weir-fake --config shop.json\n", "--validate", "Exit codes", "target.url", "required", "admin.listen", "log.level"} {
			if r.code != ExitOK || !strings.Contains(r.stdout, want) {
				t.Errorf("%s: %d, no %q in:\n%s", flag, r.code, want, r.stdout)
			}
		}
		if strings.Contains(r.stdout, "target.kind") {
			t.Error("help has a property without effect")
		}
		for line := range strings.Lines(r.stdout) {
			if len([]rune(line)) > 121 || strings.HasSuffix(line, " \n") {
				t.Errorf("a line too long or with blanks at its end: %q", line)
			}
		}
	}
	if r := run(&fake{}, nil, "--version"); r.code != ExitOK || !strings.HasPrefix(r.stdout, "weir-fake ") || !strings.Contains(r.stdout, "go1.") {
		t.Error(r)
	}
}

func TestMistakesAreListedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.json")
	if err := os.WriteFile(path, []byte("{\n\"target.url\": \"nowhere\",\n\"target.sice\": 3,\n\"admin.user\": \"u\",\n\"target.pasword\": \"hunter2\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(&fake{}, []string{"WEIR_TARGET_SIZE=many"}, "--config", path)
	want := strings.ReplaceAll(`weir-fake: the configuration has 6 mistakes:
  PATH:3: target.sice = "3": unknown property; did you mean target.size?
  PATH:5: target.pasword = "****": unknown property; did you mean target.password?
  WEIR_TARGET_SIZE: target.size = "many": want a whole number
  name is not set: want a text (The connector's name, which group ids and client ids are made of)
  admin.password is not set: want the password of admin.user
  PATH:2: target.url = "nowhere": want a place
`, "PATH", path)
	if r.code != ExitConfiguration || r.stderr != want || r.stdout != "" {
		t.Errorf("%d\ngot:\n%s\nwant:\n%s", r.code, r.stderr, want)
	}
	if r := run(&fake{}, nil, append(good, "--set", "connector.class=io.debezium.connector.mysql.MySqlConnector")...); r.code != ExitConfiguration ||
		!strings.Contains(r.stderr, "want com.company.FakeSinkConnector") {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"--no-such"}, {"connector.json"}, {"--config"}} {
		if r := run(&fake{}, nil, args...); r.code != ExitConfiguration || !strings.Contains(r.stderr, "Try weir-fake --help.") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := run(&fake{}, nil, "--set", "target.size=13"); r.code != ExitConfiguration || strings.Contains(r.stderr, "unlucky") {
		t.Errorf("%+v", r)
	}
	if r := run(&fake{}, nil, append(good, "--set", "target.size=13")...); r.code != ExitConfiguration || !strings.Contains(r.stderr, "unlucky") {
		t.Errorf("%+v", r)
	}
}

func TestValidate(t *testing.T) {
	r := run(&fake{}, nil, append(good, "--validate", "--set", "target.kind=x")...)
	want := "configuration  ok, with 1 notice:\n  --set: target.kind: has no effect: there is one kind\nservers        ok\n"
	if r.code != ExitOK || r.stdout != want {
		t.Errorf("%+v", r)
	}
	r = run(&fake{check: errors.Join(errors.New("no answer"), errors.New("no grant"))}, nil, "--validate", "--config", "-")
	if want := "configuration  ok\nservers        2 findings:\n  no answer\n  no grant\n"; r.code != ExitServers || r.stdout != want {
		t.Errorf("%+v", r)
	}
}

func TestExitCodes(t *testing.T) {
	for how, want := range map[string]struct {
		code int
		log  string
	}{
		"end":   {ExitOK, `"done"`},
		"fail":  {ExitFailed, "the topic is gone"},
		"halt":  {ExitHalted, "continuity is lost"},
		"panic": {ExitFailed, "service_test.go"},
	} {
		if r := run(&fake{how: how}, nil, good...); r.code != want.code || !strings.Contains(r.stderr, want.log) {
			t.Errorf("%s: %+v", how, r)
		}
	}
	if r := run(&fake{}, nil, append(good, "--set", "admin.listen=256.0.0.1:1")...); r.code != ExitFailed || !strings.Contains(r.stderr, "admin.listen") {
		t.Errorf("%+v", r)
	}
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		how             string
		signals, aborts int
	}{{"", 1, 0}, {"hang", 1, 1}, {"hang", 2, 1}} {
		f := &fake{how: c.how, running: make(chan struct{})}
		signals := make(chan os.Signal, 2)
		aborted := make(chan int, 1)
		code := make(chan int, 1)
		go func() {
			code <- Run(program(f), Process{Args: good, Stdout: io.Discard, Stderr: io.Discard, Signals: signals, Patience: 50 * time.Millisecond,
				Abort: func(code int) { aborted <- code }})
		}()
		<-f.running
		for range c.signals {
			signals <- syscall.SIGTERM
		}
		select {
		case got := <-code:
			if got != ExitOK || c.aborts != 0 {
				t.Errorf("%+v: ended with %d", c, got)
			}
		case got := <-aborted:
			if got != ExitFailed || c.aborts != 1 {
				t.Errorf("%+v: aborted with %d", c, got)
			}
		}
	}
}

// output is a buffer that a process writes and a test reads.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a process of the fake component.
func start(t *testing.T, how string, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SERVICE_TEST_RUN="+how)
	cmd.Dir = t.TempDir()
	logs := &output{}
	cmd.Stderr = logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, logs
}

func TestProcessServesAndStops(t *testing.T) {
	cmd, logs := start(t, "run", good...)
	var started struct{ Message, Admin, Connector, Time, Level string }
	for deadline := time.Now().Add(20 * time.Second); started.Message != "started"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(logs.String())
		}
		line, _, complete := strings.Cut(logs.String(), "\n")
		if complete {
			if err := json.Unmarshal([]byte(line), &started); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/status": `"name": "fake"`, "/metrics": "weir_fake_total 0"} {
		response, err := http.Get("http://" + started.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: %s", path, text)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, logs.String())
	}
}

func TestPanicBesideEndsBySignal(t *testing.T) {
	cmd, logs := start(t, "panic beside", good...)
	err := cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !ok || !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Errorf("%v, %v", err, cmd.ProcessState)
	}
	if !strings.Contains(logs.String(), "panic: oh no") {
		t.Error(logs.String())
	}
	if files, _ := filepath.Glob(filepath.Join(cmd.Dir, "core*")); len(files) > 0 {
		t.Error(files)
	}
}

func TestTablesAreSound(t *testing.T) {
	if err := config.Lint(program(nil).AllTables()...); err != nil {
		t.Error(err)
	}
}
