// Command wasmtransform is a transform for Weir in WebAssembly: it gives a
// customer a segment by what he has spent, hides his e-mail address, and drops
// those who are for tests only. Build it with Go 1.24 or later:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o customers.wasm
package main

// main is never called: the module is a library.
func main() {}
