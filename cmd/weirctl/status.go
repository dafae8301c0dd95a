package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/internal/admin"
)

func newStatus(environ []string) *cobra.Command {
	t := targets{environ: environ}
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [address…]",
		Short: "Show the fleet in one table",
		Long: `status asks the HTTP ports of components and shows them in one table, with what went
wrong below. Without addresses and --config it asks the ports of this machine
(127.0.0.1:9400 to 9403) and leaves out those where nothing listens.`,
		Example: `  weirctl status
  weirctl status capture-1:9400 es-1:9401 es-2:9401
  weirctl status -c orders.json -c elasticsearch.json -c redis.json -c lake.json
  weirctl status --json | jq '.[].lag'`,
		Args: wantArgs(0, -1),
		RunE: func(c *cobra.Command, addresses []string) error {
			found, err := t.find(addresses)
			if err != nil {
				return err
			}
			answers := ask(c.Context(), found)
			if len(t.config) == 0 && len(addresses) == 0 {
				answers = answering(answers)
			}
			if len(answers) == 0 {
				return fmt.Errorf("%w at %s to %s; name addresses or --config files", admin.ErrNoAnswer, admin.CaptureListen, admin.LakeListen)
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), answers)
			} else {
				printStatus(c.OutOrStdout(), answers)
			}
			return errors.Join(err, judge(answers))
		},
	}
	t.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the components' statuses as a JSON array")
	return c
}

// answer is what a component said.
type answer struct {
	target
	status admin.Status
	err    error
}

// ask asks all components at once.
func ask(ctx context.Context, found []target) []answer {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answers := make([]answer, len(found))
	var wait sync.WaitGroup
	for i, f := range found {
		wait.Go(func() {
			s, err := f.client.Status(ctx)
			answers[i] = answer{f, s, err}
		})
	}
	wait.Wait()
	return answers
}

// answering are the answers of components that listen.
func answering(answers []answer) []answer {
	var out []answer
	for _, a := range answers {
		if !errors.Is(a.err, admin.ErrNoAnswer) {
			out = append(out, a)
		}
	}
	return out
}

// judge is the error that the exit code comes from.
func judge(answers []answer) error {
	for _, a := range answers {
		if a.err != nil || failed(a.status) {
			return errFound
		}
	}
	return nil
}

func failed(s admin.Status) bool {
	if s.Connector.State == admin.Failed {
		return true
	}
	for _, task := range s.Tasks {
		if task.State == admin.Failed {
			return true
		}
	}
	return false
}

func printJSON(w io.Writer, answers []answer) error {
	type unreachable struct {
		Name  string `json:"name,omitempty"`
		URL   string `json:"url"`
		Error string `json:"error"`
	}
	out := make([]any, len(answers))
	for i, a := range answers {
		out[i] = a.status
		if a.err != nil {
			out[i] = unreachable{a.name, a.client.URL, a.err.Error()}
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("writing the statuses: %w", err)
	}
	return nil
}

// printStatus prints the table, then snapshots, then problems.
func printStatus(w io.Writer, answers []answer) {
	t := newTable("CONNECTOR", "COMPONENT", "STATE", ">TASKS", ">LAG", ">BEHIND", ">RECORDS/S", "READS")
	for _, a := range answers {
		if a.err != nil {
			t.add(orDash(a.name), "-", "NO ANSWER", "-", "-", "-", "-", a.client.URL)
			continue
		}
		s := a.status
		reads, lag, behind := s.Position, known(s.Lag.Records), duration(s.Lag.Seconds)
		if s.Group != "" {
			reads = "group " + s.Group
			if len(s.Tasks) == 0 { // none of the group's partitions is its own: it knows of no lag
				lag, behind = "-", "-"
			}
		}
		t.add(s.Name, s.Component, string(worst(s)), tasks(s), lag, behind, count(int64(s.Rates.Records+0.5)), reads)
	}
	t.write(w)
	for _, a := range answers {
		printDetails(w, a)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// worst is the connector's state, or FAILED where a task is.
func worst(s admin.Status) admin.State {
	if failed(s) {
		return admin.Failed
	}
	return s.Connector.State
}

// tasks is how many of a component's tasks run.
func tasks(s admin.Status) string {
	running := 0
	for _, task := range s.Tasks {
		if task.State == admin.Running {
			running++
		}
	}
	return fmt.Sprintf("%d/%d", running, len(s.Tasks))
}

func printDetails(w io.Writer, a answer) {
	if a.err != nil {
		printf(w, "\n%s\n", a.err)
		return
	}
	if a.status.Snapshot != nil && a.status.Snapshot.State != "COMPLETED" {
		printf(w, "\n%s: %s\n", a.status.Name, progress(*a.status.Snapshot))
	}
	printProblem(w, a.status.Name, a.status.Problem)
	for _, task := range a.status.Tasks {
		who := a.status.Name
		if task.Partition != nil {
			who = fmt.Sprintf("%s, %s-%d", who, task.Topic, task.Partition.Partition)
		}
		printProblem(w, who, task.Problem)
	}
}

func printProblem(w io.Writer, who string, p *admin.Problem) {
	if p == nil {
		return
	}
	at := ""
	if p.Record != nil {
		at = fmt.Sprintf(" at offset %d", p.Record.Offset)
	}
	printf(w, "\n%s%s, %s:\n  %s\n", who, at, p.At.Local().Format(time.DateTime), p.Text)
	if p.Do != "" {
		printf(w, "  %s\n", p.Do)
	}
}

// progress is a snapshot in a line.
func progress(s admin.Snapshot) string {
	done := 0
	for _, t := range s.Tables {
		if t.Done {
			done++
		}
	}
	text := fmt.Sprintf("snapshot %s, %d of %d tables, %s rows", strings.ToLower(s.State), done, len(s.Tables), count(s.Rows))
	if s.Estimated > 0 {
		text += fmt.Sprintf(" of about %s (%d %%)", count(s.Estimated), min(100, 100*s.Rows/s.Estimated))
	}
	return text
}
