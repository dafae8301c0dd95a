package consumers

import "sync"

// domains remembers, per topic, what the versions of its records count: the
// first record decides. It is safe for concurrent use.
type domains struct {
	mu    sync.Mutex
	known map[string]string
}

func newDomains() *domains { return &domains{known: map[string]string{}} }

// settle returns the topic's domain, which is that given if there was none.
func (d *domains) settle(topic, domain string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first, ok := d.known[topic]; ok {
		return first
	}
	d.known[topic] = domain
	return domain
}

// of returns the topic's domain, "" if no record has decided it.
func (d *domains) of(topic string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[topic]
}
