package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// Fixture is a sink.Writer over a real target, for one test: a fresh index, key
// prefix or whatever keeps it apart.
type Fixture struct {
	// Topic is what all records of the test come from and go to (their Route).
	Topic string
	// New starts the sink as a process would; several may be alive at a time, as
	// when a partition moves. stop is called once and may be nil.
	New func() (w sink.Writer, stop func(), err error)
	// Read returns the document that the target holds under a key, as a JSON
	// object, with a client that knows nothing of the sink; ok is false if there
	// is none.
	Read func(topic string, key *cdc.Row) (document []byte, ok bool, err error)
	// Bad makes r one that the target can never take. Nil: there is none.
	Bad func(r *cdc.Record)
	// Keyless says that records without a key are taken.
	Keyless bool
	// Faults are troubles of the target that pass.
	Faults []Fault
}

// Fault is a trouble of the target: cut connections, a server that stops, one
// that refuses for a while.
type Fault struct {
	Name  string
	Begin func() (end func(), err error)
}

const (
	patience  = 3 * time.Minute // for one Write to succeed in the end
	soon      = 5 * time.Second // for Write to return when its context ends
	seeds     = 6
	scriptLen = 60 // batches of a random run
)

// TestWriter checks every promise of sink.Writer; fixture makes a fresh target
// for each.
func TestWriter(t *testing.T, fixture func(t *testing.T) Fixture) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			f := fixture(t)
			if err := p.holds(&f); err != nil {
				t.Error(err)
			}
		})
	}
}

// promise is one thing that the runtime relies on.
type promise struct {
	name  string
	holds func(f *Fixture) error
}

var promises = []promise{
	{"what is written is there", writtenIsThere},
	{"an update replaces all of the row", updateReplaces},
	{"the newest of one key in a batch wins", newestInBatch},
	{"writing a batch twice changes nothing", duplicates},
	{"a record twice in a batch changes nothing", duplicateInBatch},
	{"an older write is refused", staleWrite},
	{"a delete removes", deleteRemoves},
	{"a delete of nothing is done", deleteOfNothing},
	{"an update older than the delete stays out", staleAfterDelete},
	{"a delete older than the row is refused", staleDelete},
	{"a key that comes back is there", comesBack},
	{"a delete with its tombstone in one batch", deleteAndTombstone},
	{"composite keys are told apart", compositeKeys},
	{"a key change is a delete and a create", keyChange},
	{"a rejected record is named and the others are durable", rejection},
	{"a record without a key is rejected", keyless},
	{"a cancelled write returns soon and can be repeated", cancelled},
	{"a large batch is durable", largeBatch},
	{"an empty batch is done", emptyBatch},
	{"partitions are written side by side", sideBySide},
	{"a crash between any two steps", crashes},
	{"two processes over one partition", twoProcesses},
	{"troubles of the target pass", faults},
}

// trial is a started sink with the log it is fed from.
type trial struct {
	*log
	f    *Fixture
	w    sink.Writer
	stop func()
}

func start(f *Fixture) (*trial, error) {
	t := &trial{log: newLog(f.Topic, 0), f: f}
	return t, t.restart()
}

// restart starts the sink anew, as after a crash.
func (t *trial) restart() (err error) {
	t.close()
	t.w, t.stop, err = t.f.New()
	if err != nil {
		return fmt.Errorf("starting the sink: %w", err)
	}
	return nil
}

func (t *trial) close() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
}

// write writes a batch as the runtime does: again until it succeeds.
func (t *trial) write(batch ...*cdc.Record) error { return writeTo(t.w, batch) }

func writeTo(w sink.Writer, batch []*cdc.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := w.Write(ctx, batch)
		var rejected *sink.Rejected
		var stopped *sink.Stopped
		if err == nil || errors.As(err, &rejected) || errors.As(err, &stopped) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the batch was not written within %v: %w", patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// holds compares the target with a model: key → item, nil for none.
func (t *trial) holds(model map[Key]*Item) error {
	var errs []error
	for key, want := range model {
		document, ok, err := t.f.Read(t.f.Topic, key.Row())
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("reading key %v: %w", key, err))
		case ok && want == nil:
			errs = append(errs, fmt.Errorf("key %v is there, though deleted: %s", key, document))
		case !ok && want != nil:
			errs = append(errs, fmt.Errorf("key %v is missing", key))
		case want != nil:
			if err := want.differs(document); err != nil {
				errs = append(errs, fmt.Errorf("key %v: %w", key, err))
			}
		}
	}
	return errors.Join(errs...)
}

// run writes batches one after the other and compares.
func run(f *Fixture, script func(l *log) [][]*cdc.Record) error {
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	for i, batch := range script(t.log) {
		if err := t.write(batch...); err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
	}
	return t.holds(t.state())
}

// one is the first item of most promises.
func one(name string, qty int32) Item { return Item{Key{ID: 1}, name, qty} }

func writtenIsThere(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.put(one("äöü \"x\" \\ {}", 1)), l.put(Item{Key{ID: -2}, "", 0}), l.put(Item{Key{ID: 1 << 53}, "c", -5})}}
	})
}

func updateReplaces(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.put(one("a", 1))}, {l.put(one("", 2))}} // name becomes NULL
	})
}

func newestInBatch(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		a := []*cdc.Record{l.put(one("a", 1)), l.put(one("b", 2)), l.remove(Key{ID: 1}), l.put(one("c", 3)), l.put(one("d", 4))}
		b := []*cdc.Record{l.put(Item{Key{ID: 2}, "a", 1}), l.put(Item{Key{ID: 2}, "b", 2}), l.remove(Key{ID: 2})}
		return [][]*cdc.Record{append(a, b...)}
	})
}

func duplicates(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		a := []*cdc.Record{l.put(one("a", 1)), l.put(Item{Key{ID: 2}, "b", 1}), l.remove(Key{ID: 2})}
		b := []*cdc.Record{l.put(one("b", 2)), l.put(Item{Key{ID: 3}, "c", 1})}
		return [][]*cdc.Record{a, a, b, a, b} // as after a crash before the commit
	})
}

func duplicateInBatch(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		a, b := l.put(one("a", 1)), l.put(one("b", 2))
		return [][]*cdc.Record{{a, b, b, a, b}}
	})
}

func staleWrite(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		old, young := l.put(one("old", 1)), l.put(one("young", 2))
		return [][]*cdc.Record{{young}, {old}}
	})
}

func deleteRemoves(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{
			{l.put(one("a", 1)), l.put(Item{Key{ID: 2}, "b", 1}), l.put(Item{Key{ID: 3}, "c", 1})},
			{l.remove(Key{ID: 1}), l.tombstone(Key{ID: 2})},
		}
	})
}

func deleteOfNothing(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.remove(Key{ID: 1}), l.tombstone(Key{ID: 2})}}
	})
}

func staleAfterDelete(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		a, b := l.put(one("a", 1)), l.put(one("b", 2))
		gone := l.remove(Key{ID: 1})
		unknown := l.put(Item{Key{ID: 2}, "x", 1})
		never := l.remove(Key{ID: 2}) // deleted before it was ever written
		return [][]*cdc.Record{{a}, {gone, never}, {b, unknown}}
	})
}

func staleDelete(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		a := l.put(one("a", 1))
		gone := l.remove(Key{ID: 1})
		again := l.put(one("again", 2))
		return [][]*cdc.Record{{a}, {again}, {gone}}
	})
}

func comesBack(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.put(one("a", 1))}, {l.remove(Key{ID: 1}), l.tombstone(Key{ID: 1})}, {l.put(one("b", 2))}}
	})
}

func deleteAndTombstone(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.put(one("a", 1)), l.remove(Key{ID: 1}), l.tombstone(Key{ID: 1}), l.put(Item{Key{ID: 2}, "b", 1})}}
	})
}

func compositeKeys(f *Fixture) error {
	texts := []string{"a", "b", `a\|b`, `a\`, "|", "1", "{a}", `"a"`, `","`, "ä", "null", `\N`}
	for _, separator := range []string{"|", ":", "_", "/", " ", "+", ",", "-"} { // a, b|a is not a|b, a
		texts = append(texts, "a"+separator+"b", "b"+separator+"a")
	}
	return run(f, func(l *log) [][]*cdc.Record {
		var batch []*cdc.Record
		for i, region := range texts {
			for j, shelf := range append(texts, "") {
				batch = append(batch, l.put(Item{Key{1, region, shelf}, fmt.Sprint(region, shelf), int32(100*i + j)}))
			}
			batch = append(batch, l.put(Item{Key{11, region, "a"}, "m", int32(i)}))
		}
		return [][]*cdc.Record{batch, {l.remove(Key{1, "a|b", "a"}), l.remove(Key{11, "a", "a"})}}
	})
}

func keyChange(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		return [][]*cdc.Record{{l.put(one("a", 1))}, {l.remove(Key{ID: 1}), l.tombstone(Key{ID: 1}), l.put(Item{Key{ID: 9}, "a", 1})}}
	})
}

func emptyBatch(f *Fixture) error {
	return run(f, func(*log) [][]*cdc.Record { return [][]*cdc.Record{{}} })
}

func largeBatch(f *Fixture) error {
	return run(f, func(l *log) [][]*cdc.Record {
		var batch []*cdc.Record
		for i := range 3000 {
			batch = append(batch, l.put(Item{Key{ID: int64(i % 700)}, fmt.Sprint("name ", i), int32(i)}))
		}
		return [][]*cdc.Record{batch}
	})
}

// rejects checks that err names exactly the records at these indexes.
func rejects(err error, indexes ...int) error {
	var rejected *sink.Rejected
	if !errors.As(err, &rejected) {
		return fmt.Errorf("got %w, want a *sink.Rejected", orNothing(err))
	}
	if len(rejected.Items) != len(indexes) {
		return fmt.Errorf("%d records rejected, want %d: %w", len(rejected.Items), len(indexes), err)
	}
	named := map[int]bool{}
	for _, item := range rejected.Items {
		named[item.Index] = item.Reason != nil
	}
	for _, i := range indexes {
		if !named[i] {
			return fmt.Errorf("record %d is not named with a reason: %w", i, err)
		}
	}
	return nil
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func rejection(f *Fixture) error {
	if f.Bad == nil {
		return nil
	}
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	batch := []*cdc.Record{t.put(one("a", 1)), t.put(Item{Key{ID: 2}, "bad", 1}), t.put(Item{Key{ID: 3}, "c", 1}), t.put(Item{Key{ID: 4}, "bad", 1}), t.put(Item{Key{ID: 5}, "e", 1})}
	f.Bad(batch[1])
	f.Bad(batch[3])
	for range 2 { // a rejection is repeated as it was
		if err := rejects(t.write(batch...), 1, 3); err != nil {
			return err
		}
	}
	want := t.state()
	delete(want, Key{ID: 2})
	delete(want, Key{ID: 4})
	return t.holds(want)
}

func keyless(f *Fixture) error {
	if f.Keyless {
		return nil
	}
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	batch := []*cdc.Record{t.put(one("a", 1)), t.put(Item{Key{ID: 2}, "b", 1}), t.put(Item{Key{ID: 3}, "c", 1})}
	batch[1].Key, batch[1].RawKey = nil, nil
	if err := rejects(t.write(batch...), 1); err != nil {
		return err
	}
	want := t.state()
	delete(want, Key{ID: 2})
	return t.holds(want)
}

// cancelled ends the context at every stage of writing that time finds.
func cancelled(f *Fixture) error {
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	for i := range 20 {
		var batch []*cdc.Record
		for j := range 50 {
			batch = append(batch, t.put(Item{Key{ID: int64(j)}, fmt.Sprint("v", i), int32(i*100 + j)}))
		}
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(time.Duration(i*i)*200*time.Microsecond, cancel)
		if i == 0 {
			cancel()
		}
		began := time.Now()
		err := t.w.Write(ctx, batch)
		took := time.Since(began)
		timer.Stop()
		cancel()
		if took > soon {
			return fmt.Errorf("a cancelled write took %v", took)
		}
		if err == nil {
			if err := t.holds(t.state()); err != nil {
				return fmt.Errorf("writing returned nil, but: %w", err)
			}
		}
		if err := t.write(batch...); err != nil {
			return err
		}
	}
	return t.holds(t.state())
}

func sideBySide(f *Fixture) error {
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	const partitions = 6
	logs, errs := make([]*log, partitions), make([]error, partitions)
	var wg sync.WaitGroup
	for p := range logs {
		logs[p] = newLog(f.Topic, int32(p))
		wg.Go(func() {
			for i := 0; i < 20 && errs[p] == nil; i++ {
				var batch []*cdc.Record
				for j := range 20 {
					batch = append(batch, logs[p].put(Item{Key{ID: int64(p*1000 + j)}, fmt.Sprint("v", i), int32(i)}))
				}
				batch = append(batch, logs[p].remove(Key{ID: int64(p*1000 + i)}))
				errs[p] = writeTo(t.w, batch)
			}
		})
	}
	wg.Wait()
	for _, l := range logs {
		errs = append(errs, t.holds(l.state()))
	}
	return errors.Join(errs...)
}

// random makes a batch of what a table goes through.
func random(l *log, rng *rand.Rand) []*cdc.Record {
	var batch []*cdc.Record
	for range 1 + rng.IntN(25) {
		k := Key{ID: int64(rng.IntN(30))}
		if rng.IntN(4) == 0 {
			k.Region = "r"
		}
		switch rng.IntN(5) {
		case 0:
			batch = append(batch, l.remove(k))
			if rng.IntN(2) == 0 {
				batch = append(batch, l.tombstone(k))
			}
		default:
			batch = append(batch, l.put(Item{k, fmt.Sprint("v", rng.IntN(1000)), int32(rng.IntN(1000))}))
		}
	}
	return batch
}

// crashes plays processes that die at any step: a Write is cut off at a moment
// that chance chooses, the next process begins at the last commit, which lags
// behind what was written.
func crashes(f *Fixture) error {
	for seed := range uint64(seeds) {
		if err := crashSeed(f, seed); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

func crashSeed(f *Fixture, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 4))
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	t.version += seed << 40 // the target is shared by the seeds
	var history [][]*cdc.Record
	for range scriptLen {
		history = append(history, random(t.log, rng))
	}
	committed, crashed := 0, 0
	for committed < len(history) {
		next := committed
		for next < len(history) {
			if crashed < 2*scriptLen && rng.IntN(3) == 0 {
				crashed++
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(3000))*time.Microsecond)
				_ = t.w.Write(ctx, history[next])
				cancel()
				if rng.IntN(4) == 0 {
					if err := t.restart(); err != nil {
						return err
					}
				}
				break
			}
			if err := t.write(history[next]...); err != nil {
				return err
			}
			if next++; rng.IntN(3) == 0 || next == len(history) {
				committed = next
			}
		}
	}
	return t.holds(t.state())
}

// twoProcesses plays a partition that moves while its old owner still writes:
// what arrives late is older and must not count.
func twoProcesses(f *Fixture) error {
	rng := rand.New(rand.NewPCG(1, 5))
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	zombie, stop, err := f.New()
	if err != nil {
		return fmt.Errorf("starting a second sink: %w", err)
	}
	if stop != nil {
		defer stop()
	}
	var late sync.WaitGroup
	var errs [2]error
	for range 15 {
		batch := random(t.log, rng)
		late.Wait()
		late.Go(func() { // the old owner's write of this batch is still on its way
			if err := writeTo(zombie, batch); err != nil {
				errs[0] = err
			}
		})
		if err := t.write(batch...); err != nil {
			errs[1] = err
		}
		if err := t.write(random(t.log, rng)...); err != nil {
			errs[1] = err
		}
	}
	late.Wait()
	return errors.Join(errs[0], errs[1], t.holds(t.state()))
}

// faults writes through every trouble: what Write calls durable is there, and
// when the trouble is over everything is.
func faults(f *Fixture) error {
	for i, fault := range f.Faults {
		if err := throughFault(f, fault, uint64(i)); err != nil {
			return fmt.Errorf("%s: %w", fault.Name, err)
		}
	}
	return nil
}

func throughFault(f *Fixture, fault Fault, n uint64) error {
	rng := rand.New(rand.NewPCG(n, 6))
	t, err := start(f)
	if err != nil {
		return err
	}
	defer t.close()
	t.version += (n + 100) << 40
	if err := t.write(random(t.log, rng)...); err != nil {
		return err
	}
	end, err := fault.Begin()
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	batch := random(t.log, rng)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	during := t.w.Write(ctx, batch)
	cancel()
	end()
	var rejected *sink.Rejected
	var stopped *sink.Stopped
	if errors.As(during, &rejected) || errors.As(during, &stopped) {
		return fmt.Errorf("a trouble that passes is given as one that does not: %w", during)
	}
	if during == nil {
		if err := t.holds(t.state()); err != nil {
			return fmt.Errorf("writing returned nil, but: %w", err)
		}
	}
	if err := t.write(batch...); err != nil {
		return err
	}
	return t.holds(t.state())
}
