package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/sink"
)

// rendering is one range of offsets becoming files: the lake's sink.Range.
type rendering struct {
	lake    *Lake
	part    sink.Partition
	start   int64
	instant time.Time
	redo    bool
	forced  atomic.Bool // by the budget: end soon

	origin  *origin
	added   []addition
	types   rowTypes
	bucket  bucketed
	folders map[folderKey]*folder
	last    *folder
	order   []*folder // those with a file
	odd     []unusual
	records int
	pace    pace

	deletedKey []byte // the key of the last record, if that was a delete
	deleted    bool
}

// folderKey names the files of a range that are in one folder.
type folderKey struct{ topic, path string }

// folder is the files of a range in one folder: more than one where no columns
// could hold all its rows.
type folder struct {
	folderKey
	files []*file
}

func newRendering(l *Lake, p sink.Partition, start int64, instant time.Time, redo bool) *rendering {
	r := &rendering{
		lake: l, part: p, start: start, instant: instant, redo: redo,
		origin: &origin{topic: []byte(p.Topic), partition: p.Number}, folders: map[folderKey]*folder{},
	}
	for _, a := range l.config.Columns {
		r.added = append(r.added, addition{name: a.Name, what: a.what, shape: additionShapes[a.what], origin: r.origin})
	}
	r.pace.begin(&l.config, instant)
	return r
}

// Append takes a batch, up to a record that can never be rendered; see
// sink.Range.
func (r *rendering) Append(batch []*cdc.Record) error {
	for i, record := range batch {
		if err := r.take(record); err != nil {
			return r.refuse(i, err)
		}
		r.records++
	}
	return r.settle()
}

// refuse ends an append at the record that err is about.
func (r *rendering) refuse(index int, err error) error {
	var broken *writeError
	if errors.As(err, &broken) {
		return err
	}
	r.deleted = false
	if broken := r.settle(); broken != nil {
		return broken
	}
	return &sink.Rejected{Items: []sink.Rejection{{Index: index, Reason: err}}}
}

// writeError says that a file is broken, unlike errors of single records.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// take puts one record into its file. An error rejects it.
func (r *rendering) take(record *cdc.Record) error {
	echo := r.echoes(record)
	if r.remember(record); echo || record.Tombstone && r.lake.config.NullValues == nullIgnore {
		return nil
	}
	if record.Tombstone && r.lake.config.NullValues == nullFail {
		return errors.New("the value is null, and behavior.on.null.values is fail")
	}
	e := entryOf(record)
	row, partial := record.Value, false
	if row == nil {
		row, partial = record.Key, true
	}
	if row != nil {
		var err error
		if e.kind, err = r.types.of(row.Schema, partial); err != nil {
			return err
		}
		e.values = row.Values
		if r.odd, err = e.kind.check(e.values, e.deleted, r.odd[:0]); err != nil {
			return err
		}
		if e.op == cdc.OpNone {
			e.op = e.kind.operation(e.values)
		}
	}
	path, err := r.lake.config.partitioner.folder(record, r.instant, &r.bucket)
	if err != nil {
		return err
	}
	f, err := r.folder(record.Route, path)
	if err != nil {
		return err
	}
	r.pace.took(record)
	return r.put(f, &e)
}

// entryOf is what the lake says of a record.
func entryOf(record *cdc.Record) entry {
	e := entry{
		op: record.Op, deleted: record.Deleted, size: uint32(len(record.RawKey) + len(record.RawValue)),
		version: record.Version, millis: record.Timestamp, offset: record.Offset,
	}
	if record.Envelope != nil && record.Envelope.SourceMillis > 0 {
		e.millis = record.Envelope.SourceMillis
	}
	switch {
	case record.Tombstone && e.op == cdc.OpNone:
		e.op = cdc.OpDelete
	case e.op == cdc.OpTruncate:
		e.deleted = true
	}
	return e
}

// echoes reports whether record is the tombstone directly after its delete,
// which says nothing more.
func (r *rendering) echoes(record *cdc.Record) bool {
	return echo(record, r.deleted, r.deletedKey)
}

func echo(record *cdc.Record, afterDelete bool, of []byte) bool {
	return record.Tombstone && afterDelete && bytes.Equal(record.RawKey, of)
}

func (r *rendering) remember(record *cdc.Record) {
	r.deleted = record.Deleted && !record.Tombstone
	if r.deleted {
		r.deletedKey = append(r.deletedKey[:0], record.RawKey...)
	}
}

// folder is where rows of a topic go that belong in path. A name that the target
// never takes is an error of the record: once it is intended, nothing helps.
func (r *rendering) folder(topic, path string) (*folder, error) {
	if r.last != nil && r.last.topic == topic && r.last.path == path {
		return r.last, nil
	}
	key := folderKey{topic, path}
	f := r.folders[key]
	if f == nil {
		if err := r.lake.names.check(r.lake.names.file(topic, path, r.part, r.start, 0)); err != nil {
			return nil, err
		}
		f = &folder{folderKey: key}
		r.folders[key] = f
	}
	r.last = f
	return f, nil
}

// put adds e to the first file of f whose columns can hold it.
func (r *rendering) put(f *folder, e *entry) error {
	for _, file := range f.files {
		if e.kind == nil || file.columns.admit(e.kind, r.odd) {
			return r.add(file, e)
		}
	}
	file := r.newFile(f)
	if e.kind != nil && !file.columns.admit(e.kind, r.odd) {
		return errors.New("the row's own columns contradict each other")
	}
	if len(f.files) == 0 {
		r.order = append(r.order, f)
	}
	f.files = append(f.files, file)
	r.lake.metrics.open.Inc()
	return r.add(file, e)
}

func (r *rendering) add(f *file, e *entry) error {
	f.add(e)
	if f.full() {
		return r.begin(f)
	}
	if len(f.pending) >= atOnce {
		return broken(f, f.drain())
	}
	return nil
}

// broken remembers that f failed: it lacks rows, whatever is tried next.
func broken(f *file, err error) error {
	if err != nil {
		f.failed = err
		return &writeError{fmt.Errorf("rendering %s: %w", f.name, err)}
	}
	return nil
}

func (r *rendering) newFile(f *folder) *file {
	name := r.lake.names.file(f.topic, f.path, r.part, r.start, len(f.files))
	columns := newSuperset(r.lake.reserved, r.lake.config.Compatibility == compatibilityNone)
	return newFile(name, columns, &output{upload: r.lake.store.upload(name), limit: r.lake.config.PartSize})
}

func (r *rendering) begin(f *file) error {
	return broken(f, f.begin(r.added, r.lake.codec, map[string]string{
		"weir.topic": r.part.Topic, "weir.topic.id": fmt.Sprintf("%x", r.part.TopicID),
		"weir.partition": strconv.Itoa(int(r.part.Number)), "weir.start": strconv.FormatInt(r.start, 10),
	}))
}

// settle lets go of the batch and counts what is held.
func (r *rendering) settle() error {
	held, largest := 0, int64(0)
	for _, folder := range r.order {
		for _, f := range folder.files {
			if err := broken(f, f.drain()); err != nil {
				return err
			}
			held += f.memory()
			largest = max(largest, f.size())
		}
	}
	r.pace.bytes = largest
	r.lake.budget.hold(r, held)
	return nil
}

// Advance sends parts that are full and waits for memory; see sink.Range.
func (r *rendering) Advance(ctx context.Context) error {
	if err := r.lake.swept(ctx, r.part); err != nil {
		return err
	}
	for _, folder := range r.order {
		for _, f := range folder.files {
			if err := r.sendParts(ctx, f); err != nil {
				return err
			}
		}
	}
	if err := r.settle(); err != nil {
		return err
	}
	return r.lake.budget.wait(ctx, r)
}

// sendParts uploads what is ready of f.
func (r *rendering) sendParts(ctx context.Context, f *file) error {
	for len(f.out.parts) > 0 {
		if err := f.out.upload.part(ctx, f.out.parts[0]); err != nil {
			r.lake.metrics.failed("part")
			return fmt.Errorf("sending a part of %s: %w", f.name, err)
		}
		r.lake.metrics.sent(len(f.out.parts[0]))
		f.out.parts[0] = nil
		f.out.parts = f.out.parts[1:]
	}
	return nil
}

// Fit says how many records still belong to the range; see sink.Range.
func (r *rendering) Fit(now time.Time, next []*cdc.Record) int {
	if r.forced.Load() && r.records > 0 {
		return r.withEcho(next, 0)
	}
	n, pace := 0, r.pace // as it would be
	for n < len(next) && (r.records+n == 0 || !pace.due(now, next[n], r.records+n)) {
		pace.took(next[n])
		n++
	}
	return r.withEcho(next, n)
}

// withEcho adds the tombstone of the delete that ends next[:n].
func (r *rendering) withEcho(next []*cdc.Record, n int) int {
	if n < len(next) && r.echoesLast(next, n) {
		n++
	}
	return n
}

// echoesLast reports whether next[n] is the tombstone of the delete before it.
func (r *rendering) echoesLast(next []*cdc.Record, n int) bool {
	if n == 0 {
		return r.echoes(next[0])
	}
	return echo(next[n], next[n-1].Deleted && !next[n-1].Tombstone, next[n-1].RawKey)
}

// Due reports whether the range should end now; see sink.Range.
func (r *rendering) Due(now time.Time) bool {
	if r.records == 0 || r.deleted && r.pace.fresh(now, r.records) {
		return false
	}
	return r.forced.Load() || r.pace.due(now, nil, r.records)
}

// Records is how many records were appended; see sink.Range.
func (r *rendering) Records() int { return r.records }

// Files reports whether any row was rendered; see sink.Range.
func (r *rendering) Files() bool { return len(r.order) > 0 }

// filesAtOnce bounds the uploads of one range that run together.
const filesAtOnce = 4

// Complete makes the range's files visible; see sink.Range.
func (r *rendering) Complete(ctx context.Context, _ int64) error {
	if err := r.lake.swept(ctx, r.part); err != nil {
		return err
	}
	var g errgroup.Group // without a context: one failure does not cut the others short
	g.SetLimit(filesAtOnce)
	for _, f := range r.order {
		g.Go(func() error { return r.publish(ctx, f) })
	}
	return g.Wait()
}

// close writes the end of a file into memory, once.
func (r *rendering) close(f *file) error {
	if f.failed != nil {
		return broken(f, f.failed)
	}
	if f.closed {
		return nil
	}
	if f.writer == nil {
		if err := r.begin(f); err != nil {
			return err
		}
	}
	if err := broken(f, f.writer.close()); err != nil {
		return err
	}
	f.closed, f.writer = true, nil
	return nil
}

// publish makes a folder's files visible, the first of them last: whoever
// renders the range again and finds it knows that the others are there.
func (r *rendering) publish(ctx context.Context, f *folder) error {
	if r.redo && !f.files[0].done {
		there, err := r.lake.store.exists(ctx, f.files[0].name)
		if err != nil {
			return fmt.Errorf("looking for %s: %w", f.files[0].name, err)
		}
		if there {
			for _, file := range f.files {
				file.done = true
			}
			return nil
		}
		if err := r.removeStray(ctx, f); err != nil {
			return err
		}
	}
	for i, file := range slices.Backward(f.files) {
		if file.done {
			continue
		}
		// Further files without a first one are of a rendering that broke off.
		if err := r.publishFile(ctx, file, r.redo && i == 0); err != nil {
			return err
		}
		file.done, file.out.rest = true, nil
	}
	return nil
}

// removeStray removes further files of a rendering that broke off before the
// first one, and that this rendering does not have: records that made them
// necessary were compacted away since, and their other rows are in its files.
func (r *rendering) removeStray(ctx context.Context, f *folder) error {
	prefix := r.lake.names.furtherPrefix(f.files[0].name)
	var stray []string
	err := r.lake.store.list(ctx, prefix, func(name string) {
		if !slices.ContainsFunc(f.files, func(file *file) bool { return file.name == name }) {
			stray = append(stray, name)
		}
	})
	if err != nil {
		return fmt.Errorf("listing %s*: %w", prefix, err)
	}
	for _, name := range stray {
		r.lake.log.Warn("removing a file of a rendering that broke off, whose rows are in others now", zap.String("file", name))
		if err := r.lake.store.remove(ctx, name); err != nil {
			return fmt.Errorf("removing %s, whose rows are in other files now: %w", name, err)
		}
	}
	return nil
}

// publishFile ends a file and makes it visible. Encoding takes as much again as
// the rows, and a multiple of what few rows do, and all ranges may end at the
// same time: so only so many files are ended at once. With keep a file that is
// there stays.
func (r *rendering) publishFile(ctx context.Context, f *file, keep bool) error {
	weight := min(int64(max(f.memory(), (len(f.columns.names)+len(r.added))*columnEnd)), r.lake.endingBytes)
	if err := r.lake.ending.Acquire(ctx, weight); err != nil {
		return err
	}
	defer r.lake.ending.Release(weight)
	if err := r.close(f); err != nil {
		return err
	}
	if err := r.sendParts(ctx, f); err != nil {
		return err
	}
	began := r.lake.now()
	if err := f.out.upload.commit(ctx, f.out.rest, keep); err != nil {
		r.lake.metrics.failed("commit")
		return fmt.Errorf("publishing %s: %w", f.name, err)
	}
	r.lake.metrics.published(len(f.out.rest), f.rows, r.lake.now().Sub(began))
	return nil
}

// abortTimeout bounds the clean-up of a discarded range; what it leaves behind
// the next owner of the partition sweeps.
const abortTimeout = 2 * time.Second

// Discard lets go of everything; see sink.Range.
func (r *rendering) Discard() {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	for _, folder := range r.order {
		for _, f := range folder.files {
			r.lake.metrics.open.Dec()
			f.out.upload.abort(ctx)
			if f.held != nil {
				f.held.free()
			}
		}
	}
	r.order, r.folders, r.last = nil, nil, nil
	r.lake.budget.release(r)
}
