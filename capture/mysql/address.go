package mysql

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
)

// setAddress stores MariaDB's UUID, INET4 or INET6 as the server writes them.
func (s *step) setAddress(r *cdc.Row, v *cdc.Value, b []byte) error {
	if len(b) > s.n {
		return fmt.Errorf("%w: %d bytes of %d", errMalformed, len(b), s.n)
	}
	var full [16]byte
	copy(full[:s.n], b) // trailing zeros are left out
	dst := r.Tail(48)
	switch s.op {
	case opINET4:
		dst = netip.AddrFrom4([4]byte(full[:4])).AppendTo(dst)
	case opINET6:
		dst = appendINET6(dst, &full)
	default:
		dst = appendUUID(dst, &full)
	}
	*v = cdc.String(r.Keep(dst))
	return nil
}

// appendINET6 appends an address as MariaDB writes it: RFC 5952's form, but that
// a single group of zeros is left out too, and that addresses of IPv4 end in its
// notation.
func appendINET6(dst []byte, b *[16]byte) []byte {
	var groups [8]uint16
	for i := range groups {
		groups[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	gap, length := zeros(&groups)
	for i := 0; i < len(groups); i++ {
		switch {
		case i == gap:
			if i == 0 {
				dst = append(dst, ':')
			}
			dst = append(dst, ':')
			i += length - 1
		case i == 6 && gap == 0 && (length == 6 || length == 5 && groups[5] == 0xffff):
			return netip.AddrFrom4([4]byte(b[12:])).AppendTo(dst)
		default:
			dst = strconv.AppendUint(dst, uint64(groups[i]), 16)
			if i < len(groups)-1 {
				dst = append(dst, ':')
			}
		}
	}
	return dst
}

// zeros finds the first of the longest runs of zeros; gap is -1 for none.
func zeros(groups *[8]uint16) (gap, length int) {
	gap = -1
	for i := 0; i < len(groups); i++ {
		n := 0
		for i+n < len(groups) && groups[i+n] == 0 {
			n++
		}
		if n > length {
			gap, length = i, n
		}
		i += n
	}
	return gap, length
}
