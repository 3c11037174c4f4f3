package proxy_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/proxy"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// dropLost makes a server that never answers requests for "lost…", and all others.
func dropLost(_ wire.Op, id []byte) verdict {
	if strings.HasPrefix(string(id), "lost") {
		return drop
	}
	return serve
}

// An ended records when a request ended, and how.
type ended struct {
	began time.Time
	done  chan outcome
}

func (e ended) Done(r store.Result) { e.done <- outcome{r.Err, time.Since(e.began)} }

// start starts a request as the listener does, with this much time.
func (w *world) start(op store.Op, id string, within time.Duration) ended {
	e := ended{time.Now(), make(chan outcome, 1)}
	w.Start(&store.Request{Op: op, ID: []byte(id)}, e.began.Add(within), e)
	return e
}

// lookedAt is how often a proxy with the default timeout looks for requests that are overdue.
const lookedAt = 100 * time.Millisecond

// A request that is not answered is given up at its deadline, whatever was sent before and after it.
func TestEachHasItsDeadline(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *world) {
		w.servers[0].set(dropLost)
		const n = 2000
		type asked struct {
			ended
			within time.Duration
		}
		var all []asked
		for i := range n {
			// Most have much time, as from a caller without a deadline of its own. Some have none left, or a minute.
			within := proxy.DefaultTimeout
			switch i % 8 {
			case 0, 1:
				within = rand.N(proxy.DefaultTimeout)
			case 2:
				within = rand.N(time.Minute)
			case 3:
				within = -rand.N(time.Second)
			}
			if i%100 == 0 {
				time.Sleep(rand.N(lookedAt))
			}
			all = append(all, asked{w.start(store.Get, "lost", within), within})
		}
		synctest.Wait()
		for _, a := range all {
			o := <-a.done
			if o.err != wire.Disconnected || o.took < a.within || o.took > max(0, a.within)+2*lookedAt {
				t.Fatalf("%v after %v, want %v after %v", o.err, o.took, wire.Disconnected, a.within)
			}
		}
		if n := w.Status().Servers[0].InFlight; n != 0 {
			t.Errorf("%d requests are still under way", n)
		}
		w.want(wire.NotOK, wire.OpHave, "x")
	})
}

// After a server was lost, its requests are sent to the next server after newer ones, and have less time left.
func TestDeadlinesAfterFailover(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *world) {
		a, b := w.servers[0], w.servers[1]
		a.set(dropLost)
		b.set(dropLost)
		old := w.start(store.Get, "lost", proxy.DefaultTimeout)
		time.Sleep(2 * time.Second)
		for range 10 {
			w.start(store.Get, "lost", time.Hour)
		}
		a.stop()
		synctest.Wait()
		w.wantUsed("b")
		(<-old.done).want(t, wire.Disconnected, proxy.DefaultTimeout+2*lookedAt)
	})
}
