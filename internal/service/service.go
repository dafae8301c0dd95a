// Package service is what the mains of all components share: flags, the
// configuration and what is wrong with it, logs, the HTTP port, signals, and
// exit codes. A component brings its tables and what it runs.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
)

// The exit codes of every binary. A crash (a panic) ends by SIGABRT, which
// shells show as 134.
const (
	ExitOK            = 0 // ended as asked: SIGTERM, SIGINT, --help, --version, --validate without findings
	ExitFailed        = 1 // the component could not go on, or did not stop in time
	ExitConfiguration = 2 // the flags or the configuration are wrong
	ExitServers       = 3 // --validate: a server cannot be reached, or is not as it must be
	ExitHalted        = 4 // stopped because going on could lose or double data; starting again does not help
)

const (
	stopTimeout     = 10 * time.Second
	validateTimeout = 30 * time.Second
)

// Program is one component.
type Program struct {
	Name     string // of the binary
	Short    string // what it does, in a line
	Examples string // for --help, without indentation
	Tables   []config.Table
	// Classes are the values of connector.class that the component takes.
	Classes []string
	// New makes the component of its configuration. It reads nothing but
	// Values, files they name included, so that all errors are found at once;
	// the error joins them.
	New func(Environment) (Main, error)
}

// AllTables are the tables of the component and those of every component.
func (p Program) AllTables() []config.Table {
	return append([]config.Table{config.Common}, append(append([]config.Table{}, p.Tables...), logProperties)...)
}

// class is connector.class as this component takes it, to be put before
// AllTables.
func (p Program) class() config.Table {
	class := config.Property{Name: "connector.class", Type: config.Class, Values: p.Classes}
	for _, table := range p.Tables {
		for _, property := range table.Properties {
			if property.Name == class.Name {
				class.Required, class.Doc = property.Required, property.Doc
			}
		}
	}
	return config.Table{Properties: []config.Property{class}}
}

// Load reads the component's configuration.
func (p Program) Load(sources config.Sources) (*config.Values, error) {
	v, _, err := config.Load(sources, append([]config.Table{p.class()}, p.AllTables()...)...)
	return v, err
}

// Environment is what a component is made with.
type Environment struct {
	Values  *config.Values
	Log     *zap.Logger
	Metrics prometheus.Registerer
}

// Main is a component that can be run.
type Main interface {
	admin.Component
	// Check looks at the servers the component needs, changing nothing, and
	// joins what it finds.
	Check(ctx context.Context) error
	// Run works until ctx ends, which is no error, or until it cannot go on.
	Run(ctx context.Context) error
}

// Halt marks an error after which starting again cannot help: continuity is
// lost, versions of another origin, files of another layout. The process ends
// with ExitHalted.
type Halt struct{ Err error }

// Error is the marked error's.
func (h *Halt) Error() string { return h.Err.Error() }

// Unwrap is the marked error.
func (h *Halt) Unwrap() error { return h.Err }

// Process is what a process has from outside.
type Process struct {
	Args           []string // without the program's name
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals ends the component when it delivers, and the process at once when
	// it delivers again.
	Signals <-chan os.Signal
	// Patience is how long the component may take to stop.
	Patience time.Duration
	// Abort ends the process at once.
	Abort func(code int)
}

// Start runs p as the process it is in and returns the exit code.
func Start(p Program) int {
	crashBySignal()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	return Run(p, Process{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: signals, Patience: stopTimeout, Abort: os.Exit})
}

// Run runs p in process and returns the exit code.
func Run(p Program, process Process) int {
	options, err := parseFlags(process.Args)
	switch {
	case err != nil:
		printf(process.Stderr, "%s: %v\nTry %s --help.\n", p.Name, err, p.Name)
		return ExitConfiguration
	case options.help:
		return exitOf(help(process.Stdout, p))
	case options.version:
		printLine(process.Stdout, p.Name, Version())
		return ExitOK
	}
	r, err := prepare(p, process, options)
	if err != nil {
		printMistakes(process.Stderr, p.Name, err)
		return ExitConfiguration
	}
	if options.validate {
		return r.validate(process)
	}
	return r.run(process)
}

func exitOf(err error) int {
	if err != nil {
		return ExitFailed
	}
	return ExitOK
}

// printMistakes lists configuration errors, one a line.
func printMistakes(w io.Writer, name string, err error) {
	errs := config.Errors(err)
	if len(errs) == 1 {
		printf(w, "%s: the configuration has a mistake:\n", name)
	} else {
		printf(w, "%s: the configuration has %d mistakes:\n", name, len(errs))
	}
	for _, e := range errs {
		printLine(w, "  "+e.Error())
	}
}

// running is a component that is configured.
type running struct {
	program  Program
	main     Main
	admin    admin.Config
	values   *config.Values
	registry *prometheus.Registry
	log      *zap.Logger
}

// prepare reads the configuration and makes the component, or says all that is
// wrong.
func prepare(p Program, process Process, options flags) (*running, error) {
	v, failed := p.Load(config.Sources{Files: options.config, Set: options.set, Environ: process.Environ, Stdin: process.Stdin})
	r := &running{program: p, values: v, registry: prometheus.NewRegistry(), log: newLogger(v, process.Stderr)}
	logLibraries(r.log)
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(p.Name))
	var port, room error
	r.admin, port = admin.NewConfig(v)
	crash := guarded(func() error {
		r.main, room = p.New(Environment{Values: v, Log: r.log, Metrics: r.registry})
		return nil
	})
	if failed == nil {
		// With values missing, a crash is of no interest beside what is missing.
		room = errors.Join(room, crash)
	}
	return r, v.Complete(failed, port, room)
}

// validate checks the servers and prints what there is to say.
func (r *running) validate(process Process) int {
	notices := r.values.Notices()
	printf(process.Stdout, "configuration  ok%s\n", plural(len(notices), ", with %d notice", ":"))
	for _, n := range notices {
		printLine(process.Stdout, "  "+n.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), validateTimeout)
	defer cancel()
	err := guarded(func() error { return r.main.Check(ctx) })
	if err == nil {
		printLine(process.Stdout, "servers        ok")
		return ExitOK
	}
	findings := config.Errors(err)
	printf(process.Stdout, "servers        %s\n", plural(len(findings), "%d finding", ":"))
	for _, f := range findings {
		printLine(process.Stdout, "  "+f.Error())
	}
	return ExitServers
}

// plural is a format with a number and an s where there is more than one, and
// end; nothing for 0.
func plural(n int, format, end string) string {
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf(format, n)
	if n > 1 {
		text += "s"
	}
	return text + end
}

// run works until a signal or an error.
func (r *running) run(process Process) int {
	defer func() { _ = r.log.Sync() }() // a terminal cannot be synced
	for _, n := range r.values.Notices() {
		r.log.Info("configuration", zap.String("property", n.Property), zap.String("notice", n.Text), zap.String("origin", n.Origin))
	}
	if m, ok := r.main.(Bounded); ok {
		limitMemory(m.Memory(), process.Environ)
	}
	if m, ok := r.main.(Frugal); ok {
		limitGarbage(m.Garbage(), process.Environ)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, err := admin.Listen(ctx, r.admin, r.main, r.registry, r.log)
	if err != nil {
		r.log.Error("not started", zap.Error(err))
		return ExitFailed
	}
	r.log.Info("started", zap.String("component", r.program.Name), zap.String("connector", r.values.Name()),
		zap.String("version", Version()), zap.String("admin", server.Address()))
	done := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { r.watch(process, cancel, done) })
	beside.Go(func() {
		if err := server.Serve(ctx); err != nil {
			r.log.Error("the HTTP port is gone", zap.Error(err))
		}
	})
	err = guarded(func() error { return r.main.Run(ctx) })
	asked := ctx.Err() != nil
	cancel()
	close(done)
	beside.Wait()
	return r.ended(err, asked)
}

// watch ends the component at the first signal, and the process at the second
// or when the component takes too long.
func (r *running) watch(process Process, stop func(), done <-chan struct{}) {
	select {
	case s := <-process.Signals:
		r.log.Info("stopping", zap.Stringer("signal", s))
	case <-done:
		return
	}
	stop()
	late := time.NewTimer(process.Patience)
	defer late.Stop()
	select {
	case <-done:
		return
	case <-late.C:
		r.log.Error("not stopped in time; what was not committed will be done again", zap.Duration("timeout", process.Patience))
	case s := <-process.Signals:
		r.log.Error("ended at once; what was not committed will be done again", zap.Stringer("signal", s))
	}
	_ = r.log.Sync()
	process.Abort(ExitFailed)
}

// ended logs how the component ended and returns the exit code.
func (r *running) ended(err error, asked bool) int {
	var crash *crashed
	var halt *Halt
	switch {
	case errors.As(err, &crash):
		r.log.Error("crashed", zap.Error(err), zap.ByteString("stack", crash.stack))
	case err == nil && asked, asked && errors.Is(err, context.Canceled):
		r.log.Info("stopped")
		return ExitOK
	case errors.As(err, &halt):
		r.log.Error("halted; starting again does not help", zap.Error(err))
		return ExitHalted
	case err == nil:
		r.log.Info("done")
		return ExitOK
	default:
		r.log.Error("failed", zap.Error(err))
	}
	return ExitFailed
}

// crashed is a panic as an error.
type crashed struct {
	value any
	stack []byte
}

func (c *crashed) Error() string { return fmt.Sprintf("panic: %v", c.value) }

// guarded runs do and returns a panic of its goroutine as an error.
func guarded(do func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &crashed{value, debug.Stack()}
		}
	}()
	return do()
}
