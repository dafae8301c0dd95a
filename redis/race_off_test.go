//go:build !race

package redis

// racing says that the race detector is on.
const racing = false
