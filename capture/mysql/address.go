package mysql

import (
	"fmt"
	"net/netip"

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
		dst = appendINET6(dst, full)
	default:
		full = uuidOrder(full)
		dst = appendUUID(dst, &full)
	}
	*v = cdc.String(r.Keep(dst))
	return nil
}

// appendINET6 appends an address as the server writes it, which is RFC 5952's
// form but for addresses that end in IPv4's.
func appendINET6(dst []byte, b [16]byte) []byte {
	return netip.AddrFrom16(b).AppendTo(dst)
}

// uuidOrder undoes how MariaDB keeps most UUIDs: node and clock first, so that
// they sort by time. Those of versions 6 and 7 sort as they are.
func uuidOrder(b [16]byte) [16]byte {
	var u [16]byte
	copy(u[0:4], b[12:16])
	copy(u[4:6], b[10:12])
	copy(u[6:8], b[8:10])
	copy(u[8:10], b[6:8])
	copy(u[10:16], b[0:6])
	return u
}
