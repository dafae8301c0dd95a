package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockFile takes the exclusive lock on path, which the kernel gives back when this process dies. It calls waiting once
// when another process holds the lock, and polls, so that ctx can end the wait.
func lockFile(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		file, err := tryLock(path)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tryLock takes the exclusive lock on path, or returns EWOULDBLOCK. Closing the file gives it back.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
