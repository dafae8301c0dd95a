//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// variable is where the process learns what it is to die of.
const variable = "WEIR_FAILPOINT"

// watch is a step that is waited for.
type watch struct {
	name   Name
	number int64 // of the passage at which something happens
	stop   bool  // instead of kill
	passed atomic.Int64
}

var watched = mustParse(os.Getenv(variable))

// Pass says that the process is at a step, and ends or stops it there if that
// is asked for.
func Pass(name Name) {
	for _, w := range watched {
		if w.name == name && w.passed.Add(1) == w.number {
			w.happen()
		}
	}
}

// happen does not return, or only after SIGCONT.
func (w *watch) happen() {
	if !w.stop {
		fmt.Fprintf(os.Stderr, "failpoint: %s:%d: kill\n", w.name, w.number)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // whatever runs beside it ends in this moment, too
	}
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGCONT)
	defer signal.Stop(woken)
	fmt.Fprintf(os.Stderr, "failpoint: %s:%d: stop\n", w.name, w.number)
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	<-woken // the signal may reach another thread first, and this one go on for a while
}

func mustParse(text string) []*watch {
	watches, err := parse(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "failpoint: reading %s=%q: %v\n", variable, text, err)
		os.Exit(2)
	}
	return watches
}

func parse(text string) (watches []*watch, err error) {
	if text == "" {
		return nil, nil
	}
	for _, one := range strings.Split(text, ",") {
		parts := strings.Split(one, ":")
		w := &watch{name: Name(parts[0]), number: 1}
		if !slices.Contains(Capture, w.name) && !slices.Contains(Consumers, w.name) {
			return nil, fmt.Errorf("there is no step %q", w.name)
		}
		if len(parts) > 1 {
			if w.number, err = strconv.ParseInt(parts[1], 10, 64); err != nil || w.number < 1 {
				return nil, fmt.Errorf("%q is no number of a passage", parts[1])
			}
		}
		if len(parts) > 2 {
			if w.stop = parts[2] == "stop"; !w.stop {
				return nil, fmt.Errorf("%q is not stop", parts[2])
			}
		}
		if len(parts) > 3 {
			return nil, fmt.Errorf("%q has more than name, number and stop", one)
		}
		watches = append(watches, w)
	}
	return watches, nil
}
