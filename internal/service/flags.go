package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// flags are the command line of a component.
type flags struct {
	config, set             []string
	help, version, validate bool
}

func parseFlags(args []string) (flags, error) {
	var f flags
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	add := func(to *[]string) func(string) error {
		return func(text string) error {
			*to = append(*to, text)
			return nil
		}
	}
	set.Func("config", "", add(&f.config))
	set.Func("set", "", add(&f.set))
	set.BoolVar(&f.version, "version", false, "")
	set.BoolVar(&f.validate, "validate", false, "")
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		f.help = true
		return f, nil
	}
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q; want flags only", set.Arg(0))
	}
	return f, err
}

const flagHelp = `
Flags
  --config <file>      connector file (JSON, .properties, YAML), file#block, or - for stdin; of several, later ones win
  --set <name=value>   set a property, over all files and variables; repeat for more
  --validate           check the configuration and the servers, change nothing
  --version            print the version
  --help               print this

Variables
  WEIR_<PROPERTY>      set a property: capitals, underscores for dots (WEIR_DATABASE_PASSWORD)
  WEIR_SET_<n>         set any property: name=value

Exit codes
  0  ended as asked                     3  --validate: a server cannot be reached or is not as it must be
  1  could not go on                    4  halted: going on could lose or double data; see the log for what to do
  2  flags or configuration are wrong
`

// help prints how to use p.
func help(w io.Writer, p Program) error {
	printf(w, "%s: %s\n\nUsage\n  %s --config connector.json [--config more.properties] [--set name=value]\n", p.Name, p.Short, p.Name)
	if p.Examples != "" {
		printLine(w, "\nExamples")
		for line := range strings.Lines(strings.TrimSpace(p.Examples)) {
			printLine(w, "  "+strings.TrimSpace(line))
		}
	}
	printf(w, "%s", flagHelp)
	printLine(w, "\nProperties (name, default, meaning; docs/configuration.md has more)")
	return config.Help(w, p.AllTables()...)
}
