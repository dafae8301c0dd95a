package enrich

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

// leastTokenDigits is how many digits a text must have to be tokenised: NIST
// SP 800-38G asks for at least a million possible inputs, since fewer can be
// tried out. Digits of shorter ones all become 0.
const leastTokenDigits = 6

// tokenizer encrypts the digits of a text, with the others left where they
// are, by FF1 of NIST SP 800-38G with AES-256, whose key is the SHA-256 of the
// configured one.
type tokenizer struct {
	block  cipher.Block
	digits []byte
}

func newTokenizer(key string) *tokenizer {
	sum := sha256.Sum256([]byte(key))
	block, _ := aes.NewCipher(sum[:]) // fails for other lengths of keys only
	return &tokenizer{block: block}
}

// append appends the token of a text.
func (t *tokenizer) append(dst, text []byte) []byte {
	t.digits = t.digits[:0]
	for _, c := range text {
		if c-'0' <= 9 {
			t.digits = append(t.digits, c)
		}
	}
	if len(t.digits) >= leastTokenDigits {
		t.digits = ff1Encrypt(t.block, nil, t.digits)
	} else {
		for i := range t.digits {
			t.digits[i] = '0'
		}
	}
	next := 0
	for _, c := range text {
		if c-'0' <= 9 {
			c = t.digits[next]
			next++
		}
		dst = append(dst, c)
	}
	return dst
}

// ff1Encrypt is FF1.Encrypt with radix 10 (NIST SP 800-38G, algorithm 7).
func ff1Encrypt(block cipher.Block, tweak, digits []byte) []byte {
	n := len(digits)
	u := n / 2
	v := n - u
	a, b := bigOf(digits[:u]), bigOf(digits[u:])
	size := (bitsOfDigits(v) + 7) / 8 // bytes that v digits take
	d := 4*((size+3)/4) + 4
	p := [aes.BlockSize]byte{1, 2, 1, 0, 0, 10, 10, byte(u)}
	binary.BigEndian.PutUint32(p[8:], uint32(n))
	binary.BigEndian.PutUint32(p[12:], uint32(len(tweak)))
	powers := [2]*big.Int{powerOf10(u), powerOf10(v)}
	for i := range 10 {
		y := ff1Round(block, p, tweak, byte(i), b, size, d)
		c := new(big.Int).Add(a, y)
		c.Mod(c, powers[i%2])
		a, b = b, c
	}
	out := appendPadded(make([]byte, 0, n), a, u)
	return appendPadded(out, b, v)
}

// ff1Round is steps 6.i to 6.iv: the number that is added in a round.
func ff1Round(block cipher.Block, p [aes.BlockSize]byte, tweak []byte, round byte, b *big.Int, size, d int) *big.Int {
	zeros := (-len(tweak) - size - 1) & 15
	q := make([]byte, len(tweak)+zeros+1+size)
	copy(q, tweak)
	q[len(tweak)+zeros] = round
	b.FillBytes(q[len(q)-size:])
	r := p
	block.Encrypt(r[:], r[:])
	for ; len(q) > 0; q = q[aes.BlockSize:] {
		for i := range r {
			r[i] ^= q[i]
		}
		block.Encrypt(r[:], r[:])
	}
	s := append([]byte(nil), r[:]...)
	for j := uint64(1); len(s) < d; j++ {
		next := r
		binary.BigEndian.PutUint64(next[8:], binary.BigEndian.Uint64(next[8:])^j)
		block.Encrypt(next[:], next[:])
		s = append(s, next[:]...)
	}
	return new(big.Int).SetBytes(s[:d])
}

func bigOf(digits []byte) *big.Int {
	n, _ := new(big.Int).SetString("0"+string(digits), 10)
	return n
}

func powerOf10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// bitsOfDigits is how many bits the largest number of n digits takes.
func bitsOfDigits(n int) int { return new(big.Int).Sub(powerOf10(n), big.NewInt(1)).BitLen() }

// appendPadded appends a number with zeros in front up to a size.
func appendPadded(dst []byte, n *big.Int, size int) []byte {
	if size == 0 {
		return dst
	}
	text := n.String()
	for range size - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
