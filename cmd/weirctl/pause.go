package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/internal/admin"
)

func newPause(environ []string) *cobra.Command {
	return newSteering(environ, "pause", "paused", "Stop a sink's work, keeping its partitions", (*admin.Client).Pause)
}

func newResume(environ []string) *cobra.Command {
	return newSteering(environ, "resume", "resumed", "Let a sink that was paused go on", (*admin.Client).Resume)
}

// newSteering is a command that asks components to do one thing.
func newSteering(environ []string, name, done, short string, do func(*admin.Client, context.Context) error) *cobra.Command {
	t := targets{environ: environ}
	c := &cobra.Command{
		Use:   name + " [address…]",
		Short: short,
		Long:  short + ". It lasts until the process ends; name every process of the sink.",
		Example: "  weirctl " + name + " -c redis.json\n" +
			"  weirctl " + name + " es-1:9401 es-2:9401",
		Args: wantArgs(0, -1),
		RunE: func(c *cobra.Command, addresses []string) error {
			if len(addresses)+len(t.config) == 0 {
				return wantArgs(1, -1)(c, addresses)
			}
			found, err := t.find(addresses)
			if err != nil {
				return err
			}
			var errs []error
			for _, f := range found {
				err := do(f.client, c.Context())
				if err == nil {
					printLine(c.OutOrStdout(), f.client.URL, done)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	t.flags(c)
	return c
}
