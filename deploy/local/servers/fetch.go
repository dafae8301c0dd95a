package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fetchOnce runs fill on an empty folder of the cache, once for all processes: the folder appears complete or not at
// all. It returns the folder.
func (l *Local) fetchOnce(ctx context.Context, name, source string, fill func(ctx context.Context, dir string) error) (string, error) {
	dir := filepath.Join(l.cache, name)
	if exists(dir) {
		return dir, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(l.cache, "locks", name), func() {
		l.progress.say(name, "waiting", "it is being fetched")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	if err := room(l.cache); err != nil {
		return "", fmt.Errorf("fetching %s: %w", name, err)
	}
	begin := time.Now()
	l.progress.say(name, "fetching", source)
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	if err := makeFolder(partial); err != nil {
		return "", err
	}
	if err := fill(ctx, partial); err != nil {
		return "", fmt.Errorf("fetching %s: %w", name, err)
	}
	l.progress.say(name, "fetched", fmt.Sprintf("%-16s %s", megabytes(folderSize(partial)), since(begin)))
	return dir, os.Rename(partial, dir)
}

// fetchRoom is what the largest server takes while its packages are unpacked.
const fetchRoom = 1 << 30

// room demands a disk with room for one more server: package clients try again
// for minutes on a full one.
func room(dir string) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("looking at the disk of %s: %w", dir, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < fetchRoom {
		return fmt.Errorf("the disk of %s has %s free, and %s are needed: make room, or set WEIR_CACHE to a folder of another disk", dir, megabytes(int64(free)), megabytes(fetchRoom))
	}
	return nil
}

// lookPath finds a program on PATH or in the folders where servers are installed, which ordinary users' PATH lacks.
func lookPath(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// versionOf runs the program with the argument and returns what it prints and the first version number in it.
func versionOf(ctx context.Context, program string, argument string) (text string, version []int) {
	output, err := exec.CommandContext(ctx, program, argument).CombinedOutput()
	if err != nil {
		return "", nil
	}
	for part := range strings.SplitSeq(versionNumber.FindString(string(output)), ".") {
		number, _ := strconv.Atoi(part)
		version = append(version, number)
	}
	return string(output), version
}

// atLeast compares a version with a least major and minor number.
func atLeast(version []int, major, minor int) bool {
	return len(version) > 1 && (version[0] > major || version[0] == major && version[1] >= minor)
}

// libraryFolder is Debian's name for this machine's architecture in library paths.
func libraryFolder() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// loader is the file name of this architecture's program loader.
func loader() string {
	if runtime.GOARCH == "arm64" {
		return "ld-linux-aarch64.so.1"
	}
	return "ld-linux-x86-64.so.2"
}
