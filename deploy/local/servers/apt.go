package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// aptState is an apt-get with lists and archives of its own, so that packages can be downloaded without root and
// without touching the system.
type aptState struct {
	dir     string
	options []string
}

// stableState downloads from the machine's own sources what the machine does not have installed.
func (l *Local) stableState() aptState {
	return newAptState(filepath.Join(l.cache, "apt", "stable"))
}

// sidState downloads from Debian's sid, by the mirror the machine uses, everything down to the C library: the packages
// run in their folder whatever release the machine has.
func (l *Local) sidState() (aptState, error) {
	mirror, err := debianMirror("/etc/apt")
	if err != nil {
		return aptState{}, err
	}
	state := newAptState(filepath.Join(l.cache, "apt", "sid"))
	if err := makeFolder(state.dir); err != nil {
		return aptState{}, err
	}
	list, status := filepath.Join(state.dir, "sources.list"), filepath.Join(state.dir, "status")
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n", mirror)
	// A mirror that lags by a week or two will do: its lists are signed all the same.
	state.options = append(state.options, "-o", "Acquire::Check-Valid-Until=false",
		"-o", "Dir::Etc::sourcelist="+list, "-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::State::status="+status)
	return state, errors.Join(os.WriteFile(list, []byte(source), 0o644), os.WriteFile(status, nil, 0o644))
}

func newAptState(dir string) aptState {
	cache := filepath.Join(dir, "cache")
	return aptState{dir: dir, options: []string{
		"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache=" + cache, "-o", "Dir::Cache::archives=" + filepath.Join(cache, "archives"),
		"-o", "APT::Install-Recommends=0", "-o", "Acquire::Languages=none",
		"-o", "APT::Sandbox::User=" + userName(), "-o", "Debug::NoLocking=1",
	}}
}

// userName is the user that apt-get downloads as: the one who runs it, who owns the cache folder.
func userName() string {
	if os.Getuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

var mirrorAddress = regexp.MustCompile(`https?://\S+/debian/?(\s|$)`)

// debianMirror reads the first Debian mirror from apt's sources.
func debianMirror(etc string) (string, error) {
	files := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		more, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		files = append(files, more...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for scanner := bufio.NewScanner(strings.NewReader(string(text))); scanner.Scan(); {
			if line := strings.TrimSpace(scanner.Text()); !strings.HasPrefix(line, "#") {
				if found := mirrorAddress.FindString(line); found != "" {
					return strings.TrimSpace(found), nil
				}
			}
		}
	}
	return "", fmt.Errorf("finding a Debian mirror: %s names none", etc)
}

// unpack downloads packages with what they depend on and unpacks them into dir.
func (a aptState) unpack(ctx context.Context, dir string, packages ...string) error {
	archives := filepath.Join(a.dir, "cache", "archives")
	for _, folder := range []string{filepath.Join(a.dir, "lists", "partial"), filepath.Join(archives, "partial")} {
		if err := makeFolder(folder); err != nil {
			return err
		}
	}
	unlock, err := lockFile(ctx, filepath.Join(a.dir, "lock"), nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.run(ctx, append([]string{"install", "-y", "-d"}, packages...)...); err != nil {
		// No lists yet, or older than what the mirror holds.
		if err := a.run(ctx, "update"); err != nil {
			return err
		}
		if err := a.run(ctx, append([]string{"install", "-y", "-d"}, packages...)...); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := run(exec.CommandContext(ctx, "dpkg", "-x", deb, dir)); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o755) // dpkg -x gives it the package's
}

func (a aptState) run(ctx context.Context, args ...string) error {
	return run(exec.CommandContext(ctx, "apt-get", append(a.options, args...)...))
}

// installOnSystem installs packages with apt-get as root or through sudo, unless what they bring is there by the time
// that others have finished installing; what names the need in the error.
func (l *Local) installOnSystem(ctx context.Context, what string, there func() bool, packages ...string) error {
	unlock, err := lockFile(ctx, filepath.Join(l.cache, "locks", "system"), nil)
	if err != nil {
		return err
	}
	defer unlock()
	if there() {
		return nil
	}
	prefix, ok := rootPrefix(ctx)
	if _, err := exec.LookPath("apt-get"); err != nil || !ok {
		return fmt.Errorf("finding %s: none here; install it, on Debian with: apt-get install %s", what, strings.Join(packages, " "))
	}
	begin := time.Now()
	l.progress.say(packages[0], "installing", "apt-get install "+strings.Join(packages, " "))
	aptGet := func(args ...string) error {
		args = append(append(prefix, "apt-get", "-o", "DPkg::Lock::Timeout=300"), args...)
		return run(exec.CommandContext(ctx, "env", append([]string{"DEBIAN_FRONTEND=noninteractive"}, args...)...))
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if aptGet(install...) != nil { // no lists yet, or older than what the mirror holds
		if err := errors.Join(aptGet("update"), aptGet(install...)); err != nil {
			return err
		}
	}
	l.progress.say(packages[0], "installed", since(begin))
	return nil
}

// rootPrefix is what to put before a command that needs root; false when root cannot be had without a password.
func rootPrefix(ctx context.Context) ([]string, bool) {
	if os.Getuid() == 0 {
		return nil, true
	}
	return []string{"sudo", "-n"}, exec.CommandContext(ctx, "sudo", "-n", "true").Run() == nil
}
