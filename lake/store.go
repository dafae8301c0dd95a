package lake

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-cdc/weir/internal/sink"
)

// store is where the files go: a bucket or a directory. It is safe for
// concurrent use. Its errors are transient unless they say otherwise: the
// runtime tries again.
type store interface {
	// upload begins a file. It does no I/O.
	upload(name string) upload
	// exists reports whether a file is visible.
	exists(ctx context.Context, name string) (bool, error)
	// list calls each with the name of every visible file that begins with
	// prefix, in any order.
	list(ctx context.Context, prefix string, each func(name string)) error
	// sweep removes what uploads that never ended left behind, of the names
	// below prefix that match. Nothing visible is touched.
	sweep(ctx context.Context, prefix string, match func(name string) bool) error
	// remove deletes a visible file; one that is not there is as good.
	remove(ctx context.Context, name string) error
	// probe checks that files can be written at all.
	probe(ctx context.Context) error
}

// upload is one file on its way. Its methods are called by one goroutine, and
// may be called again, with the same bytes, after an error.
type upload interface {
	// part sends the next part ahead; nothing becomes visible.
	part(ctx context.Context, body []byte) error
	// commit sends what is left and makes the file visible, whole and durable.
	// With keep a file that is there already stays as it is. errGone means that
	// the parts sent ahead are no more.
	commit(ctx context.Context, rest []byte, keep bool) error
	// abort drops what was sent, as far as it can; nothing visible is touched.
	abort(ctx context.Context)
}

// errGone is returned when the parts that were sent ahead have vanished: the
// range has to be rendered again.
var errGone = fmt.Errorf("the upload's parts are gone, by a clean-up rule or another owner of the partition: %w", sink.ErrRenderAgain)

// names spells and reads the names of files:
//
//	<topics.dir>/<topic>/<folder>/<topic>+<partition>+<a>+<topic id>[+s<n>].<codec>.parquet
//
// a is the committed offset at which the range begins, topic id the first 8
// hexadecimal digits of the id of the topic's incarnation that the records came
// from. n counts files of one range and folder whose columns differ.
type names struct {
	dir       string // topics.dir
	pad       int    // digits of a
	extension string // .snappy.parquet
	longest   int    // bytes of a whole name; 0: any
	segment   int    // bytes between two slashes; 0: any
}

// What a name may be long, in bytes.
const (
	objectName  = 1024 // S3's limit
	pathName    = 4095 // of most systems, for all of a path
	pathSegment = 255  // and for a directory or file in it
)

// room is kept for the number of a further file, and in directories for what
// marks a file that is unfinished.
const room = len(further) + 6

// bound sets what names may be long in c's target.
func (s *names) bound(c *Config) {
	s.longest = objectName - room
	if c.Directory != "" {
		temporary := room + len("."+hidden) + 10
		s.longest, s.segment = pathName-len(c.Directory)-1-temporary, pathSegment-temporary
	}
}

// check refuses a name that the target does not take, or that leads elsewhere: a
// route may be a text of the row.
func (s *names) check(name string) error {
	if s.longest > 0 && len(name) > s.longest {
		return fmt.Errorf("the file's name has %d bytes, and at most %d can be: %.100s…", len(name), s.longest, name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("the file's name has a folder %q, which stands for another one: %.100s", part, name)
		}
		if s.segment > 0 && len(part) > s.segment {
			return fmt.Errorf("a folder's or file's name has %d bytes, and at most %d can be: %.100s…", len(part), s.segment, part)
		}
	}
	return nil
}

// file is the name of the n-th file of a range in a folder.
func (s *names) file(topic, folder string, p sink.Partition, start int64, n int) string {
	var b strings.Builder
	if s.dir != "" {
		b.WriteString(s.dir + "/")
	}
	b.WriteString(topic + "/")
	if folder != "" {
		b.WriteString(folder + "/")
	}
	fmt.Fprintf(&b, "%s+%d+%0*d+%x", topic, p.Number, s.pad, start, p.TopicID[:4])
	if n > 0 {
		b.WriteString(further + strconv.Itoa(n))
	}
	b.WriteString(s.extension)
	return b.String()
}

// further begins what tells a range's further files in a folder from its first.
const further = "+s"

// furtherPrefix is what the names of all further files begin with, given the
// name of the first.
func (s *names) furtherPrefix(first string) string {
	return strings.TrimSuffix(first, s.extension) + further
}

// prefix is what all names begin with.
func (s *names) prefix() string {
	if s.dir == "" {
		return ""
	}
	return s.dir + "/"
}

// owner is the partition whose records a file holds, of which incarnation of
// the topic: what a name says of it.
type owner struct {
	topicID   string // 8 hexadecimal digits
	partition int32
}

func ownerOf(p sink.Partition) owner {
	return owner{fmt.Sprintf("%x", p.TopicID[:4]), p.Number}
}

// ownerOfName reads an owner out of the name of a file, whatever its folder and
// codec; false if the name is none of ours. It reads from the end, for the topic
// may be a route, which has any characters.
func ownerOfName(name string) (owner, bool) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	if !strings.HasSuffix(base, ".parquet") {
		return owner{}, false
	}
	parts := strings.Split(base, "+")
	last := &parts[len(parts)-1]
	if *last, _, _ = strings.Cut(*last, "."); strings.HasPrefix(*last, "s") { // no hexadecimal digit
		parts = parts[:len(parts)-1]
	}
	if len(parts) < 4 || len(parts[len(parts)-1]) != 8 {
		return owner{}, false
	}
	parts = parts[len(parts)-3:]
	number, err := strconv.ParseInt(parts[0], 10, 32)
	if _, bad := strconv.ParseInt(parts[1], 10, 64); err != nil || bad != nil {
		return owner{}, false
	}
	return owner{parts[2], int32(number)}, true
}
