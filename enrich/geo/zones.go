package geo

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// zoneBits are the bits of a run that say its zone; the rest is its first
// column.
const zoneBits = 10

// grid parts the Earth into cells, so many per degree: rows of latitude from the
// south pole on, columns of longitude from the date line on.
type grid int

func (g grid) rows() int    { return 180 * int(g) }
func (g grid) columns() int { return 360 * int(g) }

// Zones finds the time zone that a point is in.
type Zones struct {
	grid  grid
	names []string
	// runs are column<<zoneBits | zone, in the order of columns; row i's are
	// those from rows[i] to rows[i+1]. The first of a row begins at column 0.
	runs []uint32
	rows []uint32
}

// Names are the zones' names, as the IANA database has them.
func (z *Zones) Names() []string { return z.names }

// Zone is the name of the time zone at a point that is Valid. At sea it is one
// of Etc/GMT…
func (z *Zones) Zone(lat, lng float64) string {
	row := min(int((lat+90)*float64(z.grid)), z.grid.rows()-1)
	column := min(int((lng+180)*float64(z.grid)), z.grid.columns()-1)
	runs := z.runs[z.rows[row]:z.rows[row+1]]
	i, _ := slices.BinarySearchFunc(runs, uint32(column), func(run, column uint32) int {
		if run>>zoneBits <= column {
			return -1
		}
		return 1
	})
	return z.names[runs[i-1]&(1<<zoneBits-1)]
}

// ZonePolygons are the areas of a time zone: rings of {lng, lat} in degrees. A
// point is inside when it is inside of an odd number of them, so that holes are
// rings like others.
type ZonePolygons struct {
	Name  string
	Rings [][][2]float64
}

// AppendZones writes the zones in the form that is embedded: which of them the
// middles of the cells are in, perDegree cells a degree, as runs of each row.
// Where zones overlap, the first counts; what none covers belongs to the zone
// west of it.
func AppendZones(dst []byte, perDegree int, zones []ZonePolygons) []byte {
	g := grid(perDegree)
	spans := make([][]span, g.rows())
	for i, z := range zones {
		for row, crossings := range g.crossings(z.Rings) {
			for n := 0; n+1 < len(crossings); n += 2 {
				spans[row] = append(spans[row], span{crossings[n], crossings[n+1], i})
			}
		}
	}
	dst = binary.AppendUvarint(dst, uint64(g))
	dst = binary.AppendUvarint(dst, uint64(len(zones)))
	for _, z := range zones {
		dst = append(binary.AppendUvarint(dst, uint64(len(z.Name))), z.Name...)
	}
	rows := make([][]run, g.rows())
	for row := range rows {
		rows[row] = g.runs(spans[row])
	}
	return appendRuns(dst, rows)
}

// run is where a zone begins in a row.
type run struct{ column, zone int }

// span is the part of a row that a zone covers, in degrees.
type span struct {
	from, to float64
	zone     int
}

// crossings are the longitudes at which rings cross the middle of each row they
// touch, in order.
func (g grid) crossings(rings [][][2]float64) map[int][]float64 {
	out := map[int][]float64{}
	for _, ring := range rings {
		for i, a := range ring {
			b := ring[(i+1)%len(ring)]
			if a[1] > b[1] {
				a, b = b, a
			}
			first := max(0, int(math.Ceil((a[1]+90)*float64(g)-0.5)))
			for row := first; row < g.rows() && g.middle(row) < b[1]; row++ {
				if lat := g.middle(row); lat >= a[1] {
					out[row] = append(out[row], a[0]+(b[0]-a[0])*(lat-a[1])/(b[1]-a[1]))
				}
			}
		}
	}
	for _, c := range out {
		sort.Float64s(c)
	}
	return out
}

// middle is the latitude in the middle of a row.
func (g grid) middle(row int) float64 { return (float64(row)+0.5)/float64(g) - 90 }

// runs parts a row by the middles of its cells.
func (g grid) runs(spans []span) []run {
	owner := make([]int, g.columns())
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(b.zone, a.zone) })
	for _, s := range spans { // the first zone is painted last
		from := max(0, int(math.Ceil((s.from+180)*float64(g)-0.5)))
		for column := from; column < len(owner) && float64(column)+0.5 < (s.to+180)*float64(g); column++ {
			owner[column] = s.zone + 1
		}
	}
	west := 0
	if len(spans) > 0 {
		west = owner[slices.IndexFunc(owner, func(zone int) bool { return zone > 0 })]
	}
	var out []run
	for column, zone := range owner {
		if zone == 0 {
			zone = west
		}
		if column == 0 || zone != west {
			out = append(out, run{column, max(zone-1, 0)})
		}
		west = zone
	}
	return out
}

// appendRuns writes how many runs each row has, then their zones, then their
// columns as differences to where the zone's last run began in the row before,
// or in this one.
func appendRuns(dst []byte, rows [][]run) []byte {
	for _, runs := range rows {
		dst = binary.AppendUvarint(dst, uint64(len(runs)))
	}
	for _, runs := range rows {
		for _, r := range runs {
			dst = binary.AppendUvarint(dst, uint64(r.zone))
		}
	}
	guess := columnGuess{}
	for _, runs := range rows {
		guess.begin()
		for i, r := range runs {
			dst = binary.AppendVarint(dst, int64(r.column-guess.column(i, r.zone)))
			guess.is(r)
		}
	}
	return dst
}

// columnGuess foresees where a run begins from the row before.
type columnGuess struct {
	last, now []run
	from      int // in last
}

func (g *columnGuess) begin() { g.last, g.now, g.from = g.now, g.last[:0], 0 }

// column is where the next run of the zone began in the row before, or else
// where the last run of this row did.
func (g *columnGuess) column(i, zone int) int {
	for at := g.from; at < min(len(g.last), g.from+8); at++ {
		if g.last[at].zone == zone {
			g.from = at + 1
			return g.last[at].column
		}
	}
	if i == 0 {
		return 0
	}
	return g.now[i-1].column
}

func (g *columnGuess) is(r run) { g.now = append(g.now, r) }

// readZones reads what AppendZones wrote.
func readZones(b []byte) (*Zones, error) {
	d := decoder{b: b}
	z := &Zones{grid: grid(d.count()), names: make([]string, d.count())}
	for i := range z.names {
		z.names[i] = d.text(d.count())
	}
	z.rows = make([]uint32, z.grid.rows()+1)
	for i := range z.grid.rows() {
		n := d.count()
		if n == 0 {
			return nil, errData
		}
		z.rows[i+1] = z.rows[i] + uint32(n)
	}
	if z.grid == 0 {
		return nil, errData
	}
	zones := make([]int, z.rows[len(z.rows)-1])
	for i := range zones {
		if zones[i] = d.count(); zones[i] >= len(z.names) {
			return nil, errData
		}
	}
	return z, z.readColumns(&d, zones)
}

func (z *Zones) readColumns(d *decoder, zones []int) error {
	z.runs = make([]uint32, len(zones))
	guess := columnGuess{}
	for row := range z.grid.rows() {
		guess.begin()
		first := int(z.rows[row])
		for i := first; i < int(z.rows[row+1]); i++ {
			difference, n := binary.Varint(d.b)
			column := guess.column(i-first, zones[i]) + int(difference)
			if n <= 0 || column < 0 || column >= z.grid.columns() || i == first && column != 0 {
				return errData
			}
			d.b = d.b[n:]
			guess.is(run{column, zones[i]})
			z.runs[i] = uint32(column)<<zoneBits | uint32(zones[i])
		}
	}
	return nil
}
