package json

import "testing"

// TestAReaderKeepsNoText: with many partitions the last rows of all of them would
// stay in memory.
func TestAReaderKeepsNoText(t *testing.T) {
	r, m := NewReader(nil), new(Message)
	for _, text := range []string{`{"id":1}`, `{"id":`} {
		if err := r.ReadValue(m, []byte(text)); (err != nil) != (text[len(text)-1] != '}') || r.p.b != nil {
			t.Errorf("%s: %v; it keeps %q", text, err, r.p.b)
		}
	}
}
