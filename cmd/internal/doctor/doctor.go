package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/service"
)

// Doctor looks at a fleet.
type Doctor struct {
	Programs []service.Program
	// Files are the configurations, one a component; several that are merged for
	// one are joined by +.
	Files []string
	// Sources have what is set besides, for every component that knows the
	// property: --set and the environment.
	Sources config.Sources
	// Offline leaves the servers alone.
	Offline bool
	// Now is the clock.
	Now func() time.Time

	members []*member
	report  Report
}

// serversTimeout is how long the servers may take to answer, all together.
const serversTimeout = 60 * time.Second

// Examine reads the files, asks the servers, and reports what is wrong.
func (d *Doctor) Examine(ctx context.Context) *Report {
	d.report = Report{Findings: []Finding{}, Checked: []string{}, Offline: d.Offline}
	for _, file := range d.Files {
		d.read(file)
	}
	var servers *servers
	if !d.Offline {
		ctx, cancel := context.WithTimeout(ctx, serversTimeout)
		defer cancel()
		servers = openServers(ctx, d)
		defer servers.close()
		servers.resolveTables(ctx)
	}
	d.deadRoutes()
	d.topics()
	d.tables()
	d.converters()
	d.deletes()
	d.redisKeys()
	d.groups()
	d.configurations()
	if servers != nil {
		servers.examine(ctx)
	}
	d.report.sort(d.Files)
	return &d.report
}

// read adds the component of a file.
func (d *Doctor) read(file string) {
	m, err := newMember(file, d.Sources, d.Programs)
	if err == nil {
		d.members = append(d.members, m)
		d.report.Checked = append(d.report.Checked, file)
		return
	}
	if errors.Is(err, errNoConnector) {
		d.report.Skipped = append(d.report.Skipped, Skipped{file, "holds no connector by itself; a component takes it, or a block of it, beside its own file: --config " + file + "#<block>"})
		return
	}
	for _, e := range config.Errors(err) {
		d.report.add(mistake(file, e))
	}
}

// captures and sinks are the members of each kind.
func (d *Doctor) captures() []*member {
	return slices.DeleteFunc(slices.Clone(d.members), (*member).isSink)
}

func (d *Doctor) sinks() []*member {
	return slices.DeleteFunc(slices.Clone(d.members), func(m *member) bool { return !m.isSink() })
}

// only are the members of one component.
func (d *Doctor) only(component string) []*member {
	return slices.DeleteFunc(slices.Clone(d.members), func(m *member) bool { return m.program.Name != component })
}

// configurations reports what the components themselves refuse, but for what
// another finding says better.
func (d *Doctor) configurations() {
	for _, m := range d.members {
		for _, err := range m.errs {
			var e *config.Error
			if errors.As(err, &e) && e.Property == "value.converter" && d.writersFor(m) != nil {
				continue // converters says with what it does not fit
			}
			d.report.add(mistake(m.file, err))
		}
	}
}

// mistake is a configuration error as a finding.
func mistake(file string, err error) Finding {
	f := Finding{Severity: Failure, Code: "configuration", File: file, What: err.Error(), Why: "the component does not start"}
	var e *config.Error
	if !errors.As(err, &e) {
		return f
	}
	f.Property, f.Origin, f.What = e.Property, e.Origin, e.Problem
	if e.Want != "" {
		f.Do = "write " + e.Want
	}
	if e.Problem == "" && e.Value == "" {
		f.What = "is not set"
	} else if e.Problem == "" {
		f.What = fmt.Sprintf("is %q, which cannot be taken", e.Value)
	}
	return f
}
