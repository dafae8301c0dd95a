package elasticsearch

import (
	"bytes"
	"compress/gzip"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/cdc/json"
	"github.com/weir-cdc/weir/internal/failpoint"
	"github.com/weir-cdc/weir/internal/sink"
)

// operation is one line of a bulk request: the newest thing that a batch says
// about one document.
type operation struct {
	record       int // its index in the batch
	index        *index
	document     uint64 // hash of index and id
	idFrom, idTo int    // where its id is in the batch's ids
	older        int    // one more than the index in the batch's replaced of what it replaced; 0: nothing
	version      uint64
	delete       bool
	from, to     int // where its text is in the batch's buffer
}

// outcome is what became of an operation.
type outcome uint8

const (
	pending  outcome = iota
	done             // written, deleted, or was not there to delete
	stale            // the target has a newer version
	rejected         // it will never be taken
)

// bulk is one request: some operations of a batch.
type bulk struct {
	operations []*operation
	outcomes   []outcome
	reasons    []error
}

// answer is what is read of a bulk response.
type answer struct {
	Errors bool `json:"errors"`
	Items  []map[string]struct {
		Status int `json:"status"`
		Error  struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
			Cause  struct {
				Reason string `json:"reason"`
			} `json:"caused_by"`
		} `json:"error"`
	} `json:"items"`
}

// appendAction appends the line that says what is done to which document.
func appendAction(dst []byte, o *operation, id []byte, versioned bool) []byte {
	if o.delete {
		dst = append(dst, `{"delete":{"_index":`...)
	} else {
		dst = append(dst, `{"index":{"_index":`...)
	}
	dst = json.AppendString(dst, []byte(o.index.target))
	dst = json.AppendString(append(dst, `,"_id":`...), id)
	if versioned {
		dst = strconv.AppendUint(append(dst, `,"version":`...), o.version, 10)
		dst = append(dst, `,"version_type":"external_gte"`...)
	}
	return append(dst, "}}\n"...)
}

// grace is how long a request that is under way may take when its partition is
// given up: what is cut off may still be carried out, behind what the next owner
// of the partition writes.
const grace = 800 * time.Millisecond

// errLease says that nothing may be sent for now.
var errLease = errors.New("the consumer group has not confirmed lately that this process has the partition, so that another one may have it: waiting for Kafka to answer a heartbeat")

// send writes the bulk's operations and says of each what became of it; those
// that are to be tried again stay pending. An error is one of the whole
// request, after which any of them may have happened.
func (s *Sink) send(ctx context.Context, b *bulk, text []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := min(s.config.ReadTimeout, sink.LeaseLeft(ctx))
	if limit <= 0 {
		return errLease
	}
	body := s.bodies.Get().(*bytes.Buffer)
	body.Reset()
	if err := s.fill(body, b, text); err != nil {
		return err
	}
	within, cancel := lingering(ctx, s.config.ReadTimeout)
	defer cancel()
	request, err := s.request(ctx, within, body.Bytes(), limit)
	if err != nil {
		return fmt.Errorf("building a bulk request: %w", err)
	}
	failpoint.Pass(failpoint.BulkSend)
	start := time.Now()
	response, err := s.client.Perform(request)
	if err != nil {
		return fmt.Errorf("sending %d operations: %w", len(b.operations), noAnswer(within, s.config.ReadTimeout, err))
	}
	defer response.Body.Close()
	s.metrics.requests.Inc()
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	if err := b.read(response); err != nil {
		return err
	}
	// Only a request that was answered as a whole was read as a whole: the
	// transport may still be sending another one.
	if response.StatusCode == http.StatusOK {
		s.bodies.Put(body)
	}
	return nil
}

// lingering returns a context for a request: it ends after most, or when the
// lease of ctx is over, or a little after ctx.
func lingering(ctx context.Context, most time.Duration) (within context.Context, end context.CancelFunc) {
	within, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() { cancel(endOf(ctx, within, most)) }()
	return within, func() { cancel(nil) }
}

// endOf waits until within is to end, and says why. A lease grows while it is
// waited for.
func endOf(ctx, within context.Context, most time.Duration) error {
	deadline := time.Now().Add(most)
	for {
		left := min(time.Until(deadline), sink.LeaseLeft(ctx))
		if left <= 0 {
			return context.DeadlineExceeded
		}
		over := time.NewTimer(left)
		select {
		case <-within.Done():
			over.Stop()
			return nil
		case <-ctx.Done():
			over.Reset(min(left, grace))
			select {
			case <-within.Done():
			case <-over.C:
			}
			over.Stop()
			return context.Cause(ctx)
		case <-over.C:
		}
	}
}

// request makes a bulk request for which the server takes half of limit at most,
// and whose body is not read beyond the end of ctx's lease.
func (s *Sink) request(ctx, within context.Context, body []byte, limit time.Duration) (*http.Request, error) {
	// The server gives up waiting, for a shard or a mapping, before the client
	// does: it says what it waits for, and does not go on later. Of an answer
	// _source is of no interest, and the rest only where something went wrong.
	path := fmt.Sprintf("/_bulk?timeout=%dms&filter_path=errors,items.*.status,items.*.error", max(1, limit.Milliseconds()/2))
	request, err := http.NewRequestWithContext(within, http.MethodPost, path, nil)
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(&leased{bytes.NewReader(body), ctx}), nil }
	if request.Body, err = request.GetBody(); err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	if s.config.Compression {
		request.Header.Set("Content-Encoding", "gzip")
	}
	return request, nil
}

// leased is the body of a request while the lease lasts. A process can stand
// still between any two steps, also when half of a body is sent: what is read
// later is not sent, and the server never has the whole of the request.
type leased struct {
	body *bytes.Reader
	ctx  context.Context
}

// Read reads the next piece.
func (l *leased) Read(p []byte) (int, error) {
	if l.body.Len() > 0 && sink.LeaseLeft(l.ctx) <= 0 {
		return 0, errLease
	}
	return l.body.Read(p)
}

// noAnswer says in words why there was no answer.
func noAnswer(ctx context.Context, limit time.Duration, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(err, errLease):
		return errLease
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("no answer from Elasticsearch within %v (read.timeout.ms), or before the session of the consumer group was over: %w", limit, err)
	case cause != nil:
		return err
	}
	return fmt.Errorf("the connection to Elasticsearch failed: %w", err)
}

// fill writes the request's body.
func (s *Sink) fill(body *bytes.Buffer, b *bulk, text []byte) error {
	var out io.Writer = body
	var zip *gzip.Writer
	if s.config.Compression {
		zip, _ = gzip.NewWriterLevel(body, gzip.BestSpeed)
		out = zip
	}
	for _, o := range b.operations {
		if _, err := out.Write(text[o.from:o.to]); err != nil {
			return fmt.Errorf("compressing a bulk request: %w", err)
		}
	}
	if zip != nil {
		return zip.Close()
	}
	return nil
}

// errNoResult says that the answer is none to the operation.
var errNoResult = errors.New("the answer does not say what became of the operation")

// errBusy says that the cluster refused a whole request for now.
var errBusy = errors.New("the cluster is busy")

// read takes the answer to a bulk request.
func (b *bulk) read(response *http.Response) error {
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500 {
		return fmt.Errorf("%w: %s", errBusy, refusal(response))
	}
	if response.StatusCode == http.StatusRequestEntityTooLarge {
		if len(b.operations) > 1 {
			return fmt.Errorf("%w: %d operations are more than the cluster takes at a time: %s", errBusy, len(b.operations), refusal(response))
		}
		b.outcomes[0], b.reasons[0] = rejected, fmt.Errorf("the document is larger than the cluster takes: %s", refusal(response))
		return nil
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("sending %d operations: %s", len(b.operations), refusal(response))
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the answer to %d operations: %w", len(b.operations), err)
	}
	if bytes.HasPrefix(text, []byte(`{"errors":false`)) && bytes.HasSuffix(bytes.TrimSpace(text), []byte("}")) {
		b.all(done)
		return nil
	}
	var a answer
	if err := stdjson.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("reading the answer to %d operations: %w", len(b.operations), err)
	}
	if len(a.Items) != len(b.operations) {
		return fmt.Errorf("reading the answer to %d operations: it has %d", len(b.operations), len(a.Items))
	}
	for i, item := range a.Items {
		b.outcomes[i], b.reasons[i] = pending, errNoResult
		for _, result := range item {
			b.outcomes[i], b.reasons[i] = classify(result.Status, b.operations[i].delete, result.Error.Type, result.Error.Reason, result.Error.Cause.Reason)
			if away(result.Error.Type) {
				b.operations[i].index.losses.Add(1)
			}
		}
	}
	return nil
}

func (b *bulk) all(o outcome) {
	for i := range b.outcomes {
		b.outcomes[i] = o
	}
}

// classify says what an item's status means.
func classify(status int, deleting bool, kind, reason, cause string) (outcome, error) {
	switch {
	case status >= 200 && status < 300, status == http.StatusNotFound && deleting && kind == "":
		return done, nil
	case status == http.StatusConflict:
		return stale, nil
	case ofIndex(kind, reason) != "":
		return pending, fmt.Errorf("%s: %d %s: %s", ofIndex(kind, reason), status, kind, reason)
	case status == http.StatusTooManyRequests, status >= 500:
		return pending, fmt.Errorf("%w: %d %s: %s", errBusy, status, kind, reason)
	}
	return rejected, fmt.Errorf("%d %s: %s", status, kind, withoutValue(reason, cause))
}

// withoutValue is a reason and its cause without the value that was refused: it
// goes into logs, status and headers, and the field's name is enough to find it.
func withoutValue(reason, cause string) string {
	if strings.Contains(reason, "failed to parse field [") {
		reason, _, _ = strings.Cut(reason, " Preview of field's value: ")
		return reason // the cause repeats the value, in words of the field's type
	}
	if cause != "" && cause != reason {
		reason += ": " + cause
	}
	reason, _, _ = strings.Cut(reason, " The prefix of the first immense term is: ")
	return reason
}

// ofIndex says in words why an item was refused for what its index is now, or
// for what the user may do with it, and not for what the item is, nor for how
// many come; "" if it was not.
func ofIndex(kind, reason string) string {
	switch kind {
	case "illegal_argument_exception": // of a record, too
		switch {
		case strings.HasPrefix(reason, "no write index is defined for alias"):
			return "the hidden alias that is written through (see docs/elasticsearch.md) stands for another index, too, such as a restored copy: remove it from that one"
		case strings.HasPrefix(reason, "pipeline with id [") && strings.HasSuffix(reason, "] does not exist"):
			return "the index names an ingest pipeline that is gone: put it, or change index.default_pipeline and index.final_pipeline"
		}
	case "cluster_block_exception":
		return "the index is read-only or blocked, which is waited for"
	case "index_not_found_exception", "invalid_index_name_exception": // the latter: see targetOf
		return isGone
	case "index_closed_exception":
		return "the index is closed, until somebody opens it"
	case "security_exception":
		return "the user lacks the right to write to the index"
	case "unavailable_shards_exception", "no_shard_available_action_exception":
		return "the index has a shard that no node serves, which is waited for"
	}
	return ""
}

const isGone = "the index is gone, and all that was in it: restore it, or write it anew with weirctl rebuild elasticsearch"

// away reports whether the index is not there for now, so that it may have less
// when it is there again. To restore an open one, it is closed or deleted.
func away(kind string) bool {
	switch kind {
	case "index_not_found_exception", "invalid_index_name_exception", "index_closed_exception":
		return true
	}
	return false
}

// refusal is what a failed request answered, shortened.
func refusal(response *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
	var e struct {
		Error struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		} `json:"error"`
	}
	if stdjson.Unmarshal(text, &e) == nil && e.Error.Reason != "" {
		return fmt.Sprintf("%s: %s: %s", response.Status, e.Error.Type, e.Error.Reason)
	}
	if len(text) > 300 {
		text = text[:300]
	}
	return fmt.Sprintf("%s: %s", response.Status, bytes.TrimSpace(text))
}
