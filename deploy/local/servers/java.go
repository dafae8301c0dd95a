package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// java finds the lowest Java runtime from 17 on, or installs one; Kafka 4 and Elasticsearch 8 run on 17 and later.
func (l *Local) java(ctx context.Context) (string, error) {
	if path := findJava(ctx); path != "" {
		return path, nil
	}
	there := func() bool { return findJava(ctx) != "" }
	if err := l.installOnSystem(ctx, "Java 17 or newer", there, "default-jre-headless"); err != nil {
		return "", err
	}
	if path := findJava(ctx); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("finding Java 17 or newer: this release's default-jre-headless is older; set JAVA_HOME")
}

// findJava returns the first fitting runtime: $JAVA_HOME, then PATH, then the folders where packages put them.
func findJava(ctx context.Context) string {
	candidates := []string{filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")}
	if path, ok := lookPath("java"); ok {
		candidates = append(candidates, path)
	}
	installed, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	for _, path := range append(candidates, installed...) {
		if _, version := versionOf(ctx, path, "-version"); atLeast(version, 17, 0) {
			if program, err := filepath.EvalSymlinks(path); err == nil {
				return program
			}
		}
	}
	return ""
}

// maven runs mvn, installing it when missing; one at a time, for they share a repository folder.
func (l *Local) maven(ctx context.Context, args ...string) error {
	if _, ok := lookPath("mvn"); !ok {
		there := func() bool { _, ok := lookPath("mvn"); return ok }
		if err := l.installOnSystem(ctx, "Maven", there, "maven"); err != nil {
			return err
		}
	}
	if _, err := l.java(ctx); err != nil { // Maven brings one, which may be too old
		return err
	}
	mvn, ok := lookPath("mvn")
	if !ok {
		return fmt.Errorf("finding mvn: not on PATH")
	}
	unlock, err := lockFile(ctx, filepath.Join(l.cache, "locks", "maven"), nil)
	if err != nil {
		return err
	}
	defer unlock()
	return run(exec.CommandContext(ctx, mvn, append([]string{"-q", "-B", "-Dstyle.color=never"}, args...)...))
}

// dependencyPlugin is Maven's plugin that copies artifacts; by its full name, Maven's errors say what is wrong with the
// network rather than that the short name is unknown.
const dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:"

// mavenCopy copies one artifact (group:name:version[:type]) into dir.
func (l *Local) mavenCopy(ctx context.Context, artifact, dir string) error {
	return l.maven(ctx, dependencyPlugin+"copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir)
}
