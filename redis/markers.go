package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/internal/sink"
)

// markerStep is how many slots of a cluster are between two markers: a master
// that has as many slots in a row has one.
const markerStep = 256

// beatsPerReach is how often within redis.rewind.minutes the time in the markers
// is renewed.
const beatsPerReach = 5

// renewMarker sets the time in a marker, unless it has become another one.
// KEYS: the marker. ARGV: its token, the time.
const renewMarker = `local was = redis.call('GET', KEYS[1])
if was and string.sub(was, 1, #ARGV[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
end`

// markers is what the markers under a prefix say. Each has a token of its own,
// which ends with the time in ms when it was left, and the time when it was renewed
// last: what was written before that is there, as long as the marker is.
type markers struct {
	tokens []string  // "" where a marker is gone
	beat   time.Time // the earliest of their times
	born   time.Time // when the last one was left; zero: long ago
}

// text is short, and another one when a marker is gone, or was gone and has been
// left anew.
func (m markers) text() string {
	sum := sha256.Sum256([]byte(strings.Join(m.tokens, " ")))
	return hex.EncodeToString(sum[:])[:historyDigits]
}

// markerKeys are the keys of the markers under a prefix: one, or one in every few
// slots of a cluster.
func (s *Sink) markerKeys(prefix string) []string {
	if !s.config.Cluster {
		return []string{prefix + "weir:here"}
	}
	keys := make([]string, 0, slots/markerStep)
	for slot := 0; slot < slots; slot += markerStep {
		keys = append(keys, prefix+"weir:here:{"+tags()[slot]+"}")
	}
	return keys
}

// leaveMarkers leaves markers where there are none, and returns what all say.
func (s *Sink) leaveMarkers(ctx context.Context, prefix string) (markers, error) {
	pipe := s.client.Pipeline()
	for _, key := range s.markerKeys(prefix) {
		now := strconv.FormatInt(time.Now().UnixMilli(), 10)
		pipe.SetNX(ctx, key, rand.Text()+"."+now+" "+now, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return markers{}, fmt.Errorf("leaving markers under %q: %w", prefix, err)
	}
	return s.readMarkers(ctx, prefix)
}

func (s *Sink) readMarkers(ctx context.Context, prefix string) (markers, error) {
	pipe := s.client.Pipeline()
	var answers []*redis.StringCmd
	for _, key := range s.markerKeys(prefix) {
		answers = append(answers, pipe.Get(ctx, key))
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	m, oldest := markers{}, int64(math.MaxInt64)
	for _, answer := range answers {
		text, err := answer.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return m, fmt.Errorf("reading the markers under %q: %w", prefix, err)
		}
		token, at, _ := strings.Cut(text, " ")
		ms, _ := strconv.ParseInt(at, 10, 64) // a marker that is gone is of long ago
		m.tokens, oldest = append(m.tokens, token), min(oldest, ms)
		if born := bornOf(token); born.After(m.born) {
			m.born = born
		}
	}
	m.beat = time.UnixMilli(oldest)
	return m, nil
}

// bornOf is when the marker with a token was left, zero for one that an earlier
// version left, which is taken for old: what was written since may be anything.
func bornOf(token string) (born time.Time) {
	if _, at, ok := strings.Cut(token, "."); ok {
		born, _ = parseMillis(at)
	}
	return born
}

// renewMarkers sets the time in the markers to now, if it is due.
func (s *Sink) renewMarkers(ctx context.Context, prefix string, m markers, now time.Time) error {
	if now.Sub(m.beat) < s.config.Rewind/beatsPerReach {
		return nil
	}
	pipe := s.client.Pipeline()
	for i, key := range s.markerKeys(prefix) {
		if m.tokens[i] != "" {
			pipe.Eval(ctx, renewMarker, []string{key}, m.tokens[i], now.UnixMilli())
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("renewing the markers under %q: %w", prefix, err)
	}
	return nil
}

// EmptiedError says that Redis has lost more than its last writes.
type EmptiedError struct {
	Prefix string
	As     time.Time // of when the data is that Redis has; zero: it has none
}

// Error says what was found.
func (e *EmptiedError) Error() string {
	if e.As.IsZero() {
		return fmt.Sprintf("Redis has lost keys under %q that were written long ago: the marker that this sink left there (%sweir:here) is gone or another one, as after a restart without data, FLUSHALL, or with other servers in redis.hosts", e.Prefix, e.Prefix)
	}
	return fmt.Sprintf("Redis came back with keys under %q as they were at %s, and has lost more than redis.rewind.minutes covers", e.Prefix, e.As.UTC().Format(time.RFC3339))
}

// stopFor is what a person has to do about it.
func stopFor(e *EmptiedError) error {
	return &sink.Stopped{
		Reason: e,
		Advice: "to fill it again stop the sink and read everything once more: weirctl reset --to earliest (and a new snapshot, where the topics do not hold every row); if Redis is the wrong one, mend redis.hosts and redis.database",
	}
}
