package geo

import (
	"encoding/binary"
	"errors"
	"math"
)

// degree is how many units of a stored coordinate are one degree: 5 decimals,
// as GeoNames has them, which is about a metre.
const degree = 100_000

// Places finds the populated place nearest to a point.
type Places struct {
	tree    tree
	regions []region
	region  []uint16 // of each place
	names   string   // of all places
	ends    []uint32 // of each place's name in names
}

type region struct{ name, country, code string }

// Len is how many places there are.
func (p *Places) Len() int { return len(p.tree) }

// Nearest is the place nearest to a point that is Valid, along the sphere's
// surface, and how far away it is in km.
func (p *Places) Nearest(lat, lng float64) (place Place, km float64) {
	at, chord := p.tree.nearest(vector(lat, lng))
	return p.at(at), arc(chord)
}

func (p *Places) at(i int) Place {
	r := &p.regions[p.region[i]]
	from := uint32(0)
	if i > 0 {
		from = p.ends[i-1]
	}
	return Place{City: p.names[from:p.ends[i]], Region: r.name, Country: r.country, CountryCode: r.code}
}

// AppendPlaces writes places in the form that is embedded: regions, then the
// places in a tree's order, column by column, each as differences. It orders
// places anew.
func AppendPlaces(dst []byte, places []Located) []byte {
	arrange(places, 0)
	index := map[region]int{}
	var regions []region
	of := make([]int, len(places))
	for i, p := range places {
		r := region{p.Region, p.Country, p.CountryCode}
		at, ok := index[r]
		if !ok {
			at = len(regions)
			index[r], regions = at, append(regions, r)
		}
		of[i] = at
	}
	dst = binary.AppendUvarint(dst, uint64(len(regions)))
	for _, r := range regions {
		for _, text := range []string{r.name, r.country, r.code} {
			dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(places)))
	dst = appendDifferences(dst, len(places), func(i int) int { return int(math.Round(places[i].Lat * degree)) })
	dst = appendDifferences(dst, len(places), func(i int) int { return int(math.Round(places[i].Lng * degree)) })
	dst = appendDifferences(dst, len(places), func(i int) int { return of[i] })
	for _, p := range places {
		dst = binary.AppendUvarint(dst, uint64(len(p.City)))
	}
	for _, p := range places {
		dst = append(dst, p.City...)
	}
	return dst
}

func appendDifferences(dst []byte, n int, of func(int) int) []byte {
	last := 0
	for i := range n {
		dst = binary.AppendVarint(dst, int64(of(i)-last))
		last = of(i)
	}
	return dst
}

var errData = errors.New("the embedded data are not whole")

// readPlaces reads what AppendPlaces wrote.
func readPlaces(b []byte) (*Places, error) {
	d := decoder{b: b}
	p := &Places{regions: make([]region, d.count())}
	for i := range p.regions {
		p.regions[i] = region{d.text(d.count()), d.text(d.count()), d.text(d.count())}
	}
	n := d.count()
	lat, lng, of := d.differences(n), d.differences(n), d.differences(n)
	p.tree, p.region, p.ends = make(tree, n), make([]uint16, n), make([]uint32, n)
	end := uint32(0)
	for i := range n {
		p.tree[i] = narrow(vector(float64(lat[i])/degree, float64(lng[i])/degree))
		if of[i] < 0 || int(of[i]) >= len(p.regions) {
			return nil, errData
		}
		p.region[i] = uint16(of[i])
		end += uint32(d.count())
		p.ends[i] = end
	}
	if p.names = d.text(int(end)); d.broken || n == 0 {
		return nil, errData
	}
	return p, nil
}

// decoder reads varints and text; broken says that there were fewer than asked
// for.
type decoder struct {
	b      []byte
	broken bool
}

// count is a number that cannot be more than what is left to read.
func (d *decoder) count() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64(len(d.b)) {
		d.broken, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) text(n int) string {
	if n > len(d.b) {
		d.broken = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) differences(n int) []int32 {
	out := make([]int32, n)
	last := int64(0)
	for i := range out {
		v, size := binary.Varint(d.b)
		if size <= 0 {
			d.broken = true
			return out
		}
		d.b = d.b[size:]
		last += v
		out[i] = int32(last)
	}
	return out
}
