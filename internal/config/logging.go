package config

import (
	"io"
	"log/slog"
)

// Logging is where and how a daemon logs.
type Logging struct {
	format string
	level  string
}

// Logging adds -log-format and -log-level.
func (s *Set) Logging() *Logging {
	l := &Logging{format: "text", level: "info"}
	s.Choice(&l.format, []string{"text", "json"}, "log-format", "the form of the log")
	s.Choice(&l.level, []string{"debug", "info", "warn", "error"}, "log-level", "the least that is logged")
	return l
}

// Logger returns a logger that writes to w as the flags say.
func (l *Logging) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.level)) // can't fail: the flag takes valid levels only
	opts := &slog.HandlerOptions{Level: level}
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
