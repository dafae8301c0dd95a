//go:build wasip1

package main

import "unsafe"

// The functions that Weir calls. What they return stays in place until the next
// call, since these variables hold on to it.
var given, returned []byte

//go:wasmexport weir_alloc
func alloc(size uint32) unsafe.Pointer {
	given = make([]byte, max(size, 1))
	return unsafe.Pointer(unsafe.SliceData(given))
}

//go:wasmexport weir_transform
func transformAt(_ unsafe.Pointer, size uint32) uint64 { return place(transform(given[:size])) }

//go:wasmexport weir_configure
func configureAt(_ unsafe.Pointer, size uint32) uint64 { return place(configure(given[:size])) }

// place says where b is: its address in the upper half, its length in the lower.
func place(b []byte) uint64 {
	returned = b
	if len(b) == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))<<32 | uint64(len(b))
}
