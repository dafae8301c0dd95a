package processes

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-cdc/weir/internal/admin"
)

// Pipeline is a source, its capture, Kafka, and sinks that read the same topics.
type Pipeline struct {
	Source   *sql.DB
	Captures []*Component // the instances of the capture, one of which leads
	Kafka    *kadm.Client
	Topics   func(topic string) bool // whether the sinks read a topic
	Sinks    [][]*Component          // the instances of each sink
	Group    *Group                  // of all processes
}

// Settle waits until nothing lags: the capture has stored the end of the
// source's log, and every sink has committed the end of every topic, by what
// their status says. The source must not be written to meanwhile. It goes on as
// long as anything moves (see Stall). say is told what is being waited for when
// that changes.
func (p *Pipeline) Settle(ctx context.Context, say func(string)) error {
	end, err := sourcePosition(ctx, p.Source)
	if err != nil {
		return fmt.Errorf("waiting for zero lag: %w", err)
	}
	var stall Stall
	for last := ""; ; {
		now, err := p.look(ctx, end)
		if err = errors.Join(p.Group.Ended(), err); err != nil {
			return fmt.Errorf("waiting for zero lag: %w", err)
		}
		if now.waiting == "" {
			return nil
		}
		if now.waiting != last {
			last = now.waiting
			say(last)
		}
		if err := stall.Check(now.waiting + now.progress); err != nil {
			return fmt.Errorf("waiting for zero lag: %s: %w\n%s", now.waiting, err, p.problems())
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for zero lag: %s: %w\n%s", now.waiting, err, p.problems())
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// look is how far a pipeline is.
type look struct {
	waiting  string // for what; "" for nothing
	progress string // changes as long as something moves
}

// look says what is not done yet. An error is one that waiting does not mend.
func (p *Pipeline) look(ctx context.Context, end logPosition) (look, error) {
	name := p.Captures[0].Name
	s, leads, err := Leader(ctx, p.Captures)
	switch {
	case err != nil:
		return look{}, err
	case !leads:
		return look{waiting: name + ": no instance leads"}, nil
	}
	now := look{progress: s.Position}
	at, err := parsePosition(s.Position)
	switch {
	case err != nil:
		return look{}, err
	case s.Snapshot != nil && s.Snapshot.State != "COMPLETED":
		now.waiting = name + ": the snapshot is running"
		now.progress += fmt.Sprint(s.Snapshot.Rows)
		return now, nil
	case at.compare(end) < 0:
		now.waiting = name + ": the end of the source's log"
		return now, nil
	}
	ends, err := p.ends(ctx)
	if err != nil {
		now.waiting = err.Error() // a broker that does not answer now may do so later
		return now, ctx.Err()
	}
	for _, instances := range p.Sinks {
		open, committed, err := lagOf(ctx, instances, ends)
		if err != nil {
			return look{}, err
		}
		now.progress += fmt.Sprint(" ", committed)
		if open > 0 {
			now.waiting = fmt.Sprintf("%s: %s", instances[0].Name, partitions(open))
			return now, nil
		}
	}
	return now, nil
}

// Leader is the status of the instance of a capture that leads, if one does now.
func Leader(ctx context.Context, instances []*Component) (leader admin.Status, leads bool, err error) {
	for _, c := range instances {
		s, err := c.Status(ctx)
		if err != nil {
			return leader, false, err
		}
		switch s.Connector.State {
		case admin.Failed:
			return leader, false, fmt.Errorf("%s: %s", c.Name, problemText(s.Problem))
		case admin.Running:
			leader, leads = s, true
		}
	}
	return leader, leads, nil
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

// lagOf counts the partitions whose end no instance of a sink has committed, and
// adds up what they have committed.
func lagOf(ctx context.Context, instances []*Component, ends kadm.ListedOffsets) (open int, sum int64, err error) {
	committed := map[string]map[int32]int64{}
	for _, sink := range instances {
		s, err := sink.Status(ctx)
		if err != nil {
			return 0, 0, err
		}
		for _, task := range s.Tasks {
			if task.State == admin.Failed {
				return 0, 0, fmt.Errorf("%s: %s", sink.Name, problemText(task.Problem))
			}
			if task.Partition == nil {
				continue
			}
			if committed[task.Topic] == nil {
				committed[task.Topic] = map[int32]int64{}
			}
			committed[task.Topic][task.Partition.Partition] = task.Committed
			sum += task.Committed
		}
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > max(0, committed[end.Topic][end.Partition]) {
			open++
		}
	})
	return open, sum, nil
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
	for _, c := range slices.Concat(append([][]*Component{p.Captures}, p.Sinks...)...) {
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
