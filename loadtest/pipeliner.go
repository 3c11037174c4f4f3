package loadtest

import (
	"context"
	"sync"
	"time"

	"github.com/distcache/distcache/wire/client"
)

// A pipeliner is a worker with one connection and several requests under way on it. There is no goroutine per request:
// the answer to one sends the next, right where it was read.
type pipeliner struct {
	b     *Bench
	rec   *recorder
	first int // address

	mu    sync.Mutex
	conn  *client.Conn
	slots []*slot
	ended bool
}

// A slot is one of a pipeliner's requests under way.
type slot struct {
	*stream
	uid  uint32
	busy bool
	done func([]byte, error)
}

func newPipeliner(b *Bench, n int) *pipeliner {
	w := &pipeliner{b: b, rec: b.recorders[n%len(b.recorders)], first: n % len(b.Addresses)}
	for i := range b.Pipeline {
		s := &slot{stream: newStream(b, n*b.Pipeline+i)}
		s.done = func(answer []byte, err error) { w.answered(s, answer, err) }
		s.rec = w.rec
		w.slots = append(w.slots, s)
	}
	return w
}

// run connects, and connects again, until ctx is done.
func (w *pipeliner) run(ctx context.Context) {
	var wait backoff
	for address := w.first; ctx.Err() == nil; address = (address + 1) % len(w.b.Addresses) {
		dialCtx, cancel := context.WithTimeout(ctx, w.b.RequestTimeout)
		nc, err := w.b.Addresses[address].Dial(dialCtx)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				w.rec.trouble("no connection")
			}
			wait.sleep(ctx)
			continue
		}
		conn := client.NewConn(nc, client.ConnConfig{MaxInFlight: w.b.Pipeline})
		w.mu.Lock()
		w.conn = conn
		w.mu.Unlock()
		since := w.b.at()
		w.tend(ctx, conn)
		w.mu.Lock()
		w.ended = ctx.Err() != nil // what is under way is not lost, then, but of no more interest
		w.mu.Unlock()
		_ = conn.Close()
		if w.b.at()-since > time.Second {
			wait = 0
		}
		wait.sleep(ctx)
	}
}

// restPeriod is how long a request that failed waits to be followed by another, at most.
const restPeriod = 10 * time.Millisecond

// tend sees to a connection until it is lost: it starts the requests that rest, and gives up those that take too long.
func (w *pipeliner) tend(ctx context.Context, conn *client.Conn) {
	tick := time.NewTicker(restPeriod)
	defer tick.Stop()
	for {
		w.mu.Lock()
		for _, s := range w.slots {
			if s.busy && w.b.at()-s.asked > w.b.RequestTimeout {
				if canceled, _ := conn.Cancel(s.uid); canceled {
					s.busy = false
					s.judge(nil, client.ErrTimeout)
				}
			}
			if !s.busy {
				w.send(s)
			}
		}
		w.mu.Unlock()
		select {
		case <-tick.C:
		case <-conn.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// send starts a slot's next request. It is called with the lock held.
func (w *pipeliner) send(s *slot) {
	op, payload := s.choose()
	uid, err := w.conn.Start(op, payload, s.done)
	s.uid, s.busy = uid, err == nil
}

// answered takes a slot's answer. After a failure it rests until the next tick, so that a server that can't answer is
// not asked all the time.
func (w *pipeliner) answered(s *slot, answer []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.busy = false
	if !w.ended && s.judge(answer, err) {
		w.send(s)
	}
}
