package redis

import (
	"bytes"
	"hash/maphash"
)

// index finds the item of a key in a batch. A map would keep a copy of every key.
type index struct {
	places []int32 // 1 + the item; 0: none. A power of two, at most half of them used
	used   int
}

var seed = maphash.MakeSeed()

func (x *index) reset() {
	clear(x.places)
	x.used = 0
}

// find returns the item of a key.
func (x *index) find(b *batch, key []byte) (item int, ok bool) {
	if x.used == 0 {
		return 0, false
	}
	place := x.places[x.place(b, key)]
	return int(place) - 1, place != 0
}

// add says which item a key has that was not found.
func (x *index) add(b *batch, item int, key []byte) {
	if 2*(x.used+1) > len(x.places) {
		x.grow(b)
	}
	x.places[x.place(b, key)] = int32(item + 1)
	x.used++
}

// place is where a key is, or where there is room for it.
func (x *index) place(b *batch, key []byte) int {
	mask := len(x.places) - 1
	at := int(maphash.Bytes(seed, key)) & mask
	for x.places[at] != 0 && !bytes.Equal(b.bytes(b.items[x.places[at]-1].key), key) {
		at = (at + 1) & mask
	}
	return at
}

func (x *index) grow(b *batch) {
	x.places = make([]int32, max(1024, 2*len(x.places)))
	for i := range b.items {
		x.places[x.place(b, b.bytes(b.items[i].key))] = int32(i + 1)
	}
}
