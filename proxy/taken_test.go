package proxy_test

import (
	"testing"
	"time"

	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
)

// Another server may be chosen at the moment when a third one is lost, or comes back. The reads that are then taken
// from the server that can't answer are sent again too.
func TestChoiceWhenThirdServerIsLost(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		w.servers[2].set(func(wire.Op, []byte) verdict { return drop })
		testChoice(t, w, func(c *fake) { c.stop() })
	})
}

func TestChoiceWhenThirdServerReturns(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *world) {
		c := w.servers[2]
		c.freeze()
		c.stop()
		c.start()
		testChoice(t, w, func(c *fake) { c.thaw() })
	})
}

// testChoice has server a keep a read unanswered, and calls happen before anything else in which server b could be
// chosen.
func testChoice(t *testing.T, w *world, happen func(c *fake)) {
	w.want(nil, wire.OpAdd, "x")
	a, b, c := w.servers[0], w.servers[1], w.servers[2]
	over, asked := make(chan struct{}), make(chan struct{}, 100)
	defer close(over)
	a.set(func(_ wire.Op, id []byte) verdict {
		if len(id) == questionLen {
			return refuse
		}
		<-over
		return drop
	})
	b.set(func(_ wire.Op, id []byte) verdict {
		if len(id) == questionLen {
			asked <- struct{}{}
			time.Sleep(5 * time.Millisecond)
		}
		return serve
	})
	get := w.begin(wire.OpGet, "x")
	<-asked
	time.Sleep(10 * time.Millisecond)
	w.wantUsed("a")
	happen(c)
	(<-get).want(t, nil, proxy.DefaultTimeout/4)
	w.wantUsed("b")
}
