package mysql

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weir-cdc/weir/internal/cdc"
)

// sridSize is what the server has in front of a geometry's well-known binary.
const sridSize = 4

// pointSize is a point's well-known binary: byte order, kind, x, y.
const pointSize = 1 + 4 + 8 + 8

// setGeometry stores Debezium's Geometry or, of a POINT column, its Point. The
// spatial reference 0 is none.
func setGeometry(r *cdc.Row, v *cdc.Value, d []byte, point bool) error {
	if len(d) < sridSize {
		return fmt.Errorf("%w: geometry of %d bytes", errMalformed, len(d))
	}
	srid, wkb := cdc.Value{}, d[sridSize:]
	if n := binary.LittleEndian.Uint32(d); n != 0 {
		srid = cdc.Int(int64(n))
	}
	if !point {
		members := r.AllocList(2)
		members[0], members[1] = cdc.Bytes(wkb), srid
		*v = cdc.List(members)
		return nil
	}
	if len(wkb) != pointSize || wkb[0] != 1 || binary.LittleEndian.Uint32(wkb[1:]) != 1 {
		return fmt.Errorf("%w: %x is no point", errMalformed, wkb)
	}
	members := r.AllocList(4)
	members[0] = cdc.Float64(math.Float64frombits(binary.LittleEndian.Uint64(wkb[5:])))
	members[1] = cdc.Float64(math.Float64frombits(binary.LittleEndian.Uint64(wkb[13:])))
	members[2], members[3] = cdc.Bytes(wkb), srid
	*v = cdc.List(members)
	return nil
}

// setVector stores a VECTOR: single-precision numbers, little-endian.
func setVector(r *cdc.Row, v *cdc.Value, d []byte) error {
	if len(d)%4 != 0 {
		return fmt.Errorf("%w: vector of %d bytes", errMalformed, len(d))
	}
	elements := r.AllocList(len(d) / 4)
	for i := range elements {
		elements[i] = cdc.Float32(math.Float32frombits(binary.LittleEndian.Uint32(d[4*i:])))
	}
	*v = cdc.List(elements)
	return nil
}
