package routing

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/weir-cdc/weir/internal/cdc"
)

// hashCode is Java's Object.hashCode of the value as Kafka Connect holds it.
func hashCode(f *cdc.Field, v cdc.Value) (int32, error) {
	switch v.Kind() {
	case cdc.KindNull, cdc.KindAbsent:
		return 0, nil
	case cdc.KindBool:
		if v.Bool() {
			return 1231, nil
		}
		return 1237, nil
	case cdc.KindInt:
		return hashInt(f, v.Int()), nil
	case cdc.KindUint:
		return hashLong(v.Uint()), nil
	case cdc.KindFloat32:
		return int32(math.Float32bits(float32(v.Float()))), nil
	case cdc.KindFloat64:
		return hashLong(math.Float64bits(v.Float())), nil
	case cdc.KindString:
		return hashText(v.Bytes()), nil
	case cdc.KindNumber:
		n, err := strconv.ParseFloat(string(v.Bytes()), 64)
		return hashLong(math.Float64bits(n)), err
	case cdc.KindBytes:
		return hashBuffer(v.Bytes()), nil
	case cdc.KindDecimal:
		return 31*hashInteger(big.NewInt(v.Int())) + int32(f.Scale), nil
	case cdc.KindBigDecimal:
		return 31*hashInteger(twosComplement(v.Bytes())) + int32(f.Scale), nil
	case cdc.KindMicros:
		return hashText(temporalText(f, &v)), nil
	}
	return 0, fmt.Errorf("field %s is a struct or an array, which has no hash that is the same everywhere", f.Name)
}

// hashInt is the hash of an integer: of Java's Long, Integer, or java.util.Date.
func hashInt(f *cdc.Field, n int64) int32 {
	switch {
	case f.Semantic == cdc.ConnectDate:
		return hashLong(uint64(n * 86_400_000))
	case f.Semantic == cdc.ConnectTime || f.Type == cdc.Int64 || f.Type == cdc.Any:
		return hashLong(uint64(n))
	}
	return int32(n)
}

func hashLong(u uint64) int32 { return int32(u ^ u>>32) }

// hashText is String.hashCode, of UTF-16's units.
func hashText(b []byte) (h int32) {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		if r > 0xFFFF {
			r -= 0x10000
			h = 31*h + 0xD800 + r>>10
			r = 0xDC00 + r&0x3FF
		}
		h = 31*h + r
	}
	return h
}

// hashBuffer is ByteBuffer.hashCode.
func hashBuffer(b []byte) int32 {
	h := int32(1)
	for i := len(b) - 1; i >= 0; i-- {
		h = 31*h + int32(int8(b[i]))
	}
	return h
}

// hashInteger is BigInteger.hashCode.
func hashInteger(n *big.Int) (h int32) {
	words := new(big.Int).Abs(n).Bytes()
	for len(words)%4 != 0 {
		words = append([]byte{0}, words...)
	}
	for ; len(words) > 0; words = words[4:] {
		h = 31*h + int32(binary.BigEndian.Uint32(words))
	}
	return h * int32(n.Sign())
}

func twosComplement(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// murmurCode is the hash of Debezium's MurmurHash3: of texts themselves, and of
// the hashCode of everything else.
func murmurCode(f *cdc.Field, v cdc.Value) (int32, error) {
	if v.Kind() == cdc.KindString {
		return murmur(v.Bytes()), nil
	}
	n, err := hashCode(f, v)
	return murmur(binary.LittleEndian.AppendUint32(nil, uint32(n))), err
}

// murmurSeed is the seed that Debezium uses.
const murmurSeed = 9001

// murmurState is the state of Debezium's variant of MurmurHash3, which is that
// of stream-lib and differs from the usual one.
type murmurState struct{ h1, h2, c1, c2 uint64 }

// murmur is MurmurHash3_x64_32 of io.debezium.util.MurmurHash3. It takes the
// bytes of the last block with their signs, as Java does.
func murmur(b []byte) int32 {
	s := murmurState{0x9368e53c2f6af274 ^ murmurSeed, 0x586dcd208f7cd3fd ^ murmurSeed, 0x87c37b91114253d5, 0x4cf5ad432745937f}
	size := uint64(len(b))
	for ; len(b) >= 16; b = b[16:] {
		s.mix(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	}
	if len(b) > 0 {
		var k [2]uint64
		for i, c := range b {
			k[i/8] ^= uint64(int64(int8(c))) << (8 * (i % 8))
		}
		s.mix(k[0], k[1])
	}
	s.h2 ^= size
	s.h1 += s.h2
	s.h2 += s.h1
	return int32((finalMix(s.h1) + finalMix(s.h2)) >> 32)
}

func (s *murmurState) mix(k1, k2 uint64) {
	s.h1 ^= bits.RotateLeft64(k1*s.c1, 23) * s.c2
	s.h1 += s.h2
	s.h2 = bits.RotateLeft64(s.h2, 41)
	s.h2 ^= bits.RotateLeft64(k2*s.c2, 23) * s.c1
	s.h2 += s.h1
	s.h1 = s.h1*3 + 0x52dce729
	s.h2 = s.h2*3 + 0x38495ab5
	s.c1 = s.c1*5 + 0x7b7d159c
	s.c2 = s.c2*5 + 0x6bce6396
}

func finalMix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
