package elasticsearch

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/sink"
)

// TestRejectedSuccessor: what a record replaced within its batch is written
// where the cluster rejects that record: only it is lost.
func TestRejectedSuccessor(t *testing.T) {
	s, name := open(t, map[string]string{"max.retries": "0"}), indexName(t)
	mustWrite(t, s, row(name, 1, 1, "Rome"))
	const no = `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no"}}}]}`
	s.client = &faults{performer: s.client, fail: func(n int64, _ *http.Request) *http.Response {
		if n <= 2 {
			return answerOf(200, no)
		}
		return nil
	}}
	err := write(t, s, row(name, 1, 2, "Oslo"), row(name, 1, 3, "Bern"), row(name, 1, 4, "Kyiv"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 2 || rejected.Items[0].Index != 2 || rejected.Items[1].Index != 1 {
		t.Fatalf("the batch: %v", err)
	}
	if got := source(t, name, "1"); got["city"] != "Oslo" {
		t.Errorf("the document is %v; want the newest that was taken", got)
	}
}

// TestDocumentTooLarge: a document that the cluster never takes is rejected, for
// to try it again would stop the partition without a word.
func TestDocumentTooLarge(t *testing.T) {
	s, name := open(t, nil), indexName(t)
	mustWrite(t, s, row(name, 100, 1, "Rome"))
	s.client = &faults{performer: s.client, fail: func(_ int64, r *http.Request) *http.Response {
		if r.ContentLength > 400 {
			return answerOf(http.StatusRequestEntityTooLarge, "")
		}
		return nil
	}}
	err := write(t, s, row(name, 1, 1, "Oslo"), row(name, 2, 2, strings.Repeat("x", 400)), row(name, 3, 3, "Bern"))
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) || len(rejected.Items) != 1 || rejected.Items[0].Index != 1 {
		t.Fatalf("the batch: %v", err)
	}
	if got := source(t, name, "3"); got["city"] != "Bern" {
		t.Errorf("the document beside it is %v", got)
	}
}

// TestRefusedForTheIndex: what is wrong with the index or the user's rights is no
// reason to give a record up.
func TestRefusedForTheIndex(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   string
		want   outcome
	}{
		{403, "security_exception", pending}, {403, "cluster_block_exception", pending}, {400, "index_closed_exception", pending},
		{404, "index_not_found_exception", pending}, {400, "mapper_parsing_exception", rejected},
	} {
		if got, _ := classify(c.status, false, c.kind, "", ""); got != c.want {
			t.Errorf("%d %s is %d; want %d", c.status, c.kind, got, c.want)
		}
	}
}

// TestNoPasswordInErrors: a URL that is refused is shown without its user.
func TestNoPasswordInErrors(t *testing.T) {
	v, _, err := config.Parse(map[string]string{"name": "search", "connection.url": "elastic:hunter2@search:9200"}, Properties, config.Common)
	if err == nil {
		_, err = NewConfig(v)
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}
