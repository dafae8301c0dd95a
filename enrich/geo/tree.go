package geo

import "slices"

// tree is a k-d tree of points on the unit sphere, so that neither the date
// line nor a pole is a border. Its points are in order: the middle one of a
// range parts it along one axis, the ranges on both sides by the next axis, and
// so on.
type tree [][3]float32

// leaf is how many points are compared without parting them further.
const leaf = 8

// nearest is what a search has found so far.
type nearest struct {
	to    [3]float64
	at    int
	chord float64 // its square
}

// nearest finds the point nearest to the given one, and the square of the chord
// between them.
func (t tree) nearest(to [3]float64) (at int, chord float64) {
	n := nearest{to: to, at: -1, chord: 5} // chords end at 2
	t.search(&n, 0, len(t), 0)
	return n.at, n.chord
}

func (t tree) search(n *nearest, from, to, axis int) {
	if to-from <= leaf {
		for i := from; i < to; i++ {
			t.compare(n, i)
		}
		return
	}
	middle := (from + to) / 2
	side := n.to[axis] - float64(t[middle][axis])
	next := axis + 1
	if next == 3 {
		next = 0
	}
	if side < 0 {
		t.search(n, from, middle, next)
	} else {
		t.search(n, middle+1, to, next)
	}
	if side*side >= n.chord {
		return
	}
	t.compare(n, middle)
	if side < 0 {
		t.search(n, middle+1, to, next)
	} else {
		t.search(n, from, middle, next)
	}
}

func (t tree) compare(n *nearest, i int) {
	p := &t[i]
	x, y, z := n.to[0]-float64(p[0]), n.to[1]-float64(p[1]), n.to[2]-float64(p[2])
	if chord := x*x + y*y + z*z; chord < n.chord {
		n.at, n.chord = i, chord
	}
}

// arrange puts places in a tree's order.
func arrange(places []Located, axis int) {
	if len(places) <= leaf {
		return
	}
	slices.SortStableFunc(places, func(a, b Located) int {
		v, w := narrow(vector(a.Lat, a.Lng))[axis], narrow(vector(b.Lat, b.Lng))[axis]
		switch {
		case v < w:
			return -1
		case v > w:
			return 1
		}
		return 0
	})
	middle, next := len(places)/2, (axis+1)%3
	arrange(places[:middle], next)
	arrange(places[middle+1:], next)
}

func narrow(v [3]float64) [3]float32 {
	return [3]float32{float32(v[0]), float32(v[1]), float32(v[2])}
}
