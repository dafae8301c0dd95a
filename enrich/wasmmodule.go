package enrich

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
	"go.uber.org/zap"
)

// wasmLimits are what a module may take.
type wasmLimits struct {
	memory int           // MiB
	time   time.Duration // for one record; 0: any, which makes modules several times faster
}

// wasmCompiled keeps what was compiled, so that each partition's chain does not
// compile the same module again.
var wasmCompiled = wazero.NewCompilationCache()

// errWasmSettings is the error of a module that does not take its settings.
var errWasmSettings = errors.New("the module refuses it")

// wasmModule is a module that runs, and is made anew after it has failed: what
// state a trap leaves behind nobody knows. The module reaches no file, no
// network and no clock; what it writes goes to the log.
type wasmModule struct {
	settings string
	limits   wasmLimits
	output   *wasmOutput
	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	instance         api.Module // nil after a failure
	alloc, transform api.Function
	stack            [2]uint64
}

func newWasmModule(code []byte, settings string, limits wasmLimits) (*wasmModule, error) {
	ctx := context.Background()
	m := &wasmModule{settings: settings, limits: limits, output: &wasmOutput{log: zap.NewNop()}}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(wasmCompiled).WithCloseOnContextDone(limits.time > 0).WithMemoryLimitPages(uint32(limits.memory)*16))
	err := m.compile(ctx, code)
	if err == nil {
		err = m.begin()
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *wasmModule) compile(ctx context.Context, code []byte) (err error) {
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		return err
	}
	if m.compiled, err = m.runtime.CompileModule(ctx, code); err != nil {
		return firstLine(err)
	}
	return m.check()
}

const i32, i64 = api.ValueTypeI32, api.ValueTypeI64

// wasmFunctions are what a module exports.
var wasmFunctions = []struct {
	name           string
	takes, returns []api.ValueType
	form           string
	optional       bool
}{
	{"weir_alloc", []api.ValueType{i32}, []api.ValueType{i32}, "(i32) → i32", false},
	{"weir_transform", []api.ValueType{i32, i32}, []api.ValueType{i64}, "(i32, i32) → i64", false},
	{"weir_configure", []api.ValueType{i32, i32}, []api.ValueType{i64}, "(i32, i32) → i64", true},
}

// check says what the module lacks.
func (m *wasmModule) check() error {
	exported := m.compiled.ExportedFunctions()
	for _, want := range wasmFunctions {
		switch f := exported[want.name]; {
		case f == nil && want.optional:
		case f == nil:
			return fmt.Errorf("it has no function %s", want.name)
		case !bytes.Equal(f.ParamTypes(), want.takes) || !bytes.Equal(f.ResultTypes(), want.returns):
			return fmt.Errorf("its function %s is not %s", want.name, want.form)
		}
	}
	if m.compiled.ExportedMemories()["memory"] == nil {
		return errors.New("it exports no memory")
	}
	return nil
}

// begin makes an instance and gives it the settings.
func (m *wasmModule) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), max(m.limits.time, 10*time.Second))
	defer cancel()
	m.output.begin()
	instance, err := m.runtime.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName("").
		WithStartFunctions("_initialize").WithStdout(m.output).WithStderr(m.output))
	if err != nil {
		return m.failure(err)
	}
	m.instance, m.alloc, m.transform = instance, instance.ExportedFunction("weir_alloc"), instance.ExportedFunction("weir_transform")
	configure := instance.ExportedFunction("weir_configure")
	switch {
	case configure == nil && m.settings != "":
		return fmt.Errorf("%w: it has no function weir_configure", errWasmSettings)
	case configure == nil:
		return nil
	}
	refusal, err := m.exchange(ctx, configure, []byte(m.settings))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errWasmSettings, err)
	case len(refusal) > 0:
		return fmt.Errorf("%w: %s", errWasmSettings, refusal)
	}
	return nil
}

// call hands a document to the module; the result is valid until the next call.
func (m *wasmModule) call(document []byte) ([]byte, error) {
	if m.instance == nil {
		if err := m.begin(); err != nil {
			return nil, fmt.Errorf("starting the module anew: %w", err)
		}
	}
	ctx := context.Background()
	if m.limits.time > 0 {
		limited, cancel := context.WithTimeout(ctx, m.limits.time)
		defer cancel()
		ctx = limited
	}
	m.output.begin()
	answer, err := m.exchange(ctx, m.transform, document)
	if err != nil {
		_ = m.instance.Close(context.Background()) // it has failed already
		m.instance = nil
	}
	return answer, err
}

// exchange puts content where the module wants it, calls f with the place, and
// reads what f returns the place of.
func (m *wasmModule) exchange(ctx context.Context, f api.Function, content []byte) ([]byte, error) {
	m.stack[0] = uint64(len(content))
	if err := m.alloc.CallWithStack(ctx, m.stack[:1]); err != nil {
		return nil, m.failure(err)
	}
	at := uint32(m.stack[0])
	if !m.instance.Memory().Write(at, content) {
		return nil, fmt.Errorf("weir_alloc returned %d, where there are no %d bytes of memory", at, len(content))
	}
	m.stack[0], m.stack[1] = uint64(at), uint64(len(content))
	if err := f.CallWithStack(ctx, m.stack[:]); err != nil {
		return nil, m.failure(err)
	}
	if m.stack[0] == 0 {
		return nil, nil
	}
	answer, ok := m.instance.Memory().Read(uint32(m.stack[0]>>32), uint32(m.stack[0]))
	if !ok {
		return nil, fmt.Errorf("the module returned %#x, which is no place in its memory", m.stack[0])
	}
	return answer, nil
}

// failure says in a line why a call failed, with what the module wrote.
func (m *wasmModule) failure(err error) error {
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == sys.ExitCodeDeadlineExceeded:
		return fmt.Errorf("the module took longer than %v", m.limits.time)
	case errors.As(err, &exit):
		err = fmt.Errorf("the module ended with code %d", exit.ExitCode())
	default:
		err = fmt.Errorf("the module failed: %w", firstLine(err))
	}
	if written := m.output.firstLine(); written != "" {
		return fmt.Errorf("%w: %s", err, written)
	}
	return err
}

func firstLine(err error) error {
	line, _, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}
	return errors.New(line)
}

// close ends the module and all it has.
func (m *wasmModule) close() error { return m.runtime.Close(context.Background()) }

// wasmOutput is what a module writes to its standard output and error during a
// call: it is logged, and its first line explains a failure.
type wasmOutput struct {
	log   *zap.Logger
	first []byte
}

// mostOutput is how much of the first line is kept.
const mostOutput = 300

func (o *wasmOutput) begin() { o.first = o.first[:0] }

// Write takes what the module wrote.
func (o *wasmOutput) Write(b []byte) (int, error) {
	o.log.Debug("the module wrote", zap.ByteString("text", b))
	if room := mostOutput - len(o.first); room > 0 {
		o.first = append(o.first, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

func (o *wasmOutput) firstLine() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(o.first)), "\n")
	return line
}
