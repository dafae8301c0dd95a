// Command weirctl looks after a fleet of Weir's components: what they do, where
// a sink reads on, and what to do with what is stuck.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// errUsage is a command line or configuration that is wrong.
var errUsage = errors.New("wrong usage")

// errFound is what a command was to find out, and found: something that is not
// as it should be. It has been printed.
var errFound = errors.New("not all is well")

// run runs one command line and returns the exit code.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(environ)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return service.ExitOK
	case errors.Is(err, errFound):
		return service.ExitFailed
	}
	printLine(stderr, "weirctl:", err)
	switch {
	case errors.Is(err, admin.ErrNoAnswer):
		return service.ExitServers
	case errors.Is(err, errUsage), isConfiguration(err):
		return service.ExitConfiguration
	}
	return service.ExitFailed
}

func isConfiguration(err error) bool {
	var mistake *config.Error
	return errors.As(err, &mistake)
}

func newRoot(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "weirctl",
		Short: "Look after a fleet of Weir's components",
		Long: `weirctl looks after a fleet of Weir's components.

Exit codes: 0 all is well, 1 it is not or the command could not go on, 2 wrong usage
or configuration, 3 a component or server does not answer.`,
		Version:       service.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return fmt.Errorf("%w: unknown command %q%s", errUsage, args[0], hint)
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w; try %s --help", errUsage, err, c.CommandPath())
	})
	root.AddCommand(newStatus(environ), newPause(environ), newResume(environ), newReset(environ), newRebuild(environ), newSkip(environ), newVerify(environ), newDoctor(environ))
	return root
}

// wantArgs checks the number of arguments.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return fmt.Errorf("%w: want %s", errUsage, c.UseLine())
		}
		return nil
	}
}
