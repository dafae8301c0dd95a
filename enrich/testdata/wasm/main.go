// Command wasm is a module for the tests of the transform Wasm: it does what its
// settings say.
package main

import (
	"bytes"
	"os"
	"strings"
	"time"
	"unsafe"
)

func main() {}

var (
	given, returned []byte
	settings        string
	calls           int
	hold            [][]byte
)

//go:wasmexport weir_alloc
func alloc(size uint32) unsafe.Pointer {
	given = make([]byte, max(size, 1))
	return unsafe.Pointer(unsafe.SliceData(given))
}

//go:wasmexport weir_configure
func configure(_ unsafe.Pointer, size uint32) uint64 {
	settings = string(given[:size])
	if refusal, ok := strings.CutPrefix(settings, "refuse:"); ok {
		return place([]byte(refusal))
	}
	return 0
}

//go:wasmexport weir_transform
func transform(_ unsafe.Pointer, size uint32) uint64 {
	calls++
	document := given[:size]
	if marker := bytes.Index(document, []byte("calm")); marker >= 0 {
		return place(document)
	}
	switch {
	case strings.HasPrefix(settings, "answer:"):
		return place([]byte(settings[len("answer:"):]))
	case settings == "panic":
		panic("as told")
	case settings == "exit":
		os.Stderr.WriteString("leaving\n")
		os.Exit(3)
	case settings == "loop":
		for {
			calls++
		}
	case settings == "grow":
		for {
			hold = append(hold, make([]byte, 1<<20))
		}
	case settings == "nothing":
		return 0
	case settings == "nowhere":
		return 0xfffffff0_00000100
	case settings == "calls":
		return place([]byte(`{"topic":"calls-` + string(rune('0'+calls)) + `"}`))
	case settings == "outside":
		_, err := os.ReadFile("/etc/passwd")
		return place([]byte(`{"error":"year ` + time.Now().Format("2006") + `, ` + err.Error() + `"}`))
	}
	return place(document)
}

func place(b []byte) uint64 {
	returned = b
	if len(b) == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))<<32 | uint64(len(b))
}
