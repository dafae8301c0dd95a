package redis

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
)

// guard is the script that compares versions before it writes.
//
//go:embed guard.lua
var guard string

// guardSHA is what Redis knows the script by.
var guardSHA = func() string {
	sum := sha1.Sum([]byte(guard))
	return hex.EncodeToString(sum[:])
}()

// The script's answers for a record.
const (
	answerForeign   = -1 // the key belongs to another topic
	answerStale     = 0  // what is there is newer
	answerWritten   = 1
	answerUnguarded = 2 // a value of unknown age was replaced
)
