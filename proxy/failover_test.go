package proxy_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
)

// silentWithin is how soon a request that was under way on a silent server must be sent to the next server: well under
// the default timeout of 3 s.
const silentWithin = 1200 * time.Millisecond

func TestServerDies(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		a, b := w.servers[0], w.servers[1]
		a.freeze() // so that the requests are under way
		add, get := w.begin(wire.OpAdd, "y"), w.begin(wire.OpGet, "x")
		remove, have := w.begin(wire.OpRemove, "x"), w.begin(wire.OpHave, "x")
		a.heard()
		b.heard()
		a.stop()
		(<-get).want(t, nil, 0)
		(<-have).want(t, nil, 0)
		(<-add).want(t, wire.Disconnected, 0)
		(<-remove).want(t, wire.Disconnected, 0)
		asked := b.heard()
		if len(asked) != 2 || slices.Contains(asked, wire.OpAdd) || slices.Contains(asked, wire.OpRemove) {
			t.Errorf("the other server was asked %v", asked)
		}
		w.wantUsed("b")
		for _, op := range allOps {
			var want error
			if op == wire.OpHave {
				want = wire.NotOK // REMOVE came before
			}
			(<-w.begin(op, "z")).want(t, want, 0)
		}
		if s := w.Status(); s.Unknown != 2 || s.Again != 2 {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestServerFreezes(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		w.servers[0].freeze()
		get, remove := w.begin(wire.OpGet, "x"), w.begin(wire.OpRemove, "x")
		(<-get).want(t, nil, silentWithin)
		(<-remove).want(t, wire.Disconnected, silentWithin)
		w.wantUsed("b")
		(<-w.begin(wire.OpGet, "x")).want(t, nil, 0)

		w.servers[0].thaw()
		time.Sleep(time.Minute)
		w.wantUsed("a")
		(<-w.begin(wire.OpHave, "x")).want(t, wire.NotOK, 0) // the removal went through after all
	})
}

// A standby that freezes is known to be down before it is needed.
func TestStandbyFreezes(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		w.servers[1].freeze()
		time.Sleep(5 * time.Second)
		if s := w.Status().Servers[1]; s.State != proxy.Down || !strings.Contains(s.Error, "no answer") {
			t.Errorf("the frozen standby is %v: %s", s.State, s.Error)
		}
		w.servers[0].stop()
		(<-w.begin(wire.OpHave, "x")).want(t, wire.NotOK, 0)
		w.wantUsed("c")
	})
}

func TestOnlyServerFreezes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		for range 10 {
			time.Sleep(proxy.DefaultTimeout) // it has proved itself
			w.servers[0].freeze()
			var under []<-chan outcome
			for _, op := range allOps {
				under = append(under, w.begin(op, "x"))
			}
			for _, o := range under {
				(<-o).want(t, wire.Disconnected, silentWithin)
			}
			for range 100 {
				(<-w.begin(wire.OpGet, "x")).want(t, wire.Disconnected, 0)
			}
			w.servers[0].thaw() // and the connection that waits for it is taken at once
			synctest.Wait()
			(<-w.begin(wire.OpGet, "x")).want(t, wire.NotOK, 0)
		}
	})
}

func TestFirstChoiceReturns(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		a, b := w.servers[0], w.servers[1]
		time.Sleep(2 * time.Minute)
		a.stop()
		w.want(nil, wire.OpAdd, "x")
		w.wantUsed("b")

		gate := make(chan struct{})
		b.set(func(_ wire.Op, id []byte) verdict {
			if string(id) == "slow" {
				<-gate
			}
			return serve
		})
		slow := w.begin(wire.OpAdd, "slow")
		a.start()
		// A write under way on the server that is left is still answered by that server.
		for w.used() != "a" {
			w.want(nil, wire.OpGet, "x")
			time.Sleep(10 * time.Millisecond)
		}
		close(gate)
		(<-slow).want(t, nil, proxy.DefaultTimeout)
		a.heard()
		w.want(nil, wire.OpGet, "x")
		if asked := a.heard(); len(asked) != 1 {
			t.Errorf("the first choice was asked %v", asked)
		}
		a.stop()
		(<-w.begin(wire.OpGet, "x")).want(t, nil, 0)
	})
}

// A preferred server that comes and goes is used again less and less often.
func TestFlappingFirstChoice(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		a := w.servers[0]
		moves, last := 0, ""
		for range 5 * 60 {
			a.start()
			time.Sleep(900 * time.Millisecond)
			w.want(wire.NotOK, wire.OpHave, "x")
			if name := w.used(); name != last {
				moves, last = moves+1, name
			}
			a.stop()
			time.Sleep(100 * time.Millisecond)
			w.want(wire.NotOK, wire.OpHave, "x")
		}
		if moves > 10 {
			t.Errorf("used server changed %d times", moves)
		}
		a.start()
		time.Sleep(time.Minute)
		w.wantUsed("a")
	})
}

// A whole cluster that waits for an election is slow, not silent: the proxy stays, and so do the requests.
func TestElection(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		over := make(chan struct{})
		for _, f := range w.servers {
			f.set(func(wire.Op, []byte) verdict { <-over; return serve })
		}
		get, add := w.begin(wire.OpGet, "x"), w.begin(wire.OpAdd, "y")
		for range 180 {
			time.Sleep(10 * time.Millisecond)
			w.wantUsed("a")
		}
		close(over)
		(<-get).want(t, nil, 1800*time.Millisecond)
		(<-add).want(t, nil, 1800*time.Millisecond)
		for i, f := range w.servers {
			if n := f.brought(); n != 1 {
				t.Errorf("server %d was connected to %d times", i, n)
			}
			if asked := f.heard(); i > 0 && len(asked) > 0 {
				t.Errorf("server %d was asked %v", i, asked)
			}
		}
		w.wantUsed("a")
	})
}

// One server is cut off from its cluster and leaves requests unanswered. It is left for a server that answers.
func TestMinority(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		a := w.servers[0]
		a.set(func(wire.Op, []byte) verdict { time.Sleep(2 * time.Second); return refuse })
		get, add := w.begin(wire.OpGet, "x"), w.begin(wire.OpAdd, "y")
		(<-get).want(t, nil, silentWithin)
		w.wantUsed("b")
		w.want(nil, wire.OpGet, "x")
		(<-add).want(t, wire.Disconnected, 2*time.Second)
		time.Sleep(time.Minute)
		w.wantUsed("b")
		a.set(nil)
		time.Sleep(time.Minute)
		w.wantUsed("a")
	})
}

// A server that answers DISCONNECTED at once is left for a server that is ready; no read fails meanwhile.
func TestServerRefuses(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		w.servers[0].set(func(wire.Op, []byte) verdict { return refuse })
		(<-w.begin(wire.OpGet, "x")).want(t, nil, 0)
		(<-w.begin(wire.OpAdd, "y")).want(t, wire.Disconnected, 0)
		time.Sleep(time.Second)
		w.wantUsed("b")
		(<-w.begin(wire.OpAdd, "y")).want(t, nil, 0)

		// When no server is ready, DISCONNECTED is passed on to the client.
		w.servers[1].set(func(wire.Op, []byte) verdict { return refuse })
		for range 1000 {
			(<-w.begin(wire.OpGet, "x")).want(t, wire.Disconnected, 0)
		}
		w.servers[0].set(nil)
		time.Sleep(2 * time.Second)
		(<-w.begin(wire.OpGet, "x")).want(t, nil, 0)
	})
}

// Nothing comes on one connection, but a second one to the same server works: the first is dead and is replaced.
func TestDeadConnection(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		f := w.servers[0]
		f.mu.Lock()
		f.deafTo = f.made
		f.mu.Unlock()
		get, add := w.begin(wire.OpGet, "x"), w.begin(wire.OpAdd, "y")
		(<-get).want(t, nil, silentWithin)
		(<-w.begin(wire.OpGet, "x")).want(t, nil, 0)
		(<-add).want(t, wire.Disconnected, proxy.DefaultTimeout)
		time.Sleep(time.Second)
		if n := f.brought(); n != 2 {
			t.Errorf("connected %d times", n)
		}
	})
}

func TestWrongAnswers(t *testing.T) {
	for name, wrong := range map[string]verdict{
		"two bytes": twoBytes, "operation": wrongOp, "garbage": garbage, "close": hang,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, w *world) {
				w.want(nil, wire.OpAdd, "x")
				w.servers[0].set(func(_ wire.Op, id []byte) verdict {
					if len(id) == questionLen {
						return serve
					}
					return wrong
				})
				(<-w.begin(wire.OpHave, "x")).want(t, nil, 0)
				synctest.Wait()
				w.wantUsed("b")
				for range 20 {
					time.Sleep(30 * time.Second)
					w.want(nil, wire.OpHave, "x")
				}
				if n := w.servers[0].brought(); n > 22 {
					t.Errorf("connected %d times", n)
				}
			})
		})
	}
}

// A server that does not speak the protocol is never used.
func TestForeignServer(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.servers[0].set(func(wire.Op, []byte) verdict { return garbage })
		time.Sleep(time.Minute)
		w.wantUsed("b")
		(<-w.begin(wire.OpHave, "x")).want(t, wire.NotOK, 0)
	})
}

// A slow server is sent no request twice.
func TestLateAnswers(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		w.want(nil, wire.OpAdd, "x")
		for _, f := range w.servers {
			f.heard()
			f.set(func(wire.Op, []byte) verdict { time.Sleep(450 * time.Millisecond); return serve })
		}
		for range 10 {
			(<-w.begin(wire.OpGet, "x")).want(t, nil, 450*time.Millisecond)
			(<-w.begin(wire.OpAdd, "x")).want(t, wire.MatchingSession, 450*time.Millisecond)
		}
		if n := len(w.servers[0].heard()); n != 20 {
			t.Errorf("the server was asked %d times", n)
		}
		w.wantUsed("a")
	})
}

// When the address of a server is a peer port, the error says so.
func TestPeerPortIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				var m wire.Message
				if wire.NewReader(theirs, wire.Requests).Read(&m) == nil {
					m.Response, m.Payload = true, []byte(wire.PeerPort)
					theirs.Write(wire.AppendMessage(nil, &m))
				}
			}()
			return ours, nil
		}
		p, err := proxy.New(proxy.Config{Servers: []proxy.Server{{Name: "peer", Dial: dial}}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		synctest.Wait()
		if s := p.Status().Servers[0]; s.State != proxy.Down || s.Error != wire.PeerPort {
			t.Errorf("the server is %v: %s", s.State, s.Error)
		}
	})
}
