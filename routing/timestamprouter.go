package routing

import (
	"errors"
	"strings"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/javadate"
	"github.com/weir-cdc/weir/internal/transform"
)

// timestampTransforms route by the time of a record.
var timestampTransforms = map[string]func(*transform.Options) transform.Transform{
	"org.apache.kafka.connect.transforms.TimestampRouter": newTimestampRouter,
}

// timestampRouter is Kafka Connect's TimestampRouter: the topic is made of its
// name and the record's timestamp.
type timestampRouter struct {
	topic  string // with ${topic} and ${timestamp}
	format *javadate.Format
	unit   int64 // ms in which the text of a timestamp stays the same
	known  map[timedRoute]string
}

// timedRoute is a topic in one unit of time.
type timedRoute struct {
	topic string
	at    int64
}

func newTimestampRouter(o *transform.Options) transform.Transform {
	t := &timestampRouter{topic: o.Text("topic.format", "${topic}-${timestamp}"), known: map[timedRoute]string{}}
	format, err := javadate.Parse(o.Text("timestamp.format", "yyyyMMdd"))
	if err != nil {
		o.Fail("timestamp.format", "a pattern of java.text.SimpleDateFormat: "+err.Error())
		return nil
	}
	t.format, t.unit = format, format.Unit()
	return t
}

// Apply routes r, by the time that a transform chose or else by its own. A
// record without a timestamp is rejected.
func (t *timestampRouter) Apply(r *cdc.Record) (keep bool, err error) {
	at := r.Timestamp
	if r.Timed {
		at = r.Time
	}
	if at <= 0 {
		return false, errors.New("the record has no timestamp to be routed by")
	}
	key := timedRoute{r.Route, at / t.unit}
	to, ok := t.known[key]
	if !ok {
		to = strings.ReplaceAll(t.topic, "${topic}", r.Route)
		to = strings.ReplaceAll(to, "${timestamp}", string(t.format.Append(nil, at)))
		if len(t.known) >= routesKept {
			clear(t.known)
		}
		t.known[key] = to
	}
	r.Route = to
	return true, nil
}
