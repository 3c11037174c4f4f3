package loadtest

import (
	"context"
	"sync"
	"time"

	"github.com/distcache/distcache/wire/client"
)

// A pipeliner is a worker with one connection and several requests under way. It has no goroutine for each request: the
// goroutine that reads an answer sends the next request.
type pipeliner struct {
	b     *Bench
	rec   *recorder
	first int // index of the first address to connect to

	mu    sync.Mutex
	conn  *client.Conn
	slots []*slot
	ended bool
}

// A slot is one of the requests that a pipeliner has under way.
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

// run connects again and again until ctx is done.
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
		w.ended = ctx.Err() != nil // then requests under way do not count
		w.mu.Unlock()
		_ = conn.Close()
		if w.b.at()-since > time.Second {
			wait = 0
		}
		wait.sleep(ctx)
	}
}

// restPeriod is how long a slot rests after a failure, at most.
const restPeriod = 10 * time.Millisecond

// tend starts the requests of slots that rest, and gives up requests that take too long, until the connection is lost.
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

// send starts a slot's next request. The caller holds mu.
func (w *pipeliner) send(s *slot) {
	op, payload := s.choose()
	uid, err := w.conn.Start(op, payload, s.done)
	s.uid, s.busy = uid, err == nil
}

// answered handles the answer to a slot's request. After a failure the slot rests until the next tick, so that a server
// that can't answer is not asked all the time.
func (w *pipeliner) answered(s *slot, answer []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.busy = false
	if !w.ended && s.judge(answer, err) {
		w.send(s)
	}
}
