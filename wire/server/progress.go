package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire/store"
)

// progress wakes the reporter every so many requests.
type progress struct {
	every uint64
	done  atomic.Uint64
	wake  chan struct{}
}

func (p *progress) step() {
	if p.done.Add(1)%p.every == 0 {
		select {
		case p.wake <- struct{}{}:
		default: // the line that is due says it all
		}
	}
}

// ReportProgress writes a line with the number of requests answered and of sessions kept to w after every so many
// requests, and, when there were fewer, once a second if there were any. It returns when ctx is done, with nil, or when
// w fails. A server has one reporter at a time.
func (s *Server) ReportProgress(ctx context.Context, w io.Writer, every uint64) error {
	if every == 0 {
		return errors.New("server: progress every 0 requests")
	}
	p := &progress{every: every, wake: make(chan struct{}, 1)}
	if !s.progress.CompareAndSwap(nil, p) {
		return errors.New("server: progress is being reported already")
	}
	defer s.progress.Store(nil)

	counter, _ := s.cfg.Store.(store.Counter)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var requests uint64
	var sessions int
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			tick.Reset(time.Second)
		case <-tick.C:
		}
		stats := s.Stats()
		now := stats.Requests()
		if now == requests {
			continue
		}
		line := fmt.Sprintf("operations %d (+%d)", now, now-requests)
		if counter != nil {
			n := counter.Len()
			line += fmt.Sprintf(", sessions %d (%+d)", n, n-sessions)
			sessions = n
		}
		requests = now
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
}
