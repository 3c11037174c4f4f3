package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire/client"
)

// A slowNetwork takes a while to connect to anybody, unless it gives up before.
type slowNetwork struct {
	after  time.Duration
	fails  error
	dialed atomic.Int32
	open   atomic.Int32
}

func (*slowNetwork) Listen(string) (net.Listener, error) { return nil, errors.ErrUnsupported }

func (n *slowNetwork) Dial(ctx context.Context, _ string) (net.Conn, error) {
	n.dialed.Add(1)
	select {
	case <-time.After(n.after):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n.fails != nil {
		return nil, n.fails
	}
	ours, theirs := net.Pipe()
	n.open.Add(1)
	go func() {
		_, _ = io.Copy(io.Discard, theirs)
		n.open.Add(-1)
	}()
	return ours, nil
}

// A got is what get gave, and when.
type got struct {
	conn *client.Conn
	err  error
	took time.Duration
}

// noID is the ID of a server that connects without one.
func noID() serverid.ID { return "" }

// at is whichever node is at an address.
func at(address string) peernet.Peer { return peernet.Peer{Address: address} }

// getting calls get in the background, with a context of so much time.
func getting(p *peers, to string, within time.Duration) <-chan got {
	c := make(chan got, 1)
	began := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		conn, err := p.get(ctx, at(to))
		c <- got{conn, err, time.Since(began)}
	}()
	synctest.Wait()
	return c
}

// Those that wait for a connection share one attempt, and each waits as long as its own context allows: the one who
// came first has no part in how the others fare.
func TestDialIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNetwork{after: 900 * time.Millisecond}
		p := newPeers(n, nil, noID)
		defer p.close()
		short, long := getting(p, "a", 50*time.Millisecond), getting(p, "a", time.Hour)
		if p.live(at("a")) != nil {
			t.Error("a connection that is being opened is said to be live")
		}
		if g := <-short; g.err != context.DeadlineExceeded || g.took != 50*time.Millisecond {
			t.Errorf("%v after %v, with 50 ms", g.err, g.took)
		}
		g := <-long
		if g.err != nil || g.took != n.after {
			t.Fatalf("%v after %v", g.err, g.took)
		}
		again := <-getting(p, "a", time.Hour)
		if again.conn != g.conn || p.live(at("a")) != g.conn || n.dialed.Load() != 1 {
			t.Errorf("%d attempts to connect", n.dialed.Load())
		}
		g.conn.Abort(io.EOF)
		if next := <-getting(p, "a", time.Hour); next.err != nil || next.conn == g.conn || n.dialed.Load() != 2 {
			t.Errorf("after it was lost: %v, %d attempts to connect", next.err, n.dialed.Load())
		}
	})
}

func TestDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNetwork{after: time.Millisecond, fails: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
		p := newPeers(n, nil, noID)
		defer p.close()
		for i := range 3 { // the last two in the pause after the first
			if g := <-getting(p, "a", time.Hour); !errors.Is(g.err, syscall.ECONNREFUSED) || n.dialed.Load() != 1 {
				t.Errorf("call %d: %v after %d attempts", i, g.err, n.dialed.Load())
			}
		}
		time.Sleep(peerRedialPause)
		n.after, n.fails = time.Hour, nil
		if g := <-getting(p, "a", 2*time.Hour); g.err == nil || g.took != peerDialTimeout {
			t.Errorf("%v after %v, want an error after %v", g.err, g.took, peerDialTimeout)
		}
	})
}

// Requests that wait for a connection to the leader are told at once when another leads, and the connection is not
// kept.
func TestDropDuringDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNetwork{after: 900 * time.Millisecond}
		p := newPeers(n, nil, noID)
		defer p.close()
		p.drop(at("nobody"))
		waits, began := getting(p, "a", time.Hour), time.Now()
		p.drop(at("a"))
		if g := <-waits; !errors.Is(g.err, errOtherLeader) || time.Since(began) != 0 {
			t.Errorf("%v after %v", g.err, time.Since(began))
		}
		time.Sleep(n.after)
		synctest.Wait()
		if p.live(at("a")) != nil || n.open.Load() != 0 {
			t.Errorf("%d connections are open", n.open.Load())
		}
		g := <-getting(p, "a", time.Hour)
		if g.err != nil {
			t.Fatal(g.err)
		}
		p.drop(at("a"))
		if err := g.conn.Err(); !errors.Is(err, errOtherLeader) {
			t.Errorf("the connection: %v", err)
		}
	})
}

func TestPeersClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNetwork{}
		p := newPeers(n, nil, noID)
		open := <-getting(p, "open", time.Hour)
		n.after = 900 * time.Millisecond
		waits, began := getting(p, "a", time.Hour), time.Now()
		p.close()
		if g := <-waits; g.err == nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", g.err, time.Since(began))
		}
		if open.conn.Err() == nil {
			t.Error("a connection is open")
		}
		if _, err := p.get(context.Background(), at("a")); err != ErrClosed {
			t.Errorf("after close: %v", err)
		}
		var heard error
		p.termOf(context.Background(), at("a"), func(_ uint64, err error) { heard = err })
		if heard != ErrClosed {
			t.Errorf("a question after close: %v", heard)
		}
		synctest.Wait()
		if n.open.Load() != 0 {
			t.Errorf("%d connections are left", n.open.Load())
		}
		p.close()
	})
}

// The connections to nodes long gone don't stay open.
func TestPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNetwork{}
		p := newPeers(n, nil, noID)
		for i := range peerConns + 1 {
			if g := <-getting(p, fmt.Sprint(i), time.Hour); g.err != nil {
				t.Fatal(g.err)
			}
		}
		synctest.Wait()
		if n.open.Load() != 1 {
			t.Errorf("%d connections are open", n.open.Load())
		}
		n.after = time.Minute
		old := p.to(at("old"))
		old.close() // as it is when the number of connections is too large, and somebody has it in hand
		if conn, a, err := p.begin(old, at("old")); conn != nil || a != nil || err != errGivenUp {
			t.Errorf("%v, %v, %v", conn, a, err)
		}
		p.close()
		synctest.Wait()
		if n.open.Load() != 0 {
			t.Errorf("%d connections are left", n.open.Load())
		}
	})
}

// What the peers have started has ended when close returns.
func TestPeersCloseWaits(t *testing.T) {
	p := newPeers(&slowNetwork{fails: io.EOF}, nil, noID)
	asked, let, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	p.termOf(context.Background(), at("a"), func(uint64, error) {
		close(asked)
		<-let
	})
	<-asked
	go func() {
		p.close()
		close(closed)
	}()
	lingers(t, closed, let)
}

// lingers lets something go on, and makes sure that others have waited for it.
func lingers(t *testing.T, waited <-chan struct{}, let chan<- struct{}) {
	t.Helper()
	for range 10_000 {
		runtime.Gosched()
	}
	select {
	case <-waited:
		t.Error("it was not waited for")
	default:
	}
	close(let)
	<-waited
}
