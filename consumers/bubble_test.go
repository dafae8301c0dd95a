package consumers

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bubbleWithin is how long a seed may take by the real clock: some seconds are
// usual on a busy machine, and several times that under the race detector.
const bubbleWithin = 3 * time.Minute * raceSlowdown

// bubble plays on a virtual clock. That stands still while anything runs: what
// never pauses is named after a while, in as many lines as one can read.
func bubble(t *testing.T, seed uint64, play func(t *testing.T)) {
	stuck := time.AfterFunc(bubbleWithin, func() {
		stacks := make([]byte, 64<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		panic(fmt.Sprintf("%s, seed %d: the virtual clock stands still, for these never pause:\n%s", t.Name(), seed, strings.Join(restless(string(stacks)), "\n")))
	})
	defer stuck.Stop()
	synctest.Test(t, play)
}

var (
	stackHead = regexp.MustCompile(`^goroutine (\d+) \[([^\]]*)\]`)
	stackFrom = regexp.MustCompile(`created by \S+ in goroutine (\d+)`)
)

// restless are the goroutines of a bubble that are not waiting, and those that
// made them, each in a line: its state, and its functions from the innermost.
func restless(stacks string) []string {
	all, busy := map[string]string{}, map[string]bool{}
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		head := stackHead.FindStringSubmatch(stack)
		if head == nil || !strings.Contains(head[2], "synctest bubble") {
			continue
		}
		all[head[1]] = head[2] + ": " + strings.Join(functionsOf(stack), " < ")
		if !strings.Contains(head[2], "durable") {
			busy[head[1]] = true
			if from := stackFrom.FindStringSubmatch(stack); from != nil {
				busy[from[1]] = true
			}
		}
	}
	var lines []string
	for id := range busy {
		if all[id] != "" {
			lines = append(lines, all[id])
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func functionsOf(stack string) (names []string) {
	for line := range strings.SplitSeq(stack, "\n") {
		if name, _, ok := strings.Cut(line, "("); ok && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "goroutine ") {
			if i := strings.LastIndex(line, "("); i > 0 && !strings.HasPrefix(line, "created by") {
				name = line[:i]
			}
			names = append(names, name[strings.LastIndex(name, "/")+1:])
		}
	}
	return names
}

// TestABubbleThatNeverPausesIsNamed finds a goroutine that spins, and not those
// that wait.
func TestABubbleThatNeverPausesIsNamed(t *testing.T) {
	var lines []string
	synctest.Test(t, func(*testing.T) {
		waits := make(chan struct{})
		go wait(waits)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { defer close(stopped); spin(stop) }()
		for range 100 {
			runtime.Gosched()
		}
		stacks := make([]byte, 64<<20)
		lines = restless(string(stacks[:runtime.Stack(stacks, true)]))
		close(stop)
		<-stopped
		close(waits)
	})
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "consumers.spin") }) {
		t.Errorf("the one that spins is not named:\n%s", strings.Join(lines, "\n"))
	}
	if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "consumers.wait") }) {
		t.Errorf("one that waits is named:\n%s", strings.Join(lines, "\n"))
	}
}

func wait(on chan struct{}) { <-on }

func spin(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			runtime.Gosched()
		}
	}
}
