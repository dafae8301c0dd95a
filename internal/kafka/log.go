package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Logger gives what franz-go has to say to log: its errors as warnings, since
// the client goes on and whoever uses it decides, and the rest for debugging.
func Logger(log *zap.Logger) kgo.Logger { return logger{log.Named("kafka")} }

type logger struct{ log *zap.Logger }

// Level implements kgo.Logger.
func (l logger) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zap.DebugLevel) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log implements kgo.Logger.
func (l logger) Log(level kgo.LogLevel, message string, pairs ...any) {
	fields := make([]zap.Field, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(pairs[i]), pairs[i+1]))
	}
	if level == kgo.LogLevelError {
		l.log.Warn(message, fields...)
		return
	}
	l.log.Debug(message, fields...)
}
