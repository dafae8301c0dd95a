package redis

import (
	"bytes"
	"strconv"
	"sync"
)

// slots is how many hash slots a cluster has.
const slots = 16384

// crcTable is CRC16-XMODEM's, which Redis names keys' slots by.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return
}()

func crc16(b []byte) (c uint16) {
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>8)^x]
	}
	return
}

// slotOf is the hash slot of a key (Redis Cluster specification): of its hash
// tag, which is what stands between the first { and the next }, if anything
// does, else of the whole key.
func slotOf(key []byte) int {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if size := bytes.IndexByte(key[open+1:], '}'); size > 0 {
			key = key[open+1 : open+1+size]
		}
	}
	return int(crc16(key) % slots)
}

// tags has a short text for each slot, whose own slot it is. They are part of
// the names of keys that are stored: this must always find the same ones.
var tags = sync.OnceValue(func() *[slots]string {
	var t [slots]string
	for i, found := uint64(0), 0; found < slots; i++ {
		tag := strconv.FormatUint(i, 36)
		if s := crc16([]byte(tag)) % slots; t[s] == "" {
			t[s] = tag
			found++
		}
	}
	return &t
})

// appendVersionKey appends the name of the key that has the version of key,
// which begins with prefix and has a slot: <prefix>weir:v:{tag}:<rest>. It lives in the slot of
// its key, and begins as it does, so that an ACL that allows ~prefix* allows
// both.
func appendVersionKey(dst, key []byte, prefix, slot int) []byte {
	dst = append(dst, key[:prefix]...)
	dst = append(append(dst, "weir:v:{"...), tags()[slot]...)
	return append(append(dst, "}:"...), key[prefix:]...)
}
