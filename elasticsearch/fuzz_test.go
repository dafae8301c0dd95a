package elasticsearch

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

// FuzzAnswer reads answers to bulk requests: each operation has an outcome, and
// one that is to be sent again has a reason, or the request failed as a whole.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"errors":false}`, `{"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":404}}]}`,
		`{"errors":true,"items":[{"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"x","caused_by":{"reason":"y"}}}},{"delete":{"status":429,"error":{"type":"t","reason":"r"}}}]}`,
		`{"errors":true,"items":[{},{}]}`, `{"errors":true,"items":[{"index":{}},{"index":{"status":409},"delete":{"status":503}}]}`, `{"errors":false,"items":[]`, `<html>`, ``, `null`,
	} {
		for _, status := range []int{200, 400, 413, 503} {
			f.Add(status, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		b := bulk{operations: []*operation{{}, {delete: true}}, outcomes: make([]outcome, 2), reasons: make([]error, 2)}
		err := b.read(&http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body))})
		if err != nil {
			return
		}
		for i, o := range b.outcomes {
			if (o == pending || o == rejected) != (b.reasons[i] != nil) {
				t.Errorf("%d %q: outcome %d with reason %v", status, body, o, b.reasons[i])
			}
		}
		if status != http.StatusOK {
			t.Errorf("%d %q: %v", status, body, errors.Join(b.reasons...))
		}
	})
}
