package raftnode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Logger sends the messages of Raft's own logger to log.
func Logger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Debug, Output: io.Discard})
	l.RegisterSink(&sink{log: log.With("from", "raft"), said: make(map[string]*repeats)})
	return l
}

// taken are keys that each log line has already, with their replacements for Raft's arguments of the same names. Of two
// equal keys in a JSON object most readers keep only the last.
var taken = map[string]string{
	"from": "raft-from", slog.TimeKey: "raft-time", slog.LevelKey: "raft-level", slog.MessageKey: "raft-msg",
}

// Raft repeats the same message about an unreachable node many times a second.
const (
	repeatPeriod = 10 * time.Second
	repeatLimit  = 3 // of one message in a period
)

type sink struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]*repeats // by message; Raft has a fixed set of them
}

type repeats struct {
	since time.Time
	count int
}

// mute tells whether to suppress a message because it has been logged often enough lately. before is the number of
// times that the message was suppressed in the previous period.
func (s *sink) mute(msg string) (mute bool, before int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.said[msg]
	if r == nil {
		r = &repeats{}
		s.said[msg] = r
	}
	if time.Since(r.since) > repeatPeriod {
		before = max(0, r.count-repeatLimit)
		*r = repeats{since: time.Now()}
	}
	r.count++
	return r.count > repeatLimit, before
}

// ordinary lowers the level of messages about events that are normal in any cluster: connections end when a node stops,
// leaders step down, and nodes fail to get pre-votes.
var ordinary = map[string]slog.Level{
	"failed to decode incoming command":         slog.LevelDebug,
	"failed to flush response":                  slog.LevelDebug,
	"failed to pipeline appendEntries":          slog.LevelDebug,
	"peer has newer term, stopping replication": slog.LevelInfo,
	"failed to heartbeat to":                    slog.LevelWarn,
	"failed to appendEntries to":                slog.LevelWarn,
	"failed to make requestVote RPC":            slog.LevelWarn,

	"pre-vote campaign failed, waiting for election timeout":     slog.LevelDebug,
	"no known peers, aborting election":                          slog.LevelDebug,
	"rejecting pre-vote request since we have a leader":          slog.LevelDebug,
	"rejecting pre-vote request since our last term is greater":  slog.LevelDebug,
	"rejecting pre-vote request since our last index is greater": slog.LevelDebug,
}

// Accept passes one message on.
func (s *sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	ctx := context.Background()
	l, ok := ordinary[msg]
	if !ok {
		l = slogLevel(level)
	}
	if !s.log.Enabled(ctx, l) {
		return
	}
	if mute, before := s.mute(msg); mute {
		return
	} else if before > 0 {
		args = append(args, "left out before", before)
	}
	args = slices.Clone(args) // other sinks may have the same slice
	for i := 0; i < len(args); i += 2 {
		if key, ok := args[i].(string); ok && taken[key] != "" {
			args[i] = taken[key]
		}
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			if format, ok := f[0].(string); ok {
				args[i] = fmt.Sprintf(format, f[1:]...)
			}
		}
	}
	s.log.Log(ctx, l, msg, args...)
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Info:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
