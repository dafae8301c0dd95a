package servers

import (
	"fmt"
	"os"
	"path/filepath"
)

// unprivileged is the user id (nobody, on Debian) that servers refusing to run as root get instead.
const unprivileged = 65534

// cacheFolder is where fetched servers are kept: $WEIR_CACHE, else the user's cache folder. As root the folder must
// also be open to other users, for Elasticsearch refuses to run as root; /root usually is closed.
func cacheFolder() (string, error) {
	if dir := os.Getenv("WEIR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err == nil && (os.Getuid() != 0 || enterable(dir)) {
		return filepath.Join(dir, "weir"), nil
	}
	if os.Getuid() == 0 {
		return "/var/cache/weir", nil
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("weir-%d", os.Getuid())), nil
}

// dataFolder is where servers keep what they write: $WEIR_DATA, else a folder in the cache.
func dataFolder(cache string) (string, error) {
	if dir := os.Getenv("WEIR_DATA"); dir != "" {
		return filepath.Abs(dir)
	}
	return filepath.Join(cache, "data"), nil
}

// enterable tells whether other users can pass through dir and all folders above it.
func enterable(dir string) bool {
	for {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// makeFolder creates dir and opens it to other users whatever the umask is.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// exists tells whether path is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// folderSize is the number of bytes of all files below dir; what cannot be read counts nothing.
func folderSize(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
