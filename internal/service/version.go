package service

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by the linker: -X github.com/weir-cdc/weir/internal/service.version=v1.2.3
var version string

// Version is the build's version, revision, and what it was built with.
func Version() string {
	name, revision := build()
	return fmt.Sprintf("%s (%s, %s, %s/%s)", name, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// build is the version and the first digits of the revision.
func build() (name, revision string) {
	name, revision = version, "unknown revision"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(name, "development"), revision
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			revision = s.Value[:12]
		}
	}
	return cmp.Or(name, info.Main.Version, "development"), revision
}

// buildInfo is the metric that tells versions apart.
func buildInfo(component string) prometheus.Collector {
	name, revision := build()
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_build_info", Help: "1, with what is running as labels.",
		ConstLabels: prometheus.Labels{"component": component, "version": name, "revision": revision}})
	info.Set(1)
	return info
}
