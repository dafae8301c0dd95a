package service

import (
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/weir-cdc/weir/internal/config"
)

// logProperties are how every component logs.
var logProperties = config.Table{
	Name: "Logs",
	Doc:  "Logs go to standard error.",
	Properties: []config.Property{
		{Name: "log.level", Default: "info", Values: []string{"debug", "info", "warn", "error"}, Doc: "The least important messages to log."},
		{Name: "log.format", Default: "auto", Values: []string{"auto", "json", "console"},
			Doc: "json is an object a line, console is for people. auto is console on a terminal, else json."},
	},
}

// newLogger makes the logger that v configures, to w.
func newLogger(v *config.Values, w io.Writer) *zap.Logger {
	level, err := zapcore.ParseLevel(v.String("log.level"))
	if err != nil {
		level = zapcore.InfoLevel
	}
	keys := zap.NewProductionEncoderConfig()
	keys.TimeKey, keys.MessageKey = "time", "message"
	keys.EncodeTime = zapcore.TimeEncoderOfLayout(time.RFC3339Nano)
	keys.EncodeDuration = zapcore.StringDurationEncoder
	format := v.String("log.format")
	var encoder zapcore.Encoder
	if format == "console" || format == "auto" && isTerminal(w) {
		keys.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		keys.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(keys)
	} else {
		encoder = zapcore.NewJSONEncoder(keys)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
