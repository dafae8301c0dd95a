package processes

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/internal/admin"
)

// Pipeline is a source, its capture, Kafka, and sinks that read the same topics.
type Pipeline struct {
	Source  *sql.DB
	Capture *Component
	Kafka   *kadm.Client
	Topics  func(topic string) bool // whether the sinks read a topic
	Sinks   []*Component
	Group   *Group // of all processes
}

// Settle waits until nothing lags: the capture has stored the end of the
// source's log, and every sink has committed the end of every topic, by what
// their status says. The source must not be written to meanwhile. say is told
// what is being waited for when that changes.
func (p *Pipeline) Settle(ctx context.Context, say func(string)) error {
	var end logPosition
	waiting, last := "", ""
	for {
		err := p.Group.Ended()
		if err == nil && end == (logPosition{}) {
			end, err = sourcePosition(ctx, p.Source)
		}
		if err == nil {
			waiting, err = p.lag(ctx, end)
		}
		switch {
		case err != nil:
			return fmt.Errorf("waiting for zero lag: %w", err)
		case waiting == "":
			return nil
		case waiting != last:
			last = waiting
			say(waiting)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for zero lag: %s: %w\n%s", waiting, ctx.Err(), p.problems())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lag says what is not done yet, "" if all is.
func (p *Pipeline) lag(ctx context.Context, end logPosition) (string, error) {
	s, err := p.Capture.Status(ctx)
	if err != nil {
		return "", err
	}
	if s.Connector.State == admin.Failed {
		return "", fmt.Errorf("%s: %s", p.Capture.Name, problemText(s.Problem))
	}
	at, err := parsePosition(s.Position)
	switch {
	case err != nil:
		return "", err
	case s.Snapshot != nil && s.Snapshot.State != "COMPLETED":
		return fmt.Sprintf("%s: the snapshot is running", p.Capture.Name), nil
	case at.compare(end) < 0:
		return fmt.Sprintf("%s: the end of the source's log", p.Capture.Name), nil
	}
	ends, err := p.ends(ctx)
	if err != nil {
		return "", err
	}
	for _, sink := range p.Sinks {
		open, err := lagOf(ctx, sink, ends)
		if err != nil || open > 0 {
			return fmt.Sprintf("%s: %s", sink.Name, partitions(open)), err
		}
	}
	return "", nil
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return strconv.Itoa(n) + " partitions"
}

// ends are the ends of all topics that the sinks read.
func (p *Pipeline) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	topics, err := p.Kafka.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	topics.FilterInternal()
	var names []string
	for _, name := range topics.Names() {
		if p.Topics(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("there is no topic that the sinks read")
	}
	ends, err := p.Kafka.ListEndOffsets(ctx, names...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("listing the ends of topics: %w", err)
	}
	return ends, nil
}

// lagOf counts the partitions whose end a sink has not committed.
func lagOf(ctx context.Context, sink *Component, ends kadm.ListedOffsets) (open int, err error) {
	s, err := sink.Status(ctx)
	if err != nil {
		return 0, err
	}
	committed := map[string]map[int32]int64{}
	for _, task := range s.Tasks {
		if task.State == admin.Failed {
			return 0, fmt.Errorf("%s: %s", sink.Name, problemText(task.Problem))
		}
		if task.Partition == nil {
			continue
		}
		if committed[task.Topic] == nil {
			committed[task.Topic] = map[int32]int64{}
		}
		committed[task.Topic][task.Partition.Partition] = task.Committed
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > max(0, committed[end.Topic][end.Partition]) {
			open++
		}
	})
	return open, nil
}

func problemText(p *admin.Problem) string {
	if p == nil {
		return "FAILED without a reason"
	}
	return strings.TrimSuffix(p.Text+"; "+p.Do, "; ")
}

// problems is what the components say of themselves, for a wait that was in vain.
func (p *Pipeline) problems() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var out strings.Builder
	for _, c := range append([]*Component{p.Capture}, p.Sinks...) {
		s, err := c.Status(ctx)
		text, _ := json.Marshal(s) // a status can be written
		fmt.Fprintf(&out, "%s: %s %v\n%s\n", c.Name, text, err, c.LogTail())
	}
	return out.String()
}

// logPosition is a place in the binary log of one server.
type logPosition struct {
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
}

func (p logPosition) compare(q logPosition) int {
	return cmp.Or(cmp.Compare(len(p.File), len(q.File)), cmp.Compare(p.File, q.File), cmp.Compare(p.Pos, q.Pos))
}

// parsePosition reads a capture's position; none yet is before all others.
func parsePosition(text string) (p logPosition, err error) {
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("reading the capture's position %q: %w", text, err)
	}
	return p, nil
}

// sourcePosition is the end of a server's log. The statement has another name on
// MariaDB and older versions of MySQL.
func sourcePosition(ctx context.Context, db *sql.DB) (p logPosition, err error) {
	var rows *sql.Rows
	for _, statement := range []string{"SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"} {
		if rows, err = db.QueryContext(ctx, statement); err == nil {
			break
		}
	}
	if err != nil {
		return p, fmt.Errorf("asking for the end of the log: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	columns, err := rows.Columns()
	if err != nil {
		return p, fmt.Errorf("asking for the end of the log: %w", err)
	}
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(sql.RawBytes)
	}
	into[0], into[1] = &p.File, &p.Pos
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return p, fmt.Errorf("asking for the end of the log: %w", err)
		}
	}
	if err := rows.Err(); err != nil || p.File == "" {
		return p, fmt.Errorf("asking for the end of the log: %w", cmp.Or(err, errors.New("the server keeps none")))
	}
	return p, nil
}
