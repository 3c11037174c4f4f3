package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// An upstream is one server. The goroutine in run connects to it and watches the connection.
type upstream struct {
	p      *Proxy
	server Server
	index  int
	log    *slog.Logger
	nudge  chan struct{} // have a look now

	// Under Proxy.mu.
	tried  bool
	link   *link // nil when down
	state  State
	since  time.Time // of state
	proven time.Time // when it last answered a question
	doubt  time.Time // when the present trouble was noticed; zero without one
	taken  time.Time // when it was last taken up
	hold   time.Duration
	err    error // why it is down, or was last
}

// firstPause is that after the second attempt to connect in a row; the first is made at once.
const firstPause = 50 * time.Millisecond

var (
	errSilent  = errors.New("no answer, also to a ping")
	errBetter  = errors.New("given up for a connection that works")
	errNoReply = errors.New("connected, but no answer to a ping")

	errPeerPort = errors.New(wire.PeerPort)
)

func (u *upstream) run() {
	failures := 0
	for {
		l, err := u.connect(u.p.ctx, u.p.cfg.Timeout)
		switch {
		case u.p.ctx.Err() != nil:
			if err == nil {
				_ = l.conn.Close()
			}
			return
		case err != nil:
			u.p.failed(u, err)
		default:
			began := time.Now()
			u.p.connected(u, l)
			for l != nil {
				l = u.watch(l)
			}
			if time.Since(began) > u.p.bounds.interval {
				failures = 0
			}
		}
		if !u.pause(failures) {
			return
		}
		failures++
	}
}

// pause waits before the next attempt to connect. It is false when there will be none.
func (u *upstream) pause(failures int) bool {
	if failures == 0 {
		return u.p.ctx.Err() == nil
	}
	d := min(firstPause<<min(failures-1, 20), u.p.cfg.Retry)
	t := time.NewTimer(d/2 + rand.N(d/2+1)) // so that a thousand proxies don't come back together
	defer t.Stop()
	select {
	case <-t.C:
	case <-u.nudge:
	case <-u.p.ctx.Done():
		return false
	}
	return true
}

// connect opens a connection and makes sure that there is somebody at the other end.
func (u *upstream) connect(ctx context.Context, within time.Duration) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	nc, err := u.server.Dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := client.NewConn(nc, client.ConnConfig{MaxInFlight: u.p.cfg.MaxInFlight, WriteTimeout: u.p.cfg.Timeout})
	pong, err := conn.Do(ctx, wire.OpHave, nil)
	switch {
	case err == nil && string(pong) == wire.PeerPort:
		err = errPeerPort
	case err == nil && len(pong) > 1:
		err = wire.ErrCorrupt
	}
	if err != nil {
		_ = conn.Close()
		if errors.Is(err, client.ErrTimeout) {
			err = errNoReply
		}
		return nil, err
	}
	return newLink(u, conn), nil
}

// A watch is what the upstream's goroutine remembers of the link it watches.
type watch struct {
	*upstream
	l         *link
	good, bad uint64    // of the link, when last looked at
	goodAt    time.Time // when there was last a good answer, to a question or a client's request
	refusedAt time.Time // when there was last a bad one to a question
	asked     time.Time // the question under way; zero without one
	question  uint32    // its uid
	replies   chan error
}

// watch looks after a link until that is lost, or given up for another, which it returns.
func (u *upstream) watch(l *link) *link {
	w := &watch{upstream: u, l: l, goodAt: time.Now(), replies: make(chan error, 1)}
	tick := time.NewTicker(u.p.bounds.tick)
	defer tick.Stop()
	w.ask()
	for {
		select {
		case <-u.p.ctx.Done():
			_ = l.conn.Close()
			return nil
		case <-l.conn.Done():
			u.p.lost(l)
			_ = l.conn.Close()
			return nil
		case <-u.nudge:
			w.ask()
		case err := <-w.replies:
			w.replied(err)
		case now := <-tick.C:
			if next, done := w.look(now); done {
				return next
			}
		}
	}
}

// look judges the server by what has happened since the last look. When the link is done with, next is the one to watch
// instead, if any.
func (w *watch) look(now time.Time) (next *link, done bool) {
	w.l.expire(now)
	good, bad := w.l.good.Load(), w.l.bad.Load()
	if good > w.good {
		w.goodAt = now
		w.p.judge(w.l, Ready)
	}
	if bad > w.bad {
		w.p.doubted(w.l)
		w.ask()
	}
	w.good, w.bad = good, bad
	if w.l.conn.Silence() >= w.p.bounds.silence {
		w.p.doubted(w.l)
		w.ask()
		if next, done := w.suspect(); done {
			return next, true
		}
	}
	if !w.asked.IsZero() && now.Sub(w.asked) >= w.p.bounds.verdict && now.Sub(w.goodAt) >= w.p.bounds.verdict {
		w.p.judge(w.l, Waiting)
	}
	if now.Sub(w.goodAt) >= w.p.bounds.interval && now.Sub(w.refusedAt) >= w.p.bounds.interval {
		w.ask()
	}
	w.p.review()
	return nil, false
}

// ask puts a question to the server, unless one is under way.
func (w *watch) ask() {
	now := time.Now()
	if !w.asked.IsZero() {
		if now.Sub(w.asked) < 2*w.p.cfg.Timeout {
			return
		}
		w.l.conn.Cancel(w.question)
	}
	var id [32]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	uid, err := w.l.conn.Start(wire.OpHave, id[:], func(payload []byte, err error) {
		if err == nil {
			err = wire.ParseStatus(payload)
		}
		select {
		case w.replies <- err:
		default:
		}
	})
	if err == nil {
		w.asked, w.question = now, uid
	}
}

// replied takes the answer to a question.
func (w *watch) replied(err error) {
	w.asked = time.Time{}
	switch {
	case err == nil || err == wire.NotOK:
		w.goodAt = time.Now()
		w.p.judge(w.l, Ready)
	case w.l.conn.Err() != nil: // of which its Done tells
	case errors.Is(err, wire.ErrCorrupt):
		w.l.conn.Abort(err)
	default:
		w.refusedAt = time.Now()
		w.p.judge(w.l, Waiting)
	}
}

// suspect finds out whether a server is there that owes answers and gives none. When it is not, or not on this
// connection, the link is done with, and next is the one to watch instead, if any.
func (w *watch) suspect() (next *link, done bool) {
	ctx, cancel := context.WithTimeout(w.p.ctx, w.p.bounds.verdict)
	defer cancel()
	pinged := time.Now()
	heard := make(chan struct{}, 1)
	_, _ = w.l.conn.Start(wire.OpHave, nil, func([]byte, error) { heard <- struct{}{} })

	quick := time.NewTimer(w.p.bounds.verdict / 4)
	defer quick.Stop()
	select {
	case <-heard:
		return nil, false
	case <-quick.C:
	case <-ctx.Done():
	}
	second := make(chan *link, 1)
	go func() {
		l, err := w.connect(ctx, w.p.bounds.verdict)
		if err != nil {
			l = nil
		}
		second <- l
	}()
	select {
	case <-heard:
	case <-ctx.Done():
	}
	cancel()
	other := <-second
	switch {
	case w.p.ctx.Err() != nil, w.l.conn.LastHeard().After(pinged), w.l.conn.Err() != nil:
		if other != nil {
			_ = other.conn.Close()
		}
		return nil, false
	case other != nil:
		w.log.Warn("connection replaced: no answers on it, but on another to the same server")
		w.p.replace(w.l, other)
		return other, true
	}
	w.l.conn.Abort(fmt.Errorf("%w for %v", errSilent, (w.p.bounds.silence + w.p.bounds.verdict)))
	w.p.lost(w.l)
	_ = w.l.conn.Close()
	return nil, true
}

// retire sees a link out whose writes may still be answered.
func (u *upstream) retire(l *link) {
	tick := time.NewTicker(u.p.bounds.tick)
	defer tick.Stop()
	for l.inFlight() > 0 {
		select {
		case now := <-tick.C:
			l.expire(now)
			continue
		case <-l.conn.Done():
		case <-u.p.ctx.Done():
		}
		break
	}
	l.conn.Abort(errBetter)
	_ = l.conn.Close()
}
