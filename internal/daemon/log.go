package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/config"
)

// An output is where a daemon's log goes.
type output interface {
	logger() *slog.Logger
	reopen() error  // opens the file anew, if the output is a file
	crashes() error // makes Go's runtime report a crash here, if the output can take that
	Close() error
}

// openLog opens the log that the flags choose.
func (o *Options) openLog(program string, stderr io.Writer, owner *account) (output, error) {
	switch {
	case o.logFile != "":
		return openLogFile(o.logFile, o.logging, owner)
	case !o.detach:
		q := newBacklog(o.logging.Logger(stderr))
		return stream{o.logging.Logger(q.to(stderr)), q}, nil
	}
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, program)
	if err != nil {
		fmt.Fprintf(stderr, "%s: there is no syslog on this machine, and the log is lost: -log-file PATH keeps it\n", program)
		return stream{slog.New(slog.DiscardHandler), newBacklog(nil)}, nil
	}
	return syslogOutput{newSyslogger(w, o.logging), w}, nil
}

// newBacklog makes a backlog that reports dropped lines to log. log must not write through the same backlog.
func newBacklog(log *slog.Logger) *backlog {
	return &backlog{missed: func(lines uint64) {
		log.Warn("log lines were left out: what takes the log was stuck or full", "lines", lines)
	}}
}

// A stream is a log on an open descriptor, such as standard error.
type stream struct {
	log     *slog.Logger
	backlog *backlog
}

func (s stream) logger() *slog.Logger { return s.log }
func (s stream) reopen() error        { return nil }
func (s stream) crashes() error       { return nil }
func (s stream) Close() error         { s.backlog.wait(); return nil }

// A logFile is a log in a file, which SIGHUP opens anew.
type logFile struct {
	path    string
	owner   *account // the user that will open it anew; nil: this process's user
	logging *config.Logging
	backlog *backlog

	mu sync.Mutex
	f  *os.File
}

func openLogFile(path string, logging *config.Logging, owner *account) (*logFile, error) {
	l := &logFile{path: path, owner: owner, logging: logging}
	l.backlog = newBacklog(logging.Logger(l))
	if err := l.reopen(); err != nil {
		return nil, fmt.Errorf("-log-file: %w", err)
	}
	if err := l.give(); err != nil {
		l.f.Close()
		return nil, fmt.Errorf("-log-file: %w", err)
	}
	return l, nil
}

// give gives a new or empty file to the user that will open it anew.
func (l *logFile) give() error {
	if l.owner == nil || os.Geteuid() != 0 {
		return nil
	}
	info, err := l.f.Stat()
	if err != nil || info.Size() > 0 || !info.Mode().IsRegular() {
		return err
	}
	return l.f.Chown(l.owner.uid, l.owner.gid)
}

func (l *logFile) reopen() error {
	// While this process is root and the owner is not: don't follow a link that the owner may have put there.
	f, err := openToAppend(l.path, 0o640, l.owner == nil || os.Geteuid() != 0)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		l.f.Close()
	}
	l.f = f
	return nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

func (l *logFile) logger() *slog.Logger { return l.logging.Logger(l.backlog.to(l)) }

// Close waits a moment for a write that is stuck. The process then ends, even if lines are lost.
func (l *logFile) Close() error {
	l.backlog.wait()
	if !l.mu.TryLock() {
		return nil
	}
	defer l.mu.Unlock()
	return l.f.Close()
}

// crashes makes Go's runtime report a crash in the file.
func (l *logFile) crashes() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return debug.SetCrashOutput(l.f, debug.CrashOptions{})
}

type syslogOutput struct {
	log *slog.Logger
	w   *syslog.Writer
}

func (s syslogOutput) logger() *slog.Logger { return s.log }
func (s syslogOutput) reopen() error        { return nil }
func (s syslogOutput) crashes() error       { return nil }
func (s syslogOutput) Close() error         { return s.w.Close() }

// severities are handlers for one level each, the lowest first.
type severities [4]slog.Handler

// A syslogger is the part of *syslog.Writer that the log needs.
type syslogger interface {
	Debug(string) error
	Info(string) error
	Warning(string) error
	Err(string) error
}

// newSyslogger logs to syslog. Lines have neither time nor level: syslog adds them.
func newSyslogger(w syslogger, logging *config.Logging) *slog.Logger {
	var h severities
	q := newBacklog(logging.Logger(severity(w.Warning)))
	for i, say := range []severity{w.Debug, w.Info, w.Warning, w.Err} {
		h[i] = logging.Logger(q.to(say)).Handler()
	}
	return slog.New(h)
}

type severity func(string) error

func (say severity) Write(b []byte) (int, error) {
	if err := say(string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (h severities) Enabled(ctx context.Context, level slog.Level) bool {
	return h[0].Enabled(ctx, level)
}

func (h severities) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{}
	i := 0
	for _, least := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if r.Level >= least {
			i++
		}
	}
	return h[i].Handle(ctx, r)
}

func (h severities) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range h {
		h[i] = h[i].WithAttrs(attrs)
	}
	return h
}

func (h severities) WithGroup(name string) slog.Handler {
	for i := range h {
		h[i] = h[i].WithGroup(name)
	}
	return h
}
