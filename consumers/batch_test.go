package consumers

import "testing"

// TestABatchLetsGoOfLargeRows: what was decoded points into the row, and a
// partition may wait for long for its next batch.
func TestABatchLetsGoOfLargeRows(t *testing.T) {
	for _, c := range []struct {
		held int64
		want int
	}{{held: 1 << 20, want: 0}, {held: 1 << 10, want: 1}} {
		var b batch
		b.decoded = append(b.decoded, &b.slot(0).record)
		b.held = c.held
		b.trim(64 << 10)
		b.reset()
		if len(b.slots) != c.want || (b.decoded[:1][0] != nil) != (c.want > 0) {
			t.Errorf("of %d bytes %d slots are kept, and %v", c.held, len(b.slots), b.decoded[:1])
		}
	}
}
