package enrich

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/transform"
)

// wasmTransforms are the transforms whose code is the user's.
var wasmTransforms = map[string]func(*transform.Options) transform.Transform{
	"io.weir.transforms.Wasm": newWasm,
}

// wasm hands records to a module as JSON and takes them back.
type wasm struct {
	module *wasmModule
	moves  bool
	plans  map[*cdc.Schema]*wasmPlan
	sent   []byte
	// valueAt is where in sent the value begins, which ends before its last byte.
	valueAt int
	signed  []byte // a layout's signature, while it is looked for
}

func newWasm(o *transform.Options) transform.Transform {
	t := &wasm{moves: o.Bool("moves.rows", true), plans: map[*cdc.Schema]*wasmPlan{}}
	limits := wasmLimits{
		memory: wholeNumber(o, "wasm.memory.limit.mb", 64, 1, 4096),
		time:   time.Duration(wholeNumber(o, "wasm.timeout.ms", 1000, 0, 3_600_000)) * time.Millisecond,
	}
	file, settings := o.Need("wasm.file", "the file of a WebAssembly module"), o.Text("wasm.config", "")
	if file == "" {
		return t
	}
	code, err := os.ReadFile(file)
	if err != nil {
		o.Fail("wasm.file", "a file that can be read: "+err.Error())
		return t
	}
	t.module, err = newWasmModule(code, settings, limits)
	switch {
	case errors.Is(err, errWasmSettings):
		o.Fail("wasm.config", "what the module takes: "+err.Error())
	case err != nil:
		o.Fail("wasm.file", "a module that exports memory, weir_alloc and weir_transform: "+err.Error())
	}
	return t
}

// Start gives the module a log to write to.
func (t *wasm) Start(env transform.Env) error {
	t.module.output.log = env.Log.With(zap.String("transform", "Wasm"))
	return nil
}

// Close ends the module.
func (t *wasm) Close() error {
	if t.module == nil {
		return nil
	}
	return t.module.close()
}

// DependsOnRow reports whether the module may route or drop a record because of
// its content.
func (t *wasm) DependsOnRow() bool { return t.moves }

// Apply runs the module on r.
func (t *wasm) Apply(r *cdc.Record) (keep bool, err error) {
	row := wasmRow(r)
	t.sent = t.appendRecord(t.sent[:0], r, row)
	answer, err := t.module.call(t.sent)
	if err != nil {
		return false, err
	}
	if isJSONNull(answer) {
		return false, nil
	}
	if err := t.take(r, row, answer); err != nil {
		return false, fmt.Errorf("reading what the module returned: %w", err)
	}
	return true, nil
}

// wasmRow is the row that a module gets as value: the flat one, or in an
// envelope that after the change, or the one that is gone.
func wasmRow(r *cdc.Record) *cdc.Row {
	e := transform.Envelope(r)
	switch {
	case e == nil:
		return r.Value
	case e.After != nil:
		return e.After
	}
	return e.Before
}

func isJSONNull(b []byte) bool { return len(b) == 0 || string(b) == "null" }
