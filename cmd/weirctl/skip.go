package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/internal/admin"
)

func newSkip(environ []string) *cobra.Command {
	t := targets{environ: environ}
	var at []string
	c := &cobra.Command{
		Use:   "skip [topic partition offset]",
		Short: "Move a stuck partition past one record",
		Long: `skip moves a partition of a running sink that is stuck at a record past that record,
which goes to the dead letter topic. Without arguments it lists what is stuck.`,
		Example: `  weirctl skip -c elasticsearch.json
  weirctl skip -c elasticsearch.json shop.ecommerce.orders 3 1042
  weirctl skip --at es-1:9401 --at es-2:9401 shop.ecommerce.orders 3 1042`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wantArgs(3, 3)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			found, err := t.find(at)
			if err != nil {
				return err
			}
			answers := ask(c.Context(), found)
			if len(args) == 0 {
				return listStuck(c, answers)
			}
			record, err := recordOf(args)
			if err != nil {
				return err
			}
			return skip(c, answers, record)
		},
	}
	t.flags(c)
	c.Flags().StringArrayVar(&at, "at", nil, "address of a sink's HTTP port; repeat for more")
	return c
}

func recordOf(args []string) (admin.Record, error) {
	partition, errPartition := strconv.ParseInt(args[1], 10, 32)
	offset, errOffset := strconv.ParseInt(args[2], 10, 64)
	if errPartition != nil || errOffset != nil || partition < 0 || offset < 0 {
		return admin.Record{}, fmt.Errorf("%w: want a topic, and the numbers of a partition and an offset, not %q %q %q", errUsage, args[0], args[1], args[2])
	}
	return admin.Record{Topic: args[0], Partition: int32(partition), Offset: offset}, nil
}

// stuck are the records that tasks of a component cannot get past.
func stuck(s admin.Status) []admin.Problem {
	var out []admin.Problem
	for _, task := range s.Tasks {
		if task.State == admin.Failed && task.Problem != nil && task.Problem.Record != nil {
			out = append(out, *task.Problem)
		}
	}
	return out
}

func listStuck(c *cobra.Command, answers []answer) error {
	t := newTable("CONNECTOR", "TOPIC", ">PARTITION", ">OFFSET", "BECAUSE")
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, a.err)
		}
		for _, p := range stuck(a.status) {
			t.add(a.status.Name, p.Record.Topic, strconv.Itoa(int(p.Record.Partition)), strconv.FormatInt(p.Record.Offset, 10), p.Text)
		}
	}
	if len(errs) == len(answers) {
		return errors.Join(errs...)
	}
	if len(t.rows) == 0 {
		printLine(c.OutOrStdout(), "nothing is stuck")
		return nil
	}
	t.write(c.OutOrStdout())
	return nil
}

// skip asks the component whose partition is stuck at the record.
func skip(c *cobra.Command, answers []answer, at admin.Record) error {
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, a.err)
			continue
		}
		for _, p := range stuck(a.status) {
			if *p.Record == at {
				return skipAt(c.Context(), c, a, at)
			}
		}
	}
	errs = append(errs, fmt.Errorf("%s-%d is not stuck at offset %d; weirctl skip without arguments lists what is", at.Topic, at.Partition, at.Offset))
	return errors.Join(errs...)
}

func skipAt(ctx context.Context, c *cobra.Command, a answer, at admin.Record) error {
	if err := a.client.Skip(ctx, at); err != nil {
		return fmt.Errorf("skipping: %w", err)
	}
	printf(c.OutOrStdout(), "%s: %s-%d goes on after offset %d; the record is in the dead letters\n", a.status.Name, at.Topic, at.Partition, at.Offset)
	return nil
}
