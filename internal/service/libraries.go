package service

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// redisLog is where go-redis says what it does, which it otherwise prints beside
// the log. Whoever asked it for something gets the same as an error, so it is
// for looking closely only.
type redisLog struct{ log *zap.Logger }

// Printf logs one line.
func (l redisLog) Printf(_ context.Context, format string, values ...any) {
	l.log.Debug(fmt.Sprintf(format, values...))
}

// logLibraries puts what libraries print by themselves into the log.
func logLibraries(log *zap.Logger) { redis.SetLogger(redisLog{log.Named("redis")}) }
