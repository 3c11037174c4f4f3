package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/distcache/distcache/wire/server"
)

// progressTimeout is how long stop waits for the last progress line to be written.
const progressTimeout = time.Second

// A reporter writes progress lines until stop. A nil reporter writes none.
type reporter struct {
	log   *slog.Logger
	end   context.CancelFunc
	ended chan struct{}
}

func report(s *server.Server, stdout io.Writer, every uint64, log *slog.Logger) *reporter {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reporter{log: log, end: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := s.ReportProgress(ctx, stdout, every); err != nil {
			log.Warn("no more progress lines", "error", err)
		}
	}()
	return r
}

// stop ends the progress lines. It does not wait for ever: the output may be stuck, as a pager's is.
func (r *reporter) stop() {
	if r == nil {
		return
	}
	r.end()
	select {
	case <-r.ended:
	case <-time.After(progressTimeout):
		r.log.Warn("standard output is stuck: the last progress line was not written")
	}
}
