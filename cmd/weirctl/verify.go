package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/cmd/internal/fleet"
	"github.com/weir-cdc/weir/internal/compare"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// verifying is one verify command.
type verifying struct {
	environ []string
	files   []string
	only    []string
	events  bool
	options compare.Options
	out     io.Writer
}

func newVerify(environ []string) *cobra.Command {
	v := &verifying{environ: environ}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare the source's tables with the targets, row by row",
		Long: `verify reads the captured tables and what sinks made of them, and compares them key by key.
It changes nothing. Rows that are being changed meanwhile are looked at again.

It takes the configuration of the capture and of any sinks. Fields that transforms add do not
matter; where they change or drop others, a target cannot be compared.`,
		Example: `  weirctl verify -c capture.json -c elasticsearch.json -c redis.json -c lake.json
  weirctl verify -c capture.json -c redis.json --table ecommerce.orders
  weirctl verify -c capture.json -c lake.json --events   # every change event of Kafka once in the lake`,
		Args: wantArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			v.out = c.OutOrStdout()
			return v.run(c.Context())
		},
	}
	c.Flags().StringArrayVarP(&v.files, "config", "c", nil, "configuration of the capture and of each sink")
	c.Flags().StringArrayVar(&v.only, "table", nil, "only this table, database.table; repeat for more")
	c.Flags().BoolVar(&v.events, "events", false, "compare the change events in Kafka with the rows of the lake, too")
	c.Flags().IntVar(&v.options.Rounds, "rounds", 5, "how often rows that differ are looked at again")
	c.Flags().DurationVar(&v.options.Wait, "wait", 2*time.Second, "how long to wait before that")
	c.Flags().IntVar(&v.options.Examples, "examples", 5, "how many differences to describe for each table")
	return c
}

func (v *verifying) run(ctx context.Context) error {
	source, targets, err := v.sides(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, t := range targets {
			t.close()
		}
		_ = source.db.Close() // nothing was written
	}()
	tables, err := source.tables(ctx, v.only)
	if err != nil {
		return err
	}
	var jobs []compare.Job
	for _, t := range targets {
		more, err := v.jobs(ctx, source, tables, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.connector, err)
		}
		jobs = append(jobs, more...)
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%w: no captured table goes to any of the sinks", errUsage)
	}
	report, err := compare.Verify(ctx, jobs, v.options)
	if err != nil {
		return err
	}
	if err := report.Write(v.out); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if report.Differences() > 0 {
		return errFound
	}
	return nil
}

// sides opens the source and the targets that the configurations are for.
func (v *verifying) sides(ctx context.Context) (source *captured, targets []*verified, err error) {
	var errs []error
	for _, file := range v.files {
		sources := config.Sources{Files: []string{file}, Environ: v.environ}
		kind, err := componentOf(sources)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		values, err := programOf(kind.name).Load(sources)
		switch {
		case err != nil:
		case kind.name != "weir-capture":
			var t *verified
			if t, err = openTarget(ctx, kind.name, values); err == nil {
				targets = append(targets, t)
			}
		case source != nil:
			err = fmt.Errorf("%w: two captures are given; verify one after the other", errUsage)
		default:
			source, err = openCaptured(values)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	if source == nil || len(targets) == 0 {
		return nil, nil, fmt.Errorf("%w: want --config with the capture's configuration, and with one sink's at least", errUsage)
	}
	return source, targets, nil
}

// programOf is the component of a name.
func programOf(name string) service.Program {
	programs := fleet.Programs()
	return programs[slices.IndexFunc(programs, func(p service.Program) bool { return p.Name == name })]
}

// jobs are the comparisons of all tables that go to a target.
func (v *verifying) jobs(ctx context.Context, source *captured, tables [][2]string, t *verified) ([]compare.Job, error) {
	var jobs []compare.Job
	routes := make(map[string]string)
	for _, name := range tables {
		topic, err := source.topic(name)
		if err != nil {
			return nil, err
		}
		if !t.reads(topic) {
			continue
		}
		route, err := t.runtime.Route(ctx, topic)
		if err != nil {
			return nil, err
		}
		if other := routes[route]; other != "" {
			return nil, fmt.Errorf("%w: %s and %s both go to %s, and cannot be told apart there", errUsage, other, topic, route)
		}
		routes[route] = topic
		table, err := compare.NewTable(ctx, source.db, name[0], name[1], compare.TableOptions{Key: source.key(name), JSONObjects: t.objects})
		if err != nil {
			return nil, err
		}
		if hidden := source.excludes(table.Columns, name); hidden != "" {
			printf(v.out, "%s is not compared: the capture leaves out its column %s\n", table, hidden)
			continue
		}
		rows, err := t.rows(route, table)
		if err != nil {
			return nil, err
		}
		job := compare.Job{Table: table, Targets: []compare.Target{{Name: t.name, Rows: rows}}}
		if v.events && t.name == "lake" {
			if job.Kafka, err = t.runtime.Config.Source.Options(); err != nil {
				return nil, err
			}
			job.Topics = []string{topic}
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}
