package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/kafka"
)

// topicRole is what a topic is for, which decides its policy.
type topicRole uint8

const (
	// roleState is a compacted topic of our own.
	roleState topicRole = iota
	// roleKeyed is the topic of a table with a key: it keeps the newest record
	// of every key for ever.
	roleKeyed
	// roleKeyless has records without a key, which a compacted topic refuses
	// together with the whole transaction they are part of.
	roleKeyless
	// roleRouted has records that transforms send there, of several tables or of
	// some of their rows: it cannot be shown to hold every live key, so that a
	// new one deletes by age; one that exists may have any policy.
	roleRouted
)

// topicSpec is a topic that is about to be written to.
type topicSpec struct {
	name string
	role topicRole
	// ours says that this capture wrote to the topic with another role before:
	// its policy follows without being asked.
	ours                 bool
	partitions, replicas int // of a roleState topic; 0: the broker's default
	settings             map[string]string
}

// topicKeeper creates and checks topics before they are written to.
type topicKeeper struct {
	client *kgo.Client
	config TopicConfig
	log    *zap.Logger
	ready  map[string]topicRole
}

func newTopicKeeper(client *kgo.Client, config TopicConfig, log *zap.Logger) *topicKeeper {
	return &topicKeeper{client: client, config: config, log: log, ready: map[string]topicRole{}}
}

// has reports whether the topic is known to be ready for role.
func (k *topicKeeper) has(name string, role topicRole) bool {
	r, ok := k.ready[name]
	return ok && (r == role || role == roleRouted)
}

// ensure makes topics ready to be written to: it creates those that are
// missing and checks, or where that is allowed alters, the policy of others.
func (k *topicKeeper) ensure(ctx context.Context, specs ...topicSpec) error {
	byName := make(map[string]topicSpec, len(specs))
	specs = slices.DeleteFunc(specs, func(s topicSpec) bool {
		_, named := byName[s.name]
		byName[s.name] = s
		return named || k.has(s.name, s.role) // what several are for is made once
	})
	if len(specs) == 0 {
		return nil
	}
	wanted := make([]kafka.Topic, len(specs))
	for i, s := range specs {
		wanted[i] = k.topic(s)
		byName[s.name] = s
	}
	if k.config.Create {
		created, err := kafka.CreateTopics(ctx, k.client, wanted...)
		if err != nil {
			return err
		}
		for _, name := range created {
			k.log.Info("created topic", zap.String("topic", name))
		}
	} else if err := k.exist(ctx, specs); err != nil {
		return err
	}
	mismatches, err := kafka.CheckTopics(ctx, k.client, wanted...)
	if err != nil {
		return err
	}
	if err := k.settle(ctx, mismatches, byName); err != nil {
		return err
	}
	for _, s := range specs {
		k.ready[s.name] = s.role
	}
	return nil
}

// exist demands that topics exist.
func (k *topicKeeper) exist(ctx context.Context, specs []topicSpec) error {
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].name
	}
	topics, err := kadm.NewClient(k.client).ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var missing []string
	for _, name := range names {
		if !topics.Has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("topics that are missing: %s: create them, or set topic.creation.enable=true", strings.Join(missing, ", "))
	}
	return nil
}

// settle decides about topics that exist with another policy.
func (k *topicKeeper) settle(ctx context.Context, mismatches []kafka.Mismatch, specs map[string]topicSpec) error {
	var errs []error
	for _, m := range mismatches {
		s := specs[m.Topic]
		policy := m.Config == "cleanup.policy"
		switch {
		case k.config.Alter, s.ours && policy:
			err := kafka.AlterTopic(ctx, k.client, m.Topic, map[string]string{m.Config: m.Want})
			errs = append(errs, err)
			if err == nil {
				k.log.Warn("altered topic", zap.String("topic", m.Topic), zap.String("setting", m.Config), zap.String("from", m.Has), zap.String("to", m.Want))
			}
		case s.role == roleRouted:
		case policy && s.role != roleKeyed && (s.role == roleState || strings.Contains(m.Has, "compact")):
			errs = append(errs, fmt.Errorf("topic %s has cleanup.policy=%s and needs %s%s: set topic.policy.alter=true, or run %s", m.Topic, m.Has, m.Want, whyPolicy(s.role), m.Command()))
		case policy || s.role == roleKeyed && m.Config != "retention.ms":
			k.log.Warn("topic does not keep every key, or deletes for long enough, to rebuild a target from it",
				zap.String("topic", m.Topic), zap.String("setting", m.Config), zap.String("has", m.Has), zap.String("mend", m.Command()))
		}
	}
	return errors.Join(errs...)
}

func whyPolicy(role topicRole) string {
	if role == roleKeyless {
		return ", since its records have no key, which a compacted topic refuses"
	}
	return ", since it keeps the capture's state"
}

// topic is the topic of a spec as kafka makes and checks it.
func (k *topicKeeper) topic(s topicSpec) kafka.Topic {
	switch s.role {
	case roleState:
		// Only the newest record counts, and a leader reads all of them.
		t := kafka.Topic{Name: s.name, Configs: map[string]string{"cleanup.policy": "compact"}}
		t.Partitions, t.Replicas = s.partitions, s.replicas
		maps.Copy(t.Configs, s.settings)
		return t
	case roleKeyed:
		return k.grouped(kafka.Compacted(s.name))
	}
	t := k.grouped(kafka.Deleting(s.name))
	t.Configs["cleanup.policy"] = "delete"
	if s.partitions > 0 {
		t.Partitions = s.partitions
	}
	return t
}

// grouped puts the settings of the first group that matches over t.
func (k *topicKeeper) grouped(t kafka.Topic) kafka.Topic {
	for _, g := range k.config.Groups {
		if (len(g.Include) > 0 && !g.Include.Match(t.Name)) || g.Exclude.Match(t.Name) {
			continue
		}
		t.Partitions, t.Replicas = max(0, g.Partitions), max(0, g.Replication)
		maps.Copy(t.Configs, g.Settings)
		break
	}
	return t
}

// maxTopic is how long Kafka lets a topic's name be.
const maxTopic = 249

// validTopic says what keeps Kafka from having a topic of a name that a
// transform made.
func validTopic(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > maxTopic || checkPrefix(name) != nil {
		return fmt.Errorf("routing to topic %q: want 1 to %d letters, digits, dots, hyphens and underscores", name, maxTopic)
	}
	return nil
}
