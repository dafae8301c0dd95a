package consumers

import (
	"context"
	"time"
)

const (
	// lookEvery is how often the brokers are asked for topics at first, and
	// lookQuiet how often in vain before metadata.max.age.ms is enough.
	lookEvery = time.Second
	lookQuiet = 10
)

// lookForTopics asks for topics that the regular expression matches as long as
// there is none, and while they are being created: a sink that starts together
// with its capture is not to wait for the age of metadata, which is minutes.
func (l *life) lookForTopics(ctx context.Context) {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	known := 0
	for quiet := 0; known == 0 || quiet < lookQuiet; quiet++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if n := len(l.client.GetConsumeTopics()); n != known {
			known, quiet = n, 0
		}
		l.client.ForceMetadataRefresh()
	}
}
