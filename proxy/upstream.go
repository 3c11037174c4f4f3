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
	nudged chan struct{} // connect, or ask a question, now

	// Under Proxy.mu.
	tried     bool
	link      *link // nil when down
	state     State
	since     time.Time     // of state
	provenAt  time.Time     // when the server last answered a question or a client's request
	doubtedAt time.Time     // when the present trouble was noticed; zero without one
	chosenAt  time.Time     // when the server was last put to use
	hold      time.Duration // how long the server has to be ready to be preferred to the one in use
	err       error         // why the server is down, or was last
}

// firstPause is the pause after the second failed attempt to connect in a row. After the first there is none.
const firstPause = 50 * time.Millisecond

var (
	errSilent   = errors.New("no answer, also to a ping")
	errReplaced = errors.New("given up for a connection that works")
	errNoReply  = errors.New("connected, but no answer to a ping")

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

// pause waits before the next attempt to connect. The result is false when the proxy is closed.
func (u *upstream) pause(failures int) bool {
	if failures == 0 {
		return u.p.ctx.Err() == nil
	}
	d := min(firstPause<<min(failures-1, 20), u.p.cfg.Retry)
	t := time.NewTimer(d/2 + rand.N(d/2+1)) // so that a thousand proxies don't come back together
	defer t.Stop()
	select {
	case <-t.C:
	case <-u.nudged:
	case <-u.p.ctx.Done():
		return false
	}
	return true
}

// connect opens a connection and makes sure, by a ping, that a server answers on it.
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

// A watch is what the upstream's goroutine remembers of the link that it watches.
type watch struct {
	*upstream
	l         *link
	good, bad uint64     // the link's counts at the last check
	goodAt    time.Time  // when a question or a client's request was last answered well
	refusedAt time.Time  // when a question was last answered badly
	asked     time.Time  // when the question under way was asked; zero without one
	question  uint32     // the uid of that question
	replies   chan error // to questions
}

// watch watches a link until the link is lost, or replaced by another, which watch returns.
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
		case <-u.nudged:
			w.ask()
		case err := <-w.replies:
			w.replied(err)
		case now := <-tick.C:
			if next, done := w.check(now); done {
				return next
			}
		}
	}
}

// check judges the server by what has happened since the last check. When done is true the link is given up, and next
// is the link to watch instead, if any.
func (w *watch) check(now time.Time) (next *link, done bool) {
	w.l.expire(now)
	good, bad := w.l.good.Load(), w.l.bad.Load()
	if good > w.good {
		w.goodAt = now
		w.p.setState(w.l, Ready)
	}
	if bad > w.bad {
		w.p.doubt(w.l)
		w.ask()
	}
	w.good, w.bad = good, bad
	if w.l.conn.Silence() >= w.p.bounds.silence {
		w.p.doubt(w.l)
		w.ask()
		if next, done := w.probe(); done {
			return next, true
		}
	}
	if !w.asked.IsZero() && now.Sub(w.asked) >= w.p.bounds.verdict && now.Sub(w.goodAt) >= w.p.bounds.verdict {
		w.p.setState(w.l, Waiting)
	}
	if now.Sub(w.goodAt) >= w.p.bounds.interval && now.Sub(w.refusedAt) >= w.p.bounds.interval {
		w.ask()
	}
	w.p.rechoose()
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

// replied handles the answer to a question.
func (w *watch) replied(err error) {
	w.asked = time.Time{}
	switch {
	case err == nil || err == wire.NotOK:
		w.goodAt = time.Now()
		w.p.setState(w.l, Ready)
	case w.l.conn.Err() != nil: // watch learns of it from conn.Done
	case errors.Is(err, wire.ErrCorrupt):
		w.l.conn.Abort(err)
	default:
		w.refusedAt = time.Now()
		w.p.setState(w.l, Waiting)
	}
}

// probe finds out whether a server that owes answers and gives none is still there: it pings the server on this
// connection and, without a quick answer, on a second one. When done is true the link is given up, and next is the link
// to watch instead, if any.
func (w *watch) probe() (next *link, done bool) {
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
	w.l.conn.Abort(fmt.Errorf("%w for %v", errSilent, w.p.bounds.silence+w.p.bounds.verdict))
	w.p.lost(w.l)
	_ = w.l.conn.Close()
	return nil, true
}

// retire keeps a link that is no longer used until its writes are answered or overdue, and closes it.
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
	l.conn.Abort(errReplaced)
	_ = l.conn.Close()
}
