// Package ratelog limits how many log lines clients and peers can cause.
package ratelog

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A Logger logs a burst of lines, then one line a second. Each line says how many lines were left out before it. Any
// number of goroutines may use it.
type Logger struct {
	log        *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Uint64
}

// New makes a Logger that writes to log.
func New(log *slog.Logger) *Logger {
	return &Logger{log: log, limit: rate.NewLimiter(rate.Every(time.Second), 10)}
}

// Warn logs a warning, or counts it as left out.
func (l *Logger) Warn(msg string, args ...any) {
	if !l.limit.Allow() {
		l.suppressed.Add(1)
		return
	}
	if n := l.suppressed.Swap(0); n > 0 {
		args = append(args, "suppressed", n)
	}
	l.log.Warn(msg, args...)
}

// Close logs how many lines were left out since the last line, if any. The message is msg.
func (l *Logger) Close(msg string) {
	if n := l.suppressed.Swap(0); n > 0 {
		l.log.Warn(msg, "suppressed", n)
	}
}
