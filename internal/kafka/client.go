package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Options are the franz-go options of the connection: addresses, client id,
// TLS, SASL and timeouts. Files that the configuration names are read now.
func (c Config) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Bootstrap...), kgo.SoftwareNameAndVersion("weir", "1")}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.RequestTimeout > 0 {
		opts = append(opts, kgo.RequestTimeoutOverhead(c.RequestTimeout))
	}
	if c.DialTimeout > 0 {
		opts = append(opts, kgo.DialTimeout(c.DialTimeout))
	}
	if c.MetadataMaxAge > 0 {
		const least = 2500 * time.Millisecond
		opts = append(opts, kgo.MetadataMaxAge(c.MetadataMaxAge), kgo.MetadataMinAge(min(c.MetadataMaxAge, least)))
	}
	if c.IdleTimeout > 0 {
		opts = append(opts, kgo.ConnIdleTimeout(c.IdleTimeout))
	}
	if c.TLS != nil {
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL != nil {
		m, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}
